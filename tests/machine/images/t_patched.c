/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Code that one processor writes while the other executes it: SDM "Handling Self- and
 * Cross-Modifying Code" (9.1.3). The second processor serializes before each call, so that
 * after the write it executes what was written.
 */
#include "smp.h"

#define ROUNDS   20000u
#define PATIENCE 20000u /* calls */

/* On one page, on which there is always code: the second is called each time and never written. */
static uint32_t (*volatile patched)(void);
static void (*volatile unchanged)(void);
static volatile uint32_t seen, calls;
static volatile bool stop;

void smp_main(void)
{
    while (!stop) {
        uint32_t eax = 0, ebx, ecx = 0, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
        unchanged();
        seen = patched();
        calls++;
    }
}

static void start(void)
{
    smp_start();
    for (uint32_t i = 0; !calls; i++) {
        if (i > 200000000) {
            panic("the second processor does not start");
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

/* The first round whose code the second processor has not executed after many calls; 0: none. */
static uint32_t stale_round(uint8_t *code)
{
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        uint32_t before;

        *(volatile uint32_t *)(code + 4) = i;
        before = calls;
        while (seen != i) {
            bool enough = calls - before > PATIENCE;

            __asm__ volatile("pause" : : : "memory");
            /* Looked at last: this processor may have stood still meanwhile. */
            if (enough && seen != i) {
                return i;
            }
        }
    }
    return 0;
}

void run_tests(void)
{
    /* mov eax, 0; ret, the number at an address that is a multiple of 4 */
    static const uint8_t function[] = {0x90, 0x90, 0x90, 0xB8, 0, 0, 0, 0, 0xC3};
    uint8_t *code = page_alloc();

    memcpy(code, function, sizeof(function));
    patched = (uint32_t (*)(void))(uintptr_t)code;
    code[PAGE_SIZE / 2] = 0xC3;
    unchanged = (void (*)(void))(uintptr_t)(code + PAGE_SIZE / 2);
    start();
    check_eq("SDM-CROSS-MODIFYING", "stale-round", stale_round(code), 0);
    stop = true;
}
