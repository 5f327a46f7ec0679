/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* IA32_PERF_GLOBAL_CTRL over VM entries and VM exits. */
#include "entry_check.h"

#define MSR_PERF_GLOBAL_CTRL  0x38Fu
#define ALL                   0x70000000Full /* four counters and three fixed ones */
#define OWN                   1ull
#define GUESTS                0x100000002ull
#define HOSTS                 0x200000004ull

static volatile uint64_t seen;

static void guest_looks(void)
{
    seen = rdmsr(MSR_PERF_GLOBAL_CTRL);
    wrmsr(MSR_PERF_GLOBAL_CTRL, ALL);
    __asm__ volatile("vmcall" : : : "memory");
}

/* Nothing exits on the way: the MSR bitmaps of a zeroed page. */
static void run(uint32_t entry, uint32_t exit)
{
    vmcs_new_guest(guest_looks);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MSR_BITMAPS);
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | entry);
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | exit);
    wr(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, GUESTS);
    wr(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, HOSTS);
    wrmsr(MSR_PERF_GLOBAL_CTRL, OWN);
    if (guest_run(LAUNCH) != VMX_REASON_VMCALL) {
        panic("reason:%q", rd(VMCS_EXIT_REASON));
    }
}

static void test_reserved(void)
{
    uint64_t msr = 0, host = 0, guest_bits = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t value = 1ull << bit;

        msr |= try_wrmsr(MSR_PERF_GLOBAL_CTRL, value) == NO_FAULT ? value : 0;
        entry_fresh(MODE_64);
        wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_LOAD_PERF_GLOBAL_CTRL);
        wr(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, value);
        host |= entry_outcome() == ENTERED ? value : 0;
        entry_fresh(MODE_64);
        wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL);
        wr(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, value);
        guest_bits |= entry_outcome() == ENTERED ? value : 0;
    }
    check_eq("VMX-ENT-24", "wrmsr", msr, ALL);
    check_eq("VMX-HST-16", "bit-by-bit", host, ALL);
    check_eq("VMX-GST-65", "bit-by-bit", guest_bits, ALL);
    /* Without the controls the fields are not looked at. */
    entry_fresh(MODE_64);
    wr(VMCS_HOST_IA32_PERF_GLOBAL_CTRL, UINT64_MAX);
    wr(VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, UINT64_MAX);
    check_eq("VMX-HST-16", "not-loaded", entry_outcome(), ENTERED);
}

void run_tests(void)
{
    vmx_start();
    check_eq("VMX-ENT-24", "offered", capability(MSR_VMX_TRUE_ENTRY) >> 32 & VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL,
             VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL);
    check_eq("VMX-EXI-31", "offered", capability(MSR_VMX_TRUE_EXIT) >> 32 & VMX_EXIT_LOAD_PERF_GLOBAL_CTRL,
             VMX_EXIT_LOAD_PERF_GLOBAL_CTRL);
    run(0, 0);
    check_eq("VMX-ENT-24", "kept", seen, OWN);
    check_eq("VMX-EXI-31", "kept", rdmsr(MSR_PERF_GLOBAL_CTRL), ALL);
    run(VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL, 0);
    check_eq("VMX-ENT-24", "loaded", seen, GUESTS);
    run(0, VMX_EXIT_LOAD_PERF_GLOBAL_CTRL);
    check_eq("VMX-EXI-31", "loaded", rdmsr(MSR_PERF_GLOBAL_CTRL), HOSTS);
    test_reserved();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
