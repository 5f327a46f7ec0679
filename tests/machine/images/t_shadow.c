/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMIs in the shadow of STI.  RSM goes back into it: no interrupt comes between
 * STI and the instruction behind it, whatever was in between.
 * WHERE = 0: outside VMX operation, 1: in VMX root operation, 2: in a guest.
 */
#include "vmx.h"

#define VECTOR     0x40u
#define SAVED_RIP  0x7F78u /* AMD64 save-state map, from SMBASE + 8000H */
#define WANTED     5u      /* SMIs in the shadow */
#define SMIS_LIMIT 20000u

extern uint8_t behind_sti[];

static volatile uint32_t too_early, interrupts, smis_in_shadow;

static bool on_interrupt(struct fault_frame *frame)
{
    if (frame->vector != VECTOR) {
        return false;
    }
    interrupts++;
    too_early += frame->rip == phys(behind_sti);
    write32(0xFEE000B0, 0);
    return true;
}

static void note_rip(void)
{
    smis_in_shadow += read64(DEFAULT_SMBASE + 0x8000u + SAVED_RIP) == phys(behind_sti);
}

/* An interrupt waits whenever STI is executed. */
static void work(void)
{
    while (smis_in_shadow < WANTED && smi_count < SMIS_LIMIT) {
        self_ipi(IPI_FIXED, VECTOR);
        __asm__ volatile("sti\n\t.globl behind_sti\nbehind_sti:\n\tnop\n\tnop\n\tcli" : : : "memory");
    }
}

#if WHERE == 2
static void guest_work(void)
{
    work();
    __asm__ volatile("vmcall" : : : "memory");
}
#endif

void run_tests(void)
{
    fault_hook = on_interrupt;
    smi_hook = note_rip;
#if WHERE > 0
    vmx_start();
#endif
    smi_timer_start_at(SMI_EVERY_1_5_MS);
#if WHERE == 2
    vmcs_new_guest(guest_work);
    check_eq("SDM-STI", "guest-ends", guest_run(LAUNCH), VMX_REASON_VMCALL);
#else
    work();
#endif
    smi_timer_stop();
    check("SDM-STI", "smis-in-shadow", smis_in_shadow >= WANTED, "count:%d,smis:%d", smis_in_shadow, smi_count);
    check("SDM-STI", "interrupts", interrupts > 0, "count:%d", interrupts);
    /* Vol. 2 "STI": not before the instruction that follows has been executed. */
    check_eq("SDM-STI", "right-behind-sti", too_early, 0);
}
