/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random defects in the SMM-transfer VMCS at returns to a guest: each return must
 * fail with a legal error and stay in SMM, or run the guest; the next correct
 * return must work.  The sequence is fixed by SEED.
 */
#include "fuzz.h"
#include "stm.h"

#define ROUNDS 1500u

/*
 * Not the executive-VMCS pointer: one flipped bit makes it the VMXON pointer,
 * and not host CR4: SMEP would be legal and fatal.  Both have rows elsewhere.
 */
static const uint32_t fields[] = {
    VMCS_EXIT_CONTROLS,
    VMCS_ENTRY_CONTROLS,
    VMCS_ENTRY_INTERRUPTION_INFO,
    VMCS_ENTRY_EXCEPTION_ERROR_CODE,
    VMCS_LINK_POINTER,
    VMCS_GUEST_SMBASE,
    VMCS_GUEST_CR0,
    VMCS_GUEST_CR4,
    VMCS_GUEST_RFLAGS,
    VMCS_GUEST_DR7,
    VMCS_GUEST_IA32_EFER,
    VMCS_GUEST_INTERRUPTIBILITY_STATE,
    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
    VMCS_GUEST_ACCESS_RIGHTS(SEG_CS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_SS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_DS),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_TR),
    VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR),
    VMCS_GUEST_LIMIT(SEG_CS),
    VMCS_GUEST_CS_SELECTOR,
    VMCS_GUEST_SS_SELECTOR,
    VMCS_GUEST_TR_SELECTOR,
    VMCS_GUEST_BASE(SEG_FS),
    VMCS_GUEST_BASE(SEG_TR),
    VMCS_GUEST_GDTR_BASE,
    VMCS_GUEST_IDTR_LIMIT,
    VMCS_HOST_CS_SELECTOR,
    VMCS_HOST_TR_SELECTOR,
    VMCS_PIN_CONTROLS,
    VMCS_PROCESSOR_CONTROLS,
};

static uint32_t failed, failed33, left, wrong, planted_field;
static uint64_t planted_old;
static bool planted;

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("outb %%al, $0xB2\n\tvmcall" : : "a"(0x80) : "memory");
    }
}

/* Undoes what the last successful return left in the SMM-transfer VMCS. */
static void repair(void)
{
    uint32_t type = planted_field >> 10 & 3;

    if (planted && type != 2) { /* not guest state, which the exit saved */
        wr(planted_field, planted_old);
    }
    planted = false;
    wr(VMCS_GUEST_SMBASE, DEFAULT_SMBASE);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(uint64_t)VMX_BLOCKING_BY_SMI);
}

static void every_exit(void)
{
    uint64_t transfer = vmptrst(), result;
    uint32_t error;

    repair();
    if (stm_log.reason != VMX_REASON_IO_SMI) {
        return; /* from root: an ordinary return */
    }
    planted_field = fields[next_random() % ARRAY_SIZE(fields)];
    planted_old = rd(planted_field);
    wr(planted_field, mutate(planted_old));
    planted = true;
    result = vm_enter(&stm_guest, stm_launch);
    error = (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
    if (result == VMX_EXITED && !(rd(VMCS_EXIT_REASON) >> 31)) {
        /* Returned; this is the next SMM VM exit, from root by VMCALL. */
        left++;
        stm_exits++;
        stm_record();
        repair();
        return;
    }
    if (result == VMX_EXITED) {
        failed33++;
        wrong += rd(VMCS_EXIT_REASON) != REASON_BAD_GUEST;
    } else {
        failed++;
        wrong += result != VMX_FAIL_VALID ||
                 (error != VMX_ERROR_ENTRY_CONTROLS && error != VMX_ERROR_ENTRY_HOST_STATE &&
                  error != VMX_ERROR_EXECUTIVE_POINTER &&
                  error != VMX_ERROR_EXECUTIVE_NOT_LAUNCHED &&
                  error != VMX_ERROR_EXECUTIVE_NOT_VMXON);
    }
    wrong += vmptrst() != transfer;
    wrong += try_rdmsr(MSR_SMBASE, NULL) != NO_FAULT;
    wr(planted_field, planted_old);
    planted = false;
}

static void fill(uint64_t region)
{
    memset((void *)(region + 4), 0, PAGE_SIZE - 4);
    vmclear(region);
    vmptrld(region);
    vmcs_fill_guest(guest_code);
    wr(VMCS_EXCEPTION_BITMAP, 0xFFFFFFFF);
    wr(VMCS_GUEST_IDTR_LIMIT, 0);
}

void run_tests(void)
{
    uint64_t region;
    uint32_t before;

    stm_activate();
    region = vmcs_alloc();
    stm_always = every_exit;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        fill(region);
        guest_run(LAUNCH);
        wrong += last_exit.reason >> 31;
        wrong += vmptrst() != region;
        vmcall(); /* the STM repairs its VMCS and opens SMIs again */
        wrong += vmptrst() != region;
    }
    stm_always = NULL;
    check("DM-RET-25", "outcomes", wrong == 0,
          "vmfail:%d,reason33:%d,returned:%d,wrong:%d", failed, failed33, left,
          wrong);
    check("DM-RET-25", "all-kinds", failed && failed33 && left, "");
    before = stm_exits;
    smi_port_write(0x80);
    check_eq("DM-RET-25", "still-serving", stm_exits, before + 1);
}
