/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * MWAIT on a machine with one processor: without an armed MONITOR it is a NOP.  If
 * it is not, nothing ever ends the wait, and the run fails at its time limit.
 */
#include "vmx.h"

#define VECTOR 0x40u

static uint8_t line[64] __attribute__((aligned(64)));
static volatile uint32_t interrupts;

static bool on_interrupt(struct fault_frame *frame)
{
    if (frame->vector != VECTOR) {
        return false;
    }
    interrupts++;
    write32(0xFEE000B0, 0);
    return true;
}

static void monitor(void)
{
    __asm__ volatile("monitor" : : "a"(line), "c"(0), "d"(0) : "memory");
}

static void mwait(uint32_t extensions)
{
    __asm__ volatile("mwait" : : "a"(0), "c"(extensions) : "memory");
}

static void mwait_with(void *extensions)
{
    mwait((uint32_t)(uintptr_t)extensions);
}

static void guest_waits(void)
{
    mwait(0);
    __asm__ volatile("vmcall" : : : "memory");
}

void run_tests(void)
{
    uint32_t leaf[4];

    fault_hook = on_interrupt;
    cpuid(5, 0, leaf);
    /* Vol. 2 "MWAIT": not armed, so that execution goes on. */
    mwait(0);
    check_eq("SDM-MWAIT", "not-armed", interrupts, 0);
    /* The first MWAIT ends with the interrupt, the second finds nothing armed. */
    monitor();
    self_ipi(IPI_FIXED, VECTOR);
    __asm__ volatile("sti\n\tmwait\n\tcli" : : "a"(0), "c"(0) : "memory");
    check_eq("SDM-MWAIT", "interrupt-ends-it", interrupts, 1);
    mwait(0);
    check_eq("SDM-MWAIT", "armed-once", interrupts, 1);
    /* An interrupt between the two disarms. */
    monitor();
    self_ipi(IPI_FIXED, VECTOR);
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    mwait(0);
    check_eq("SDM-MWAIT", "interrupt-between", interrupts, 2);
    /* CPUID.05H:ECX[1]: interrupts that are masked end the wait as well. */
    check_eq("SDM-MWAIT", "break-events", leaf[2] & 3, 3);
    monitor();
    self_ipi(IPI_FIXED, VECTOR);
    check_eq("SDM-MWAIT", "masked-interrupt", try_call(mwait_with, (void *)1), NO_FAULT);
    check_eq("SDM-MWAIT", "still-pending", interrupts, 2);
    check_eq("SDM-MWAIT", "unknown-extension", try_call(mwait_with, (void *)2), FAULT_GP);
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    check_eq("SDM-MWAIT", "taken-later", interrupts, 3);

    vmx_start();
    vmcs_new_guest(guest_waits);
    /* A VM entry leaves nothing armed. */
    monitor();
    check_eq("SDM-MWAIT", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_vmx("SDM-MWAIT", "vmxoff", vmxoff(), SUCCESS);
}
