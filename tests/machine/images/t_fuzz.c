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
    F_PIN,          F_PROC,          F_PROC2,          F_EXIT,
    F_ENTRY,        F_ENTRY_INTR,    F_ENTRY_ERROR,    F_ENTRY_LENGTH,
    F_ENTRY_LOAD_COUNT, F_CR3_TARGETS,
    F_GUEST_CR0,    F_GUEST_CR4,     F_GUEST_RFLAGS,   F_GUEST_DR7,
    F_GUEST_EFER,   F_GUEST_PAT,     F_GUEST_DEBUGCTL, F_INTERRUPTIBILITY,
    F_PENDING_DEBUG, F_LINK,         F_GUEST_SYSENTER_ESP,
    F_RIGHTS(SEG_CS), F_RIGHTS(SEG_SS), F_RIGHTS(SEG_DS), F_RIGHTS(SEG_TR),
    F_RIGHTS(SEG_LDTR), F_LIMIT(SEG_CS), F_LIMIT(SEG_SS), F_LIMIT(SEG_TR),
    F_GUEST_CS,     F_GUEST_SS,      F_GUEST_TR,       F_GUEST_LDTR,
    F_BASE(SEG_FS), F_BASE(SEG_TR),  F_GUEST_GDTR_BASE, F_GUEST_GDTR_LIMIT,
    F_VPID,         F_EPTP,          F_MSR_BITMAP,     F_IO_BITMAP_A,
    F_HOST_CS,      F_HOST_SS,       F_HOST_EFER,      F_HOST_PAT,
    F_EXECUTIVE_VMCS, F_SMBASE,
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
    error = rd(F_INSTRUCTION_ERROR);
    if (result == VMX_FAIL_VALID) {
        failed7 += error == ERR_CONTROLS;
        failed8 += error == ERR_HOST_STATE;
        wrong += error != ERR_CONTROLS && error != ERR_HOST_STATE;
    } else if (result == VMX_EXITED) {
        uint32_t reason = (uint32_t)rd(F_REASON);

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
    wr(F_EXCEPTION_BITMAP, 0xFFFFFFFF);
    wr(F_GUEST_IDTR_LIMIT, 0);
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
    check_eq("VMX-ENT-23", "good-vmcs-still-runs", guest_run(LAUNCH), REASON_VMCALL);
    vmclear(vmptrst());
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
