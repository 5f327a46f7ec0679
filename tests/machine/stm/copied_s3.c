/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM under a firmware that only copies it, over S3.  The launcher stops the STM
 * before it sleeps, and the firmware leaves MSEG as it is; or, with RELOAD, the launcher just
 * sleeps, and the firmware copies the image again.
 */
#include "copied.h"

#define PM_BASE   0x600u
#define PM1_STS   PM_BASE
#define PM1_EN    (PM_BASE + 2u)
#define PM1_CNT   (PM_BASE + 4u)
#define WAK_STS   (1u << 15)
#define RTC_EN    (1u << 10)
#define SLEEP_S3  (1u << 13 | 1u << 10)

#define RTC_INDEX     0x70u
#define RTC_DATA      0x71u
#define RTC_ANY       0xC0u /* of an alarm: at each second, minute, hour */
#define RTC_STATUS_B  0x0Bu
#define RTC_ALARM     0x20u

#define SMIS 50u

volatile uint32_t nmi_count;

void guarded_access(void)
{
}

static uint16_t inw(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static void rtc_write(uint8_t index, uint8_t value)
{
    outb(RTC_INDEX, index);
    outb(RTC_DATA, value);
}

/* To S3, and on in the ROM when the clock's alarm comes, within a second. */
static void sleep_and_wake(void)
{
    uint8_t status;

    rtc_write(1, RTC_ANY);
    rtc_write(3, RTC_ANY);
    rtc_write(5, RTC_ANY);
    outb(RTC_INDEX, RTC_STATUS_B);
    status = inb(RTC_DATA);
    rtc_write(RTC_STATUS_B, status | RTC_ALARM);
    outw(PM1_EN, RTC_EN);
    announce_reset();
    outw(PM1_CNT, SLEEP_S3);
    for (;;) {
        __asm__ volatile("hlt");
    }
}

static void session(const char *name)
{
    uint32_t handled = handler_count;

    activation_vmcs();
    expect_status("S3-CALL", name, API_INITIALIZE, STM_SUCCESS);
    expect_status("S3-CALL", name, API_START, STM_SUCCESS);
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    check_eq("S3-SMIS", name, handler_count - handled, SMIS);
}

static void announce(void)
{
    smm_call(set_smrr);
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
}

static void stop(const char *name)
{
    expect_status("S3-CALL", name, API_STOP, STM_SUCCESS);
    check_eq("S3-VMXOFF", name, vmxoff(), 0);
}

void run_tests(void)
{
    if (!(inw(PM1_STS) & WAK_STS)) {
        firmware_start();
        announce();
        session("before");
#ifndef RELOAD
        stop("before");
#endif
        sleep_and_wake();
    }
    check_eq("S3-WAKE", "monitor-ctl", rdmsr(0x9B), 0);
    check_eq("S3-WAKE", "smrr", rdmsr(MSR_SMRR_PHYSMASK), 0);
    check_eq("S3-WAKE", "mseg-kept", read32(MSEG_BASE + 0x804) != 0, 1);
#ifdef RELOAD
    firmware_start();
#else
    firmware_wake();
#endif
    announce();
    session("after");
    smi(HANDLER_READ_MSEG);
    check_eq("S3-MSEG", "closed-to-the-handler", handler_value, FAULT_GP);
    stop("after");
}
