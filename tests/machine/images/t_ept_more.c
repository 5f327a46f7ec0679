/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* EPT details: execute-only pages, accessed and dirty flags, INVEPT, INVVPID,
 * stale translations, violations during event delivery. */
#include "vmx.h"

#define EPT_RWX    7u
#define EPT_WB     (6u << 3)
#define EPT_LARGE  (1u << 7)
#define EPT_A      (1u << 8)
#define EPT_D      (1u << 9)
#define EPTP_AD    (1u << 6)
#define PROBE      0x2000000ull
#define OTHER      0x2400000ull

static uint64_t pml4, pdpt, pd, pt;
static volatile uint64_t first, second;

static void make_ept(void)
{
    pml4 = phys(page_alloc());
    pdpt = phys(page_alloc());
    pd = phys(page_alloc());
    pt = phys(page_alloc());
    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        write64(pt + 8 * i, PROBE | i << 12 | EPT_RWX | EPT_WB);
    }
    write64(pd + 8 * (PROBE >> 21), pt | EPT_RWX);
}

static uint64_t new_guest(void (*code)(void), uint64_t eptp_bits)
{
    uint64_t region;

    make_ept();
    region = vmcs_new_guest(code);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, pml4 | 0x1E | eptp_bits);
    return region;
}

static void g_read_twice(void)
{
    first = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
    second = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_stale(void)
{
    uint64_t region = new_guest(g_read_twice, 0);
    uint64_t descriptor[2] = {rd(VMCS_EPT_POINTER), 0};

    write64(PROBE, 0x1111);
    write64(OTHER, 0x2222);
    guest_run(LAUNCH);
    check_eq("VMX-VPID-02", "before", first, 0x1111);
    write64(pt, OTHER | EPT_RWX | EPT_WB);
    __asm__ volatile("invept %0, %1"
                     :
                     : "m"(descriptor), "r"(1ull)
                     : "cc", "memory");
    guest_skip();
    guest_run(RESUME);
    /* INVEPT makes the change visible. */
    check_eq("VMX-VPID-02", "after-invept", second, 0x2222);
    vmclear(region);
}

static void g_fetch(void)
{
    ((void (*)(void))PROBE)();
    __asm__ volatile("vmcall" : : : "memory");
    first = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_execute_only(void)
{
    uint64_t region;

    if (!(rdmsr(MSR_VMX_EPT_VPID) & 1)) {
        not_offered("VMX-EPT-03", "execute-only");
        return;
    }
    write64(PROBE, 0xC3);
    region = new_guest(g_fetch, 0);
    write64(pt, PROBE | 4 | EPT_WB);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-03", "execute-only-fetch", last_exit.reason, VMX_REASON_VMCALL);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-EPT-03", "execute-only-read", last_exit.reason,
             VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-EPT-05", "execute-only-read", last_exit.qualification, 0x1A1);
    vmclear(region);
}

static void g_read_then_write(void)
{
    first = read64(PROBE);
    __asm__ volatile("vmcall" : : : "memory");
    write64(PROBE, 7);
    __asm__ volatile("vmcall" : : : "memory");
}

/* Without a VM exit in between, so that a translation made for the read may serve the write. */
static void g_read_and_write(void)
{
    first = read64(PROBE);
    write64(PROBE, 8);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_accessed_dirty(void)
{
    uint64_t region;

    if (!(rdmsr(MSR_VMX_EPT_VPID) >> 21 & 1)) {
        not_offered("VMX-EPT-11", "accessed-dirty");
        return;
    }
    region = new_guest(g_read_then_write, EPTP_AD);
    guest_run(LAUNCH);
    /* A by any use, D by a write, A in every entry of the walk. */
    check_eq("VMX-EPT-11", "read-sets-a", read64(pt) & (EPT_A | EPT_D), EPT_A);
    check_eq("VMX-EPT-11", "table-a", read64(pml4) & (EPT_A | EPT_D), EPT_A);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-EPT-11", "write-sets-d", read64(pt) & (EPT_A | EPT_D),
             EPT_A | EPT_D);
    vmclear(region);
    region = new_guest(g_read_and_write, EPTP_AD);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-11", "write-after-read", read64(pt) & (EPT_A | EPT_D),
             EPT_A | EPT_D);
    vmclear(region);
    region = new_guest(g_read_then_write, 0);
    guest_run(LAUNCH);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-EPT-13", "off", read64(pt) & (EPT_A | EPT_D), 0);
    vmclear(region);
}

static uint64_t invept(uint64_t type, uint64_t eptp, uint64_t reserved)
{
    uint64_t descriptor[2] = {eptp, reserved}, flags;

    __asm__ volatile("invept %1, %2\n\tpushfq\n\tpopq %0"
                     : "=r"(flags)
                     : "m"(descriptor), "r"(type)
                     : "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

static uint64_t invvpid(uint64_t type, uint64_t vpid, uint64_t address)
{
    uint64_t descriptor[2] = {vpid, address}, flags;

    __asm__ volatile("invvpid %1, %2\n\tpushfq\n\tpopq %0"
                     : "=r"(flags)
                     : "m"(descriptor), "r"(type)
                     : "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

static void test_invalidate(void)
{
    uint64_t region = vmcs_new();

    make_ept();
    check_vmx("VMX-CAP-25", "invept-single", invept(1, pml4 | 0x1E, 0), SUCCESS);
    check_vmx("VMX-CAP-25", "invept-all", invept(2, 0, 0), SUCCESS);
    check_vmx("VMX-INS-43", "type-0", invept(0, pml4 | 0x1E, 0), 28);
    check_vmx("VMX-INS-43", "type-3", invept(3, pml4 | 0x1E, 0), 28);
    check_vmx("VMX-INS-44", "bad-eptp", invept(1, pml4 | 0x1F, 0), 28);
    check_vmx("VMX-INS-44", "reserved", invept(1, pml4 | 0x1E, 1), 28);
    if (rdmsr(MSR_VMX_EPT_VPID) >> 32 & 1) {
        check_vmx("VMX-CAP-25", "invvpid-address", invvpid(0, 1, 0x1000), SUCCESS);
        check_vmx("VMX-CAP-25", "invvpid-single", invvpid(1, 1, 0), SUCCESS);
        check_vmx("VMX-CAP-25", "invvpid-all", invvpid(2, 0, 0), SUCCESS);
        if (rdmsr(MSR_VMX_EPT_VPID) >> 43 & 1) {
            check_vmx("VMX-CAP-25", "invvpid-but-globals", invvpid(3, 1, 0), SUCCESS);
            check_vmx("VMX-INS-48", "type-3-vpid-0", invvpid(3, 0, 0), 28);
        }
        check_vmx("VMX-INS-48", "type-0-vpid-0", invvpid(0, 0, 0x1000), 28);
        check_vmx("VMX-INS-48", "type-1-vpid-0", invvpid(1, 0, 0), 28);
        check_vmx("VMX-INS-47", "reserved", invvpid(1, 0x10001, 0), 28);
        check_vmx("VMX-INS-49", "address-non-canonical",
                  invvpid(0, 1, 0x800000000000), 28);
        check_vmx("VMX-INS-46", "type-4", invvpid(4, 1, 0), 28);
    }
    vmclear(region);
}

static void test_vpid(void)
{
    uint64_t region = vmcs_new_guest(g_read_twice);

    if (!((rdmsr(MSR_VMX_PROC2) >> 32) & VMX_CPU2_VPID)) {
        not_offered("VMX-VPID-01", "vpid");
        return;
    }
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_VPID));
    wr(VMCS_VPID, 0);
    /* VPID 0000H belongs to root operation. */
    check_vmx("VMX-CTL-17", "vpid-0", vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    wr(VMCS_VPID, 1);
    guest_run(LAUNCH);
    check_eq("VMX-VPID-01", "vpid-1", last_exit.reason, VMX_REASON_VMCALL);
    vmclear(region);
}

static void g_fault_on_absent_stack(void)
{
    __asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(PROBE + 0x800) : "memory");
}

static void test_delivery(void)
{
    uint64_t region = new_guest(g_fault_on_absent_stack, 0);

    /* An EPT violation while a #UD is delivered. */
    write64(pt, 0);
    guest_run(LAUNCH);
    check_eq("VMX-INF-23", "ept-violation", last_exit.reason, VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-INF-22", "ept-violation", rd(VMCS_IDT_VECTORING_INFO), 0x80000306);
    check_eq("VMX-INF-15", "ept-violation", rd(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xFFFull, PROBE);
    vmclear(region);
}

void run_tests(void)
{
    vmx_start();
    test_stale();
    test_execute_only();
    test_accessed_dirty();
    test_invalidate();
    test_vpid();
    test_delivery();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
