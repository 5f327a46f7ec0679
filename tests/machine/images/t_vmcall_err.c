/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every failing VMCALL in VMX root operation, in the order of the checks. */
#include "stm.h"

static struct mseg_header header;

static void idle(void)
{
}

static void test_not_enabled(void)
{
    /* DM-ACT-07, DM-ACT-08: 9BH[0] = 0: error 1; VMfailInvalid without VMCS. */
    check_vmx("DM-ACT-08", "no-vmcs-not-enabled", vmcall(), FAIL_INVALID);
    activation_vmcs();
    check_vmx("DM-ACT-07", "not-enabled", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    vmclear(vmptrst());
}

/* After a failure: outside SMM, the pointers and 200CH as before. */
static void check_nothing_changed(const char *name, uint64_t current)
{
    uint32_t before = smi_count;

    /* DM-ACT-21: the processor has left SMM; an SMI is served as before. */
    check_eq("DM-ACT-21", name, try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    smm_call(idle);
    check_eq("DM-ACT-21", "smi-served", smi_count, before + 1);
    /* DM-ACT-22: no pointer, no field, no launch state was touched. */
    check_eq("DM-ACT-22", "current", vmptrst(), current);
    check_eq("DM-ACT-22", "executive", rd(VMCS_EXECUTIVE_VMCS_POINTER), 0x12345000);
    check_eq("DM-ACT-22", "no-start", stm_starts, 0);
}

static void bad_header(const char *id, const char *name, uint32_t revision,
                       uint32_t features, uint32_t error)
{
    header = mseg_default_header();
    header.revision = revision;
    header.features = features;
    mseg_set_header(&header);
    check_vmx(id, name, vmcall(), error);
}

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static void test_launched(void)
{
    uint64_t region = vmcs_new_guest(guest_code);

    guest_run(LAUNCH);
    /* DM-ACT-02: VMCALL in non-root operation is an ordinary exit. */
    check_eq("DM-ACT-02", "guest-vmcall", last_exit.reason, VMX_REASON_VMCALL);
    /* DM-ACT-12, DM-ACT-20: launched VMCS before bad exit controls, before a
     * bad revision. */
    header = mseg_default_header();
    header.revision++;
    header.features = 2;
    mseg_set_header(&header);
    wr(VMCS_EXIT_CONTROLS, 0);
    check_vmx("DM-ACT-12", "launched", vmcall(), VMX_ERROR_VMCALL_NOT_CLEAR);
    vmclear(region);
    vmptrld(region);
    check_vmx("DM-ACT-13", "exit-controls-after-clear", vmcall(),
              VMX_ERROR_VMCALL_EXIT_CONTROLS);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    check_vmx("DM-ACT-20", "revision-before-features", vmcall(),
              VMX_ERROR_VMCALL_MSEG_REVISION);
    bad_header("DM-ACT-20", "features-last", mseg_default_header().revision, 2,
               VMX_ERROR_VMCALL_MSEG_FEATURES);
    vmclear(region);
}

void run_tests(void)
{
    uint64_t current;

    header = mseg_default_header();
    mseg_build(&header);
    tseg_close();
    vmx_start();
    test_not_enabled();

    /* DM-ENA-25: a garbage header does not keep 9BH from being written. */
    header.revision = 0x47415242;
    mseg_set_header(&header);
    smm_monitor_ctl(MSEG_BASE | 1);
    check_eq("DM-ENA-25", "enabled", rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | 1);

    /* DM-ACT-10: a current VMCS is needed. */
    check_vmx("DM-ACT-10", "no-vmcs", vmcall(), FAIL_INVALID);

    current = activation_vmcs();
    wr(VMCS_EXECUTIVE_VMCS_POINTER, 0x12345000);
    wr(VMCS_EXIT_CONTROLS, 0);
    /* DM-ACT-13: reserved bits of the VM-exit controls. */
    check_vmx("DM-ACT-13", "exit-controls-zero", vmcall(), VMX_ERROR_VMCALL_EXIT_CONTROLS);
    wr(VMCS_EXIT_CONTROLS, 0xFFFFFFFF);
    check_vmx("DM-ACT-13", "exit-controls-ones", vmcall(), VMX_ERROR_VMCALL_EXIT_CONTROLS);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    check_vmx("DM-ACT-15", "garbage-revision", vmcall(), VMX_ERROR_VMCALL_MSEG_REVISION);
    check_nothing_changed("after-22", current);

    /* DM-ACT-15, DM-ACT-16, DM-ACT-18: one header defect each. */
    bad_header("DM-ACT-15", "revision-plus-1",
               mseg_default_header().revision + 1, 1, VMX_ERROR_VMCALL_MSEG_REVISION);
    bad_header("DM-ACT-15", "revision-ones", UINT32_MAX, 1, VMX_ERROR_VMCALL_MSEG_REVISION);
    bad_header("DM-ACT-15", "revision-bit-31", mseg_default_header().revision ^ 1u << 31, 1,
               VMX_ERROR_VMCALL_MSEG_REVISION);
    bad_header("DM-ACT-16", "features-bit-1", mseg_default_header().revision, 3, VMX_ERROR_VMCALL_MSEG_FEATURES);
    bad_header("DM-ACT-16", "features-bit-31", mseg_default_header().revision, 0x80000001,
               VMX_ERROR_VMCALL_MSEG_FEATURES);
    bad_header("DM-ACT-18", "features-bit-0-clear", mseg_default_header().revision, 0, VMX_ERROR_VMCALL_MSEG_FEATURES);
    check_nothing_changed("after-24", current);
    /* DM-ENA-38: the header was read although MSEG is closed here. */
    check_eq("DM-ENA-38", "mseg-reads-ones", read32(MSEG_BASE), 0xFFFFFFFF);

    vmclear(current);
    test_launched();
    check_vmx("DM-ACT-10", "vmxoff-still-works", vmxoff(), SUCCESS);
}
