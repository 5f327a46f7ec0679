/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* EPT: misconfigurations level by level, what comes first; VPIDs: what each
 * invalidation and what a transition makes visible. */
#include "vmx.h"

#define EPT_RWX    7u
#define EPT_WB     (6u << 3)
#define EPT_LARGE  (1u << 7)
#define EPT_D      (1u << 9)
#define EPTP_WB4   0x1Eu
#define EPTP_AD    (1u << 6)
#define PROBE      0x2000000ull
#define OTHER      0x2400000ull
#define LINEAR     0x8000000000ull /* PML4 entry 1 of the guest's own tables */
#define PTE_RWU    7u
#define NO_BITS    0ull

static uint64_t pml4, pdpt, pd, pt;          /* EPT */
static uint64_t g_pml4, g_pdpt, g_pd, g_pt;  /* the guest's tables of LINEAR */
static volatile uint64_t first, second;

static void make_ept(void)
{
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        write64(pt + 8 * i, (PROBE + (i << 12)) | EPT_RWX | EPT_WB);
    }
    write64(pd + 8 * (PROBE >> 21), pt | EPT_RWX);
}

/* The guest's tables are pages of PROBE's 2 MB, so that EPT can treat them one by one. */
static void make_guest_tables(void)
{
    g_pml4 = PROBE + 0x10000;
    g_pdpt = PROBE + 0x11000;
    g_pd = PROBE + 0x12000;
    g_pt = PROBE + 0x13000;
    memset((void *)g_pml4, 0, 4 * PAGE_SIZE);
    write64(g_pml4, read64(phys(page_tables)));
    write64(g_pml4 + 8, g_pdpt | PTE_RWU);
    write64(g_pdpt, g_pd | PTE_RWU);
    write64(g_pd, g_pt | PTE_RWU);
    write64(g_pt, PROBE | PTE_RWU);
}

static void invept(uint64_t type, uint64_t eptp)
{
    uint64_t descriptor[2] = {eptp, 0};

    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static void invvpid(uint64_t type, uint64_t vpid, uint64_t address)
{
    uint64_t descriptor[2] = {vpid, address};

    __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(type) : "cc", "memory");
}

static uint64_t new_guest(void (*code)(void), uint32_t proc2, uint64_t eptp_bits)
{
    uint64_t region = vmcs_new_guest(code);

    make_ept();
    make_guest_tables();
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, proc2));
    if (proc2 & VMX_CPU2_EPT) {
        wr(VMCS_EPT_POINTER, pml4 | EPTP_WB4 | eptp_bits);
        invept(2, 0);
    }
    if (proc2 & VMX_CPU2_VPID) {
        wr(VMCS_VPID, 7);
        invvpid(2, 0, 0);
    }
    wr(VMCS_GUEST_CR3, g_pml4);
    return region;
}

