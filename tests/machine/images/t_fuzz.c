/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random defects in controls and guest state: every VM entry must fail with a
 * legal error or run the guest to its next exit, and a correct VMCS must work
 * afterwards.  The sequence is fixed by SEED.  The guest is one instruction
 * with an unusable IDT and all exceptions exiting, so it cannot go astray.
 */
#include "fuzz.h"
#include "vmx.h"

#define ROUNDS 4000u

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static const uint32_t fields[] = {
    VMCS_PIN_CONTROLS,
    VMCS_PROCESSOR_CONTROLS,
    VMCS_SECONDARY_CONTROLS,
    VMCS_EXIT_CONTROLS,
    VMCS_ENTRY_CONTROLS,
    VMCS_ENTRY_INTERRUPTION_INFO,
    VMCS_ENTRY_EXCEPTION_ERROR_CODE,
    VMCS_ENTRY_INSTRUCTION_LENGTH,
    VMCS_ENTRY_MSR_LOAD_COUNT,
    VMCS_CR3_TARGET_COUNT,
    VMCS_GUEST_CR0,
    VMCS_GUEST_CR4,
    VMCS_GUEST_RFLAGS,
    VMCS_GUEST_DR7,
    VMCS_GUEST_IA32_EFER,
    VMCS_GUEST_IA32_PAT,
    VMCS_GUEST_IA32_DEBUGCTL,
    VMCS_GUEST_INTERRUPTIBILITY_STATE,
    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
    VMCS_LINK_POINTER,
    VMCS_GUEST_IA32_SYSENTER_ESP,
    VMCS_GUEST_ACCESS_RIGHTS(SEG_CS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_SS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_DS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_TR),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR),
    VMCS_GUEST_LIMIT(SEG_CS),
    VMCS_GUEST_LIMIT(SEG_SS),
    VMCS_GUEST_LIMIT(SEG_TR),
    VMCS_GUEST_CS_SELECTOR,
    VMCS_GUEST_SS_SELECTOR,
    VMCS_GUEST_TR_SELECTOR,
    VMCS_GUEST_LDTR_SELECTOR,
    VMCS_GUEST_BASE(SEG_FS),
    VMCS_GUEST_BASE(SEG_TR),
    VMCS_GUEST_GDTR_BASE,
    VMCS_GUEST_GDTR_LIMIT,
    VMCS_VPID,
    VMCS_EPT_POINTER,
    VMCS_MSR_BITMAP,
    VMCS_IO_BITMAP_A,
    VMCS_HOST_CS_SELECTOR,
    VMCS_HOST_SS_SELECTOR,
    VMCS_HOST_IA32_EFER,
    VMCS_HOST_IA32_PAT,
    VMCS_EXECUTIVE_VMCS_POINTER,
    VMCS_GUEST_SMBASE,
};

static uint32_t failed7, failed8, failed33, failed34, ran, wrong;

static void one_round(uint64_t region)
{
    uint32_t chosen[2];
    uint64_t old[2], result, error;

    for (unsigned i = 0; i < 2; i++) {
        chosen[i] = fields[next_random() % ARRAY_SIZE(fields)];
        old[i] = rd(chosen[i]);
        wr(chosen[i], i && next_random() & 1 ? old[i] : mutate(old[i]));
    }
    result = vm_enter(&guest, LAUNCH);
    error = rd(VMCS_INSTRUCTION_ERROR);
    if (result == VMX_FAIL_VALID) {
        failed7 += error == VMX_ERROR_ENTRY_CONTROLS;
        failed8 += error == VMX_ERROR_ENTRY_HOST_STATE;
        wrong += error != VMX_ERROR_ENTRY_CONTROLS && error != VMX_ERROR_ENTRY_HOST_STATE;
    } else if (result == VMX_EXITED) {
        uint32_t reason = (uint32_t)rd(VMCS_EXIT_REASON);

        failed33 += reason == REASON_BAD_GUEST;
        failed34 += reason == REASON_BAD_MSR;
        ran += !(reason >> 31);
        wrong += reason >> 31 && reason != REASON_BAD_GUEST &&
                 reason != REASON_BAD_MSR;
        if (!(reason >> 31)) {
            /* The exit has rewritten guest state: start again. */
            vmclear(region);
            return;
        }
    } else {
        wrong++;
    }
    for (unsigned i = 2; i-- > 0;) {
        wr(chosen[i], old[i]);
    }
}

static void fresh(void)
{
    static uint64_t region; /* pages are never freed: always the same one */

    if (!region) {
        region = vmcs_alloc();
    }
    memset((void *)(region + 4), 0, PAGE_SIZE - 4);
    vmclear(region);
    vmptrld(region);
    vmcs_fill_guest(guest_code);
    wr(VMCS_EXCEPTION_BITMAP, 0xFFFFFFFF);
    wr(VMCS_GUEST_IDTR_LIMIT, 0);
}

static void run_rounds(void)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (vmptrst() == NO_VMCS || i == 0) {
            fresh();
        }
        one_round(vmptrst());
    }
}

void run_tests(void)
{
    vmx_start();
    run_rounds();
    check("VMX-GST-64", "outcomes", wrong == 0,
          "error7:%d,error8:%d,reason33:%d,reason34:%d,ran:%d,wrong:%d",
          failed7, failed8, failed33, failed34, ran, wrong);
    check("VMX-ENT-19", "all-kinds", failed7 && failed8 && failed33 && ran, "");
    vmclear(vmptrst());
    vmcs_new_guest(guest_code);
    check_eq("VMX-ENT-23", "good-vmcs-still-runs", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(vmptrst());
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
