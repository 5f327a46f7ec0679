/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VM functions: VMFUNC and EPTP switching. */
#include "ept.h"
#include "vmx.h"

#define MSR_VMX_VMFUNC   0x491
#define EPTP_SWITCHING   1u
#define EXCEPTION_UD     0x80000306u

#define PROBE            0x2000000ull
#define OTHER            0x2200000ull

static uint64_t first, second, list;

static uint64_t make_ept(uint64_t probe)
{
    uint64_t directory, eptp = ept_identity(&directory);

    write64(directory + 8 * (PROBE >> 21), probe | EPT_LEAF);
    return eptp;
}

static void vmfunc(uint64_t function, uint64_t index)
{
    __asm__ volatile(".byte 0x0F, 0x01, 0xD4"
                     :
                     : "a"(function), "c"(index)
                     : "memory");
}

static volatile uint64_t before, after, function, index_;

static void g_switch(void)
{
    before = read64(PROBE);
    vmfunc(function, index_);
    after = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
}

static void user_vmfunc(void *unused)
{
    (void)unused;
    vmfunc(function, index_);
}

static void g_switch_user(void)
{
    user_call(user_vmfunc, NULL);
    after = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
}

static uint64_t new_guest(void (*code)(void), uint32_t proc2)
{
    uint64_t region = vmcs_new_guest(code);

    before = after = 0;
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, proc2));
    wr(VMCS_EPT_POINTER, first);
    wr(VMCS_VM_FUNCTION_CONTROLS, EPTP_SWITCHING);
    wr(VMCS_EPTP_LIST_ADDRESS, list);
    wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    return region;
}

/* 25.5.5.3 */
static void test_switch(void)
{
    uint64_t region = new_guest(g_switch, VMX_CPU2_EPT | VMX_CPU2_VMFUNC);

    function = 0;
    index_ = 1;
    check_eq("VMX-FUN-03", "switched", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-FUN-03", "before", before, 0x1111);
    check_eq("VMX-FUN-03", "after", after, 0x2222);
    check_eq("VMX-FUN-03", "eptp-field", rd(VMCS_EPT_POINTER), second);
    vmclear(region);
    region = new_guest(g_switch, VMX_CPU2_EPT | VMX_CPU2_VMFUNC);
    index_ = 511; /* the last entry; upper half of RCX and RAX is ignored */
    function = 1ull << 32;
    index_ |= 1ull << 32;
    check_eq("VMX-FUN-03", "last", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-FUN-03", "last", after, 0x2222);
    vmclear(region);
    region = new_guest(g_switch_user, VMX_CPU2_EPT | VMX_CPU2_VMFUNC);
    function = 0;
    index_ = 1;
    check_eq("VMX-FUN-01", "cpl-3", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-FUN-01", "cpl-3", after, 0x2222);
    vmclear(region);
}

static void test_exits(void)
{
    static const struct {
        const char *name;
        uint64_t function, index;
        uint32_t functions;
    } rows[] = {
        {"index-512", 0, 512, EPTP_SWITCHING},
        {"index-max", 0, 0xFFFFFFFF, EPTP_SWITCHING},
        {"bad-eptp", 0, 2, EPTP_SWITCHING},
        {"empty-eptp", 0, 3, EPTP_SWITCHING},
        {"not-enabled", 0, 1, 0},
        {"function-1", 1, 1, EPTP_SWITCHING},
        {"function-63", 63, 1, EPTP_SWITCHING},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = new_guest(g_switch, VMX_CPU2_EPT | VMX_CPU2_VMFUNC);

        wr(VMCS_VM_FUNCTION_CONTROLS, rows[i].functions);
        function = rows[i].function;
        index_ = rows[i].index;
        /* Not this function, or not with these arguments. */
        check_eq(rows[i].function || !rows[i].functions ? "VMX-FUN-02" : "VMX-FUN-04",
                 rows[i].name, guest_run(LAUNCH), VMX_REASON_VMFUNC);
        check_eq("VMX-INF-27", rows[i].name, last_exit.length, 3);
        check_eq("VMX-INF-12", rows[i].name, last_exit.qualification, 0);
        check_eq("VMX-FUN-03", rows[i].name, rd(VMCS_EPT_POINTER), first);
        guest_skip();
        check_eq("VMX-FUN-04", "resumed", guest_run(RESUME), VMX_REASON_VMCALL);
        check_eq("VMX-FUN-04", "resumed", after, 0x1111);
        vmclear(region);
    }
}

static void do_vmfunc(void *unused)
{
    (void)unused;
    vmfunc(0, 0);
}

static void check_ud(const char *name, uint32_t proc2, uint64_t number)
{
    uint64_t region = new_guest(g_switch, proc2);

    function = number;
    index_ = 1;
    check_eq("VMX-FUN-01", name, guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-FUN-01", name, last_exit.intr, EXCEPTION_UD);
    vmclear(region);
}

static void check_entry(const char *name, uint32_t proc2, uint64_t functions,
                        uint64_t address, bool good)
{
    uint64_t region = new_guest(g_switch, proc2);

    wr(VMCS_VM_FUNCTION_CONTROLS, functions);
    wr(VMCS_EPTP_LIST_ADDRESS, address);
    if (good) {
        function = 64;
        check_eq("VMX-CTL-19", name, guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    } else {
        check_vmx("VMX-CTL-19", name, vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    }
    vmclear(region);
}

void run_tests(void)
{
    check_eq("VMX-INS-51", "outside", try_call(do_vmfunc, NULL), FAULT_UD);
    vmx_start();
    check_eq("VMX-INS-51", "root", try_call(do_vmfunc, NULL), FAULT_UD);
    check_eq("VMX-CAP-26", "functions", rdmsr(MSR_VMX_VMFUNC), EPTP_SWITCHING);
    first = make_ept(PROBE);
    second = make_ept(OTHER);
    list = phys(page_alloc());
    write64(list, first);
    write64(list + 8, second);
    write64(list + 16, second | 1u << 7);
    write64(list + 8 * 511, second);
    /* What follows the list would be good, and is no entry of it. */
    (void)page_alloc();
    write64(list + 8 * 512, second);
    write64(PROBE, 0x1111);
    write64(OTHER, 0x2222);
    test_switch();
    test_exits();
    check_ud("control", VMX_CPU2_EPT, 0);
    check_ud("function-64", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 64);
    check_ud("function-max", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 0xFFFFFFFF);
    check_entry("bit-1", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 2, list, false);
    check_entry("bit-63", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 1ull << 63, list, false);
    check_entry("no-ept", VMX_CPU2_VMFUNC, 1, list, false);
    check_entry("list-unaligned", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 1, list + 8, false);
    check_entry("list-width", VMX_CPU2_EPT | VMX_CPU2_VMFUNC, 1, 1ull << 45, false);
    check_entry("no-function", VMX_CPU2_VMFUNC, 0, 8, true);
    check_entry("no-control", VMX_CPU2_EPT, ~0ull, 8, true);
}