static void g_read(void)
{
    first = read64(LINEAR);
    __asm__ volatile("vmcall" : : : "memory");
    second = read64(LINEAR);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_misconfigurations(void)
{
    static const struct {
        const char *name;
        unsigned level; /* 4 = PML4E */
        uint64_t bad;
    } rows[] = {
        {"pml4e-bit-3", 4, 1u << 3},          {"pml4e-bit-7", 4, 1u << 7},
        {"pml4e-width", 4, 1ull << 45},       {"pdpte-bit-4", 3, 1u << 4},
        {"pdpte-write-only", 3, NO_BITS},     {"pde-bit-5", 2, 1u << 5},
        {"pde-width", 2, 1ull << 50},         {"pte-width", 1, 1ull << 51},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = new_guest(g_read, VMX_CPU2_EPT, 0);
        uint64_t slots[] = {0, pt, pd + 8 * (PROBE >> 21), pdpt, pml4};
        uint64_t slot = slots[rows[i].level], old = read64(slot);

        /* The code needs the upper levels, too: then its fetch exits. */
        write64(slot, rows[i].bad ? old | rows[i].bad : (old & ~7ull) | 2);
        invept(2, 0);
        guest_run(LAUNCH);
        check_eq("VMX-EPT-10", rows[i].name, last_exit.reason, VMX_REASON_EPT_MISCONFIGURATION);
        write64(slot, old);
        vmclear(region);
    }
    /* An entry above that is not present hides those below, and others do not matter. */
    uint64_t region = new_guest(g_read, VMX_CPU2_EPT, 0);

    write64(pt, 1ull << 51 | 2);
    write64(pd + 8 * (PROBE >> 21), pt & ~7ull);
    invept(2, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-10", "hidden", last_exit.reason, VMX_REASON_EPT_VIOLATION);
    vmclear(region);
    region = new_guest(g_read, VMX_CPU2_EPT, 0);
    write64(pt + 8 * 300, 2);
    invept(2, 0);
    check_eq("VMX-EPT-10", "not-reached", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
}

static void test_order(void)
{
    uint64_t region = new_guest(g_read, VMX_CPU2_EPT, 0);

    /* The guest's entry is absent, and so is what it would have led to. */
    write64(g_pt, 0);
    write64(pt, 0);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 14);
    invept(2, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-15", "page-fault-first", last_exit.intr, 0x80000B0E);
    vmclear(region);
    region = new_guest(g_read, VMX_CPU2_EPT, 0);
    write64(g_pt, (PROBE + 0x5000) | PTE_RWU);
    write64(pt + 8 * 0x13, 0); /* the page of g_pt itself */
    write64(pt + 8 * 5, 0);
    invept(2, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-15", "walk-first", rd(VMCS_GUEST_PHYSICAL_ADDRESS), g_pt);
    vmclear(region);
}

static void test_walk_is_a_write(void)
{
    uint64_t region, slot = pt + 8 * 0x13;

    if (!(rdmsr(MSR_VMX_EPT_VPID) >> 21 & 1)) {
        not_offered("VMX-EPT-12", "accessed-dirty");
        return;
    }
    region = new_guest(g_read, VMX_CPU2_EPT, EPTP_AD);
    check_eq("VMX-EPT-12", "reason", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-12", "dirty", read64(slot) & EPT_D, EPT_D);
    check_eq("VMX-EPT-12", "data-not-dirty", read64(pt) & EPT_D, 0);
    vmclear(region);
    region = new_guest(g_read, VMX_CPU2_EPT, EPTP_AD);
    write64(slot, g_pt | 5 | EPT_WB); /* read and execute */
    invept(2, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-12", "read-only-table", last_exit.reason, VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-EPT-12", "access", last_exit.qualification & 0x1FF, 0x0AB);
    vmclear(region);
    /* Without the flags a read is enough once the guest's own are set. */
    region = new_guest(g_read, VMX_CPU2_EPT, 0);
    write64(g_pt, PROBE | PTE_RWU | 0x20);
    write64(slot, g_pt | 5 | EPT_WB);
    invept(2, 0);
    check_eq("VMX-EPT-12", "off", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
}

static void test_invvpid(void)
{
    static const struct {
        const char *name;
        uint64_t type, vpid, address;
    } rows[] = {
        {"address", 0, 7, LINEAR},
        {"single", 1, 7, 0},
        {"all", 2, 0, 0},
        {"single-but-globals", 3, 7, 0},
    };
    uint64_t capability = rdmsr(MSR_VMX_EPT_VPID);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region;

        if (!(capability >> (40 + rows[i].type) & 1)) {
            not_offered("VMX-VPID-03", rows[i].name);
            continue;
        }
        region = new_guest(g_read, VMX_CPU2_VPID, 0);
        write64(PROBE, 0x1111);
        write64(OTHER, 0x2222);
        guest_run(LAUNCH);
        check_eq("VMX-VPID-03", "before", first, 0x1111);
        write64(g_pt, OTHER | PTE_RWU);
        invvpid(rows[i].type, rows[i].vpid, rows[i].address);
        guest_skip();
        guest_run(RESUME);
        check_eq("VMX-VPID-03", rows[i].name, second, 0x2222);
        vmclear(region);
    }
}

/* Two address spaces under two VPIDs; the same linear address in both. */
static void test_two_vpids(void)
{
    uint64_t tables = PROBE + 0x20000, one, two;
    struct vm_registers registers;

    if (!(rdmsr(MSR_VMX_PROC2) >> 32 & VMX_CPU2_VPID)) {
        not_offered("VMX-VPID-01", "two");
        return;
    }
    one = new_guest(g_read, VMX_CPU2_VPID, 0);
    two = new_guest(g_read, VMX_CPU2_VPID, 0);
    memcpy((void *)tables, (void *)g_pml4, 4 * PAGE_SIZE);
    for (uint64_t i = 0; i < 3; i++) {
        write64(tables + i * PAGE_SIZE + (i ? 0 : 8), (tables + (i + 1) * PAGE_SIZE) | PTE_RWU);
    }
    write64(tables + 3 * PAGE_SIZE, OTHER | PTE_RWU);
    wr(VMCS_GUEST_CR3, tables);
    wr(VMCS_VPID, 8);
    write64(PROBE, 0x1111);
    write64(OTHER, 0x2222);
    guest_run(LAUNCH);
    check_eq("VMX-VPID-01", "second-space", first, 0x2222);
    registers = guest; /* both are at the same place of the same code */
    vmptrld(one);
    guest_run(LAUNCH);
    check_eq("VMX-VPID-01", "first-space", first, 0x1111);
    vmptrld(two);
    guest_skip();
    guest = registers;
    guest_run(RESUME);
    check_eq("VMX-VPID-01", "second-again", second, 0x2222);
    vmptrld(one);
    guest_skip();
    guest = registers;
    guest_run(RESUME);
    check_eq("VMX-VPID-01", "first-again", second, 0x1111);
    vmclear(one);
    vmclear(two);
}

static void test_without_vpid(void)
{
    for (unsigned ept = 0; ept < 2; ept++) {
        uint64_t region = new_guest(g_read, ept ? VMX_CPU2_EPT : 0, 0);

        if (!ept) {
            wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, 0));
        }
        write64(PROBE, 0x1111);
        write64(OTHER, 0x2222);
        guest_run(LAUNCH);
        write64(g_pt, OTHER | PTE_RWU);
        guest_skip();
        guest_run(RESUME);
        check_eq("VMX-VPID-04", ept ? "with-ept" : "without-ept", second, 0x2222);
        vmclear(region);
    }
}

/* The APIC-access page holds a table of the guest: its walk is a guest-physical access. */
static void test_apic_access(void)
{
    uint64_t region;

    if (!(rdmsr(MSR_VMX_PROC2) >> 32 & VMX_CPU2_APIC_ACCESSES)) {
        not_offered("VMX-EXT-34", "walk");
        return;
    }
    region = new_guest(g_read, VMX_CPU2_EPT | VMX_CPU2_APIC_ACCESSES, 0);
    wr(VMCS_APIC_ACCESS_ADDRESS, g_pt);
    check_eq("VMX-EXT-34", "walk", guest_run(LAUNCH), VMX_REASON_APIC_ACCESS);
    check_eq("VMX-EXT-34", "type", last_exit.qualification >> 12 & 15, 15);
    vmclear(region);
    /* Its final access is a linear one, as without EPT. */
    region = new_guest(g_read, VMX_CPU2_EPT | VMX_CPU2_APIC_ACCESSES, 0);
    wr(VMCS_APIC_ACCESS_ADDRESS, PROBE);
    check_eq("VMX-EXT-28", "with-ept", guest_run(LAUNCH), VMX_REASON_APIC_ACCESS);
    check_eq("VMX-EXT-28", "with-ept", last_exit.qualification, 0);
    vmclear(region);
}

/* A violation drops the mapping, so that more rights need no INVEPT. */
static void test_violation_invalidates(void)
{
    uint64_t region = new_guest(g_read, VMX_CPU2_EPT | VMX_CPU2_VPID, 0);

    write64(PROBE, 0x1111);
    write64(pt, 0);
    invept(2, 0);
    check_eq("VMX-VPID-05", "violation", guest_run(LAUNCH), VMX_REASON_EPT_VIOLATION);
    write64(pt, PROBE | EPT_RWX | EPT_WB);
    check_eq("VMX-VPID-05", "again", guest_run(RESUME), VMX_REASON_VMCALL);
    check_eq("VMX-VPID-05", "value", first, 0x1111);
    vmclear(region);
}

void run_tests(void)
{
    vmx_start();
    pml4 = phys(page_alloc());
    pdpt = phys(page_alloc());
    pd = phys(page_alloc());
    pt = phys(page_alloc());
    test_misconfigurations();
    test_order();
    test_walk_is_a_write();
    test_invvpid();
    test_two_vpids();
    test_without_vpid();
    test_apic_access();
    test_violation_invalidates();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
