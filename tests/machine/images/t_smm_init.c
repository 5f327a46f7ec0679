/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * INIT signals that come in SMM, under both treatments: blocked there and in VMX
 * root operation, a VM exit in non-root operation, a restart outside VMX operation.
 */
#include "stm.h"

#define STEP_AT 0x9800u /* memory survives INIT */

enum step { NOTHING, IN_ROOT, IN_GUEST, IN_ACTIVATION, IN_STM, TO_GUEST, DEACTIVATING, OUTSIDE_VMX };

static const struct {
    const char *id, *name;
} steps[] = {
    [NOTHING] = {"DM-DEF-27", "nothing"},
    [IN_ROOT] = {"DM-DEF-27", "root"},
    [IN_GUEST] = {"DM-DEF-27", "non-root"},
    [IN_ACTIVATION] = {"DM-ACT-61", "activation"},
    [IN_STM] = {"DM-EXI-57", "smm-vm-exit"},
    [TO_GUEST] = {"DM-RET-60", "return-to-non-root"},
    [DEACTIVATING] = {"DM-DEA-15", "deactivation"},
    [OUTSIDE_VMX] = {"DM-DEF-27", "outside-vmx"},
};

static volatile uint32_t in_smm;

void g_out(void);
void g_call(void);
extern uint8_t g_out_next[];
__asm__("g_out:\n\tout %al, $0xB2\n"
        "g_out_next:\n\tinc %rbx\n"
        "g_call:\n\tvmcall\n\tjmp g_call\n");

static void wait_a_little(void)
{
    for (volatile int i = 0; i < 1000; i++) {
    }
}

/* In SMM; if the INIT is not blocked this image begins again. */
static void send_init(void)
{
    self_ipi(IPI_INIT, 0);
    wait_a_little();
    in_smm++;
}

static void begin(enum step step)
{
    write32(STEP_AT, step);
    in_smm = 0;
}

/* In root operation: the INIT still waits, and is the next guest's first event. */
static void check_pending(enum step step)
{
    uint64_t region = vmcs_new_guest(g_call);

    check_eq(steps[step].id, steps[step].name, in_smm, 1);
    wait_a_little();
    check_eq(steps[step].id, "pending-in-root", guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq(steps[step].id, "pending-rip", last_exit.rip, phys((void *)g_call));
    vmclear(region);
    region = vmcs_new_guest(g_call);
    check_eq(steps[step].id, "only-one", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
}

/* The guest's SMI: the INIT exits to exec before the guest's next instruction. */
static void check_exit(enum step step)
{
    uint64_t region = vmcs_new_guest(g_out);

    guest.rbx = 0x30;
    check_eq(steps[step].id, steps[step].name, guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq(steps[step].id, "in-smm", in_smm, 1);
    check_eq(steps[step].id, "exit-rip", last_exit.rip, phys(g_out_next));
    check_eq(steps[step].id, "nothing-in-between", guest.rbx, 0x30);
    vmclear(region);
}

static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    send_init();
}

static void test_default(void)
{
    begin(IN_ROOT);
    smm_call(send_init);
    check_pending(IN_ROOT);
    begin(IN_GUEST);
    smi_hook = send_init;
    check_exit(IN_GUEST);
    smi_hook = NULL;
}

static void test_dual(void)
{
    uint64_t flags;

    begin(IN_ACTIVATION);
    activation_vmcs();
    stm_hook = send_init;
    flags = vmcall();
    check_eq("DM-ACT-61", "vmcall", flags, VMX_SUCCEED);
    check_pending(IN_ACTIVATION);

    begin(IN_STM);
    stm_hook = send_init;
    smi_port_write(0x80);
    check_pending(IN_STM);

    begin(TO_GUEST);
    stm_hook = send_init;
    check_exit(TO_GUEST);

    begin(DEACTIVATING);
    stm_call(deactivate);
    check_pending(DEACTIVATING);
    begin(NOTHING);
}

void run_tests(void)
{
    enum step step = read32(STEP_AT);

    if (step == OUTSIDE_VMX) {
        begin(NOTHING);
        check_eq("DM-DEF-27", "restarted", step, OUTSIDE_VMX);
        /* Unconfirmed, golden result: INIT leaves the MSR alone. */
        check_eq("DM-ENA-20", "9bh-behind-init", rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | 1);
        return;
    }
    if (step != NOTHING && step < ARRAY_SIZE(steps)) {
        begin(NOTHING);
        check(steps[step].id, steps[step].name, false, "INIT-was-not-blocked");
        return;
    }
    stm_prepare();
    test_default();
    test_dual();
    check_vmx("DM-DEF-27", "vmxoff", vmxoff(), SUCCESS);
    /* Taken right after RSM: this image begins again. */
    begin(OUTSIDE_VMX);
    announce_reset();
    smm_call(send_init);
    wait_a_little();
    begin(NOTHING);
    check("DM-DEF-27", "went-on", false, "INIT-did-not-come");
}
