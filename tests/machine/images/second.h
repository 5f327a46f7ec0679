/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The second processor of an image: it does one function after the other, as the
 * first one asks.  The image has wait_for(), which gives up with its own words.
 */
#ifndef SECOND_H
#define SECOND_H

#include "vmx.h"

static void (*volatile command)(void);
static volatile uint32_t done;

void smp_main(void);

void smp_main(void)
{
    idt_load();
    write32(0xFEE000F0, 0x1FF);
    if (!(rdmsr(MSR_FEATURE_CONTROL) & 1)) {
        wrmsr(MSR_FEATURE_CONTROL, 5);
    }
    write_cr4(read_cr4() | CR4_VMXE);
    for (;;) {
        void (*function)(void) = command;

        if (function) {
            command = NULL;
            function();
            done++;
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

static void begin_there(void (*function)(void))
{
    command = function;
}

static void run_there(void (*function)(void))
{
    uint32_t before = done;

    begin_there(function);
    wait_for(&done, before + 1);
}

#endif
