/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Deactivation, VMXOFF, re-activation, an SMI pending at deactivation. */
#include "stm.h"

static uint64_t activating;

static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

static volatile uint32_t smis_at_end;

static void deactivate_with_pending_smi(void)
{
    self_ipi(IPI_SMI, 0);
    smis_at_end = smi_count;
    /* DM-DEA-07: bit 2 of the interruptibility state is ignored. */
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) | VMX_BLOCKING_BY_SMI);
    deactivate();
}

static volatile uint64_t saved_rip;

static void note_rip(void)
{
    saved_rip = read64(smi_smbase + 0xFF78);
}

static void activate(const char *name)
{
    uint32_t before = stm_starts;

    activating = activation_vmcs();
    check_vmx("DM-DEA-17", name, vmcall(), SUCCESS);
    check_eq("DM-DEA-17", name, stm_starts, before + 1);
    check_eq("DM-ACT-28", name, stm_log.reason, 0x20000012);
}

static void test_active(void)
{
    uint32_t exits = stm_exits, smis = smi_count;

    smi_port_write(0);
    check_eq("DM-EXI-02", "smi-to-stm", stm_exits, exits + 1);
    check_eq("DM-EXI-05", "not-to-handler", smi_count, smis);
    /* DM-DEA-19, DM-DEA-20: VMXOFF fails while active. */
    check_vmx("DM-DEA-19", "vmxoff", vmxoff(), VMX_ERROR_VMXOFF_DUAL_MONITOR);
    check_eq("DM-DEA-19", "still-in-vmx", vmptrst(), activating);
    vmclear(activating);
    check_vmx("DM-DEA-20", "vmxoff-no-vmcs", vmxoff(), FAIL_INVALID);
    vmptrld(activating);
}

static void test_deactivated(const char *name)
{
    uint32_t exits = stm_exits, smis = smi_count;

    check_eq("DM-DEA-11", name, vmptrst(), activating);
    check_eq("DM-DEA-16", name, rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | 1);
    check_eq("DM-RET-62", name, try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    /* DM-DEA-06: the default treatment serves SMIs again. */
    smi_port_write(0);
    check_eq("DM-DEA-06", name, smi_count, smis + 1);
    check_eq("DM-DEA-06", "stm-not-entered", stm_exits, exits);
    check_eq("DM-DEF-19", name, vmptrst(), activating);
}

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
    }
}

static void test_launched(void)
{
    uint64_t region = vmcs_new_guest(guest_code);

    guest_run(LAUNCH);
    check_eq("DM-DEA-17", "guest-after-deactivation", last_exit.reason,
             VMX_REASON_CPUID);
    /* DM-DEA-17: re-activation checks the launch state again. */
    check_vmx("DM-DEA-17", "launched-vmcs", vmcall(), VMX_ERROR_VMCALL_NOT_CLEAR);
    vmclear(region);
}

void run_tests(void)
{
    uint32_t exits;
    uint64_t next;

    stm_prepare();
    activate("first");
    test_active();
    stm_call(deactivate);
    test_deactivated("first");
    test_launched();
    activate("second");
    test_active();

    /* DM-DEA-08, DM-DEA-27: a pending SMI is taken right after, by default
     * treatment, with exec's state in the save map. */
    smi_hook = note_rip;
    exits = stm_exits;
    stm_hook = deactivate_with_pending_smi;
    __asm__ volatile("lea 1f(%%rip), %0\n\tvmcall\n1:"
                     : "=&r"(next)
                     :
                     : "cc", "memory");
    smi_hook = NULL;
    check_eq("DM-DEA-08", "smi-served", smi_count, smis_at_end + 1);
    check_eq("DM-DEA-27", "resume-rip", saved_rip, next);
    check_eq("DM-DEA-08", "stm-exits", stm_exits, exits + 1);
    test_deactivated("second");

    /* DM-DEA-21: VMXOFF works, VMXE may be cleared, SMIs go on. */
    check_vmx("DM-DEA-21", "vmxoff", vmxoff(), SUCCESS);
    write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
    exits = smi_count;
    smi_port_write(0);
    check_eq("DM-DEA-21", "smi-outside-vmx", smi_count, exits + 1);

    /* The whole way once more in the same boot. */
    vmx_start();
    activate("third");
    test_active();
    stm_call(deactivate);
    test_deactivated("third");
    check_vmx("DM-DEA-21", "vmxoff-again", vmxoff(), SUCCESS);
}
