/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* DM-DEA-24: RESET ends VMX operation and the dual-monitor treatment. */
#include "stm.h"

#define PASS_MARK 0x500u /* memory survives a reset of this machine */
#define SECOND    0x53544D32u

static void do_vmptrst(void *unused)
{
    (void)unused;
    (void)vmptrst();
}

static void first_pass(void)
{
    uint32_t before;

    check_eq("DM-ENA-19", "9bh-at-power-on", rdmsr(MSR_SMM_MONITOR_CTL), 0);
    stm_activate();
    before = stm_exits;
    smi_port_write(0x80);
    check_eq("DM-EXI-02", "active", stm_exits, before + 1);
    write32(PASS_MARK, SECOND);
    announce_reset();
    outb(0xCF9, 2);
    outb(0xCF9, 6);
    for (;;) {
    }
}

static volatile uint64_t smbase;

static void read_smbase(void)
{
    smbase = rdmsr(MSR_SMBASE);
}

void run_tests(void)
{
    if (read32(PASS_MARK) != SECOND) {
        first_pass();
    }
    check_eq("DM-DEA-24", "9bh", rdmsr(MSR_SMM_MONITOR_CTL), 0);
    check_eq("DM-DEA-24", "feature-control", rdmsr(MSR_FEATURE_CONTROL), 0);
    check_eq("DM-DEA-24", "vmxe", read_cr4() & CR4_VMXE, 0);
    check_eq("DM-DEA-24", "outside-vmx", try_call(do_vmptrst, NULL), FAULT_UD);
    check_eq("DM-DEA-24", "outside-smm", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    smm_call(read_smbase);
    check_eq("DM-DEA-24", "handler-runs", smi_count, 1);
    check_eq("DM-DEA-24", "smbase", smbase, DEFAULT_SMBASE);
    /* The whole way works again, with VMCALL refused before 9BH is set. */
    vmx_start();
    activation_vmcs();
    check_vmx("DM-ENA-22", "not-enabled", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    smm_monitor_ctl(MSEG_BASE | 1);
    check_vmx("DM-DEA-25", "activates-with-old-mseg", vmcall(), SUCCESS);
    check_eq("DM-DEA-25", "started", stm_starts, 1);
}
