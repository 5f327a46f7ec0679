/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Standby (S3) by the chipset, and the wake: the run begins again in the ROM, with memory as it was. */
#ifndef STANDBY_H
#define STANDBY_H

#include "stm_under_test.h"

#define PM_BASE   0x600u
#define PM1_STS   PM_BASE
#define PM1_EN    (PM_BASE + 2u)
#define PM1_CNT   (PM_BASE + 4u)
#define WAK_STS   (1u << 15)
#define RTC_EN    (1u << 10)
#define SLEEP_S3  (1u << 13 | 1u << 10) /* SLP_EN, and this board's SLP_TYP of S3 */

#define RTC_INDEX     0x70u
#define RTC_DATA      0x71u
#define RTC_ANY       0xC0u /* of an alarm: at each second, minute, hour */
#define RTC_STATUS_B  0x0Bu
#define RTC_ALARM     0x20u

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void rtc_write(uint8_t index, uint8_t value)
{
    outb(RTC_INDEX, index);
    outb(RTC_DATA, value);
}

/* Has this run begun with a wake? */
static inline bool woken(void)
{
    return inw(PM1_STS) & WAK_STS;
}

/* The board's clock wakes it within a second. */
static inline void set_alarm(void)
{
    uint8_t status;

    rtc_write(1, RTC_ANY);
    rtc_write(3, RTC_ANY);
    rtc_write(5, RTC_ANY);
    outb(RTC_INDEX, RTC_STATUS_B);
    status = inb(RTC_DATA);
    rtc_write(RTC_STATUS_B, status | RTC_ALARM);
    outw(PM1_EN, RTC_EN);
}

/* To S3, and on in the ROM when the clock's alarm comes. */
static inline void sleep_and_wake(void)
{
    set_alarm();
    announce_reset();
    outw(PM1_CNT, SLEEP_S3);
    for (;;) {
        __asm__ volatile("hlt");
    }
}

#endif
