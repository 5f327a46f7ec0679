/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* IA32_PERF_GLOBAL_CTRL over VM entries and VM exits. */
#include "entry_check.h"

#define MSR_PERF_GLOBAL_CTRL  0x38Fu
#define F_GUEST_PERF_GLOBAL   0x2808u
#define F_HOST_PERF_GLOBAL    0x2C04u
#define EXIT_LOAD_PERF        (1u << 12)
#define ENTRY_LOAD_PERF       (1u << 13)
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
    wr(F_PROC, rd(F_PROC) | PROC_MSR_BITMAPS);
    wr(F_MSR_BITMAP, phys(page_alloc()));
    wr(F_ENTRY, rd(F_ENTRY) | entry);
    wr(F_EXIT, rd(F_EXIT) | exit);
    wr(F_GUEST_PERF_GLOBAL, GUESTS);
    wr(F_HOST_PERF_GLOBAL, HOSTS);
    wrmsr(MSR_PERF_GLOBAL_CTRL, OWN);
    if (guest_run(LAUNCH) != REASON_VMCALL) {
        panic("reason:%q", rd(F_REASON));
    }
}

static void test_reserved(void)
{
    uint64_t msr = 0, host = 0, guest_bits = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t value = 1ull << bit;

        msr |= try_wrmsr(MSR_PERF_GLOBAL_CTRL, value) == NO_FAULT ? value : 0;
        entry_fresh(MODE_64);
        wr(F_EXIT, rd(F_EXIT) | EXIT_LOAD_PERF);
        wr(F_HOST_PERF_GLOBAL, value);
        host |= entry_outcome() == ENTERED ? value : 0;
        entry_fresh(MODE_64);
        wr(F_ENTRY, rd(F_ENTRY) | ENTRY_LOAD_PERF);
        wr(F_GUEST_PERF_GLOBAL, value);
        guest_bits |= entry_outcome() == ENTERED ? value : 0;
    }
    check_eq("VMX-ENT-24", "wrmsr", msr, ALL);
    check_eq("VMX-HST-16", "bit-by-bit", host, ALL);
    check_eq("VMX-GST-65", "bit-by-bit", guest_bits, ALL);
    /* Without the controls the fields are not looked at. */
    entry_fresh(MODE_64);
    wr(F_HOST_PERF_GLOBAL, UINT64_MAX);
    wr(F_GUEST_PERF_GLOBAL, UINT64_MAX);
    check_eq("VMX-HST-16", "not-loaded", entry_outcome(), ENTERED);
}

void run_tests(void)
{
    vmx_start();
    check_eq("VMX-ENT-24", "offered", capability(MSR_VMX_TRUE_ENTRY) >> 32 & ENTRY_LOAD_PERF, ENTRY_LOAD_PERF);
    check_eq("VMX-EXI-31", "offered", capability(MSR_VMX_TRUE_EXIT) >> 32 & EXIT_LOAD_PERF, EXIT_LOAD_PERF);
    run(0, 0);
    check_eq("VMX-ENT-24", "kept", seen, OWN);
    check_eq("VMX-EXI-31", "kept", rdmsr(MSR_PERF_GLOBAL_CTRL), ALL);
    run(ENTRY_LOAD_PERF, 0);
    check_eq("VMX-ENT-24", "loaded", seen, GUESTS);
    run(0, EXIT_LOAD_PERF);
    check_eq("VMX-EXI-31", "loaded", rdmsr(MSR_PERF_GLOBAL_CTRL), HOSTS);
    test_reserved();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
