/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* EPT: the guest's own tables are write-protected, EPT tables lie where there
 * is no RAM, and the same code runs at two linear addresses. */
#include "vmx.h"

#define EPT_R     1u
#define EPT_X     4u
#define EPT_RWX   7u
#define EPT_WB    (6u << 3)
#define EPT_LARGE (1u << 7)
#define EPTP_WB4  0x1Eu
#define EPTP_AD   (1u << 6)
#define LARGE_RWX (EPT_RWX | EPT_WB | EPT_LARGE)

#define PROBE     0x2000000ull /* 4-KB pages: the guest's tables */
#define TABLE(n)  (PROBE + (n) * PAGE_SIZE)
#define PTE_A     (1u << 5)
#define PTE_D     (1u << 6)
#define ALIAS     (5ull << 30) /* linear; 0 as PDPTE 5 */

static uint64_t pml4, pd, pt;

static void make_ept(uint64_t eptp_bits)
{
    uint64_t pdpt = phys(page_alloc());

    pd = phys(page_alloc());
    pml4 = phys(page_alloc());
    pt = phys(page_alloc());
    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | LARGE_RWX);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd + 8 * i, i << 21 | LARGE_RWX);
        write64(pt + 8 * i, PROBE | i << 12 | EPT_RWX | EPT_WB);
    }
    write64(pd + 8 * (PROBE >> 21), pt | EPT_RWX);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, pml4 | EPTP_WB4 | eptp_bits);
}

/* A copy of the guest's tables at PROBE: PML4, PDPT, first PD; the last level
 * of PROBE_PAGE is a PT of 4-KB pages. */
#define PROBE_PAGE 0x2800000ull
#define LEVELS     4

static void make_tables(uint64_t flags)
{
    memcpy((void *)TABLE(0), page_tables, 6 * PAGE_SIZE);
    for (uint64_t i = 0; i < 512; i++) {
        write64(TABLE(3) + 8 * i, PROBE_PAGE | i << 12 | 3 | flags);
    }
    for (unsigned i = 0; i < 4; i++) {
        write64(TABLE(1) + 8 * i, read64(phys(page_tables) + 0x1000 + 8 * i) | flags);
    }
    write64(TABLE(1), TABLE(2) | 3 | flags);
    write64(TABLE(2) + 8 * (PROBE_PAGE >> 21), TABLE(3) | 3 | flags);
    write64(TABLE(0), TABLE(1) | 3 | flags);
}

static void g_read(void)
{
    guest.rax = *(volatile uint8_t *)(PROBE_PAGE + 0x10);
    __asm__ volatile("vmcall" : : : "memory");
}

static void g_write(void)
{
    *(volatile uint8_t *)(PROBE_PAGE + 0x10) = 1;
    __asm__ volatile("vmcall" : : : "memory");
}

/* Index of the entry that translates PROBE_PAGE in each table. */
static const uint16_t entry_of[LEVELS] = {0, 0, PROBE_PAGE >> 21, 0};

/*
 * 28.2.3.2: without accessed and dirty flags for EPT a read-only table is
 * enough for a walk until a flag has to be set, which is a write.  One level
 * at a time lacks its accessed flag; every later level has its own set, or is
 * itself not allowed to be set.
 */
static void test_denied(unsigned level, bool all, bool write)
{
    static const char *const names[LEVELS] = {"pml4e", "pdpte", "pde", "pte"};
    uint64_t entry = TABLE(level) + 8 * entry_of[level];
    uint64_t region = vmcs_new_guest(write ? g_write : g_read);
    unsigned exits = 0;

    make_ept(0);
    make_tables(PTE_A | PTE_D);
    for (unsigned i = level; i < LEVELS; i++) {
        uint64_t address = TABLE(i) + 8 * entry_of[i];

        if (i == level || all) {
            write64(address, read64(address) & ~(uint64_t)(PTE_A | PTE_D));
        }
        write64(pt + 8 * i, TABLE(i) | EPT_R | EPT_X | EPT_WB);
    }
    wr(VMCS_GUEST_CR3, TABLE(0));
    guest_run(LAUNCH);
    check_eq("VMX-EPT-14", names[level], last_exit.reason, VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-EPT-07", names[level], rd(VMCS_GUEST_PHYSICAL_ADDRESS), entry);
    /* Write to a page that may be read and executed, for the walk of a valid
     * linear address. */
    check_eq("VMX-EPT-07", names[level], last_exit.qualification, 0xAB);
    check_eq("VMX-EPT-14", "entry-unchanged", read64(entry) & PTE_A, 0);
    /* Each further level that lacks the flag exits on its own. */
    while (last_exit.reason == VMX_REASON_EPT_VIOLATION && exits < LEVELS) {
        uint64_t page = rd(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xFFFull;

        write64(pt + 8 * ((page - PROBE) >> 12), page | EPT_RWX | EPT_WB);
        exits++;
        guest_run(RESUME);
    }
    check_eq("VMX-EPT-08", "resumed", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("VMX-EPT-14", "exits", exits, all ? LEVELS - level : 1);
    check_eq("VMX-EPT-14", names[level], read64(entry) & PTE_A, PTE_A);
    vmclear(region);
}

static void g_vmcall(void)
{
    __asm__ volatile("vmcall" : : : "memory");
}

/*
 * EPT tables where there is no RAM.  What the walk finds there is the
 * platform's affair; the processor reports it and goes on.
 */
static void test_no_ram(void)
{
    static const struct {
        const char *name;
        uint64_t address;
        uint32_t reason; /* zeros are no entries; ones, the HPET id and ROM misconfigure */
    } rows[] = {
        {"local-apic", 0xFEE00000, VMX_REASON_EPT_VIOLATION},
        {"hpet", 0xFED00000, VMX_REASON_EPT_MISCONFIGURATION},
        {"io-apic", 0xFEC00000, VMX_REASON_EPT_VIOLATION},
        {"nothing", 0x80000000, VMX_REASON_EPT_MISCONFIGURATION},
        {"last-page-32", 0xFFFFF000, VMX_REASON_EPT_MISCONFIGURATION},
        {"last-page", 0xFFFFFFF000, VMX_REASON_EPT_MISCONFIGURATION},
    };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        uint64_t table = rows[i / 2].address;
        uint64_t region = vmcs_new_guest(g_vmcall);

        make_ept(i & 1 ? EPTP_AD : 0);
        wr(VMCS_EPT_POINTER, table | EPTP_WB4 | (i & 1 ? EPTP_AD : 0));
        check_eq("VMX-EPT-02", rows[i / 2].name, guest_run(LAUNCH), rows[i / 2].reason);
        vmclear(region);
        /* The same one level down. */
        region = vmcs_new_guest(g_vmcall);
        make_ept(i & 1 ? EPTP_AD : 0);
        write64(pml4, table | EPT_RWX);
        check_eq("VMX-EPT-02", rows[i / 2].name, guest_run(LAUNCH), rows[i / 2].reason);
        vmclear(region);
        /* For data only, so that the walk comes in the middle of a block. */
        region = vmcs_new_guest(g_read);
        make_ept(i & 1 ? EPTP_AD : 0);
        write64(pd + 8 * (PROBE_PAGE >> 21), table | EPT_RWX);
        check_eq("VMX-EPT-02", rows[i / 2].name, guest_run(LAUNCH), rows[i / 2].reason);
        check_eq("VMX-INF-15", "physical", rd(VMCS_GUEST_PHYSICAL_ADDRESS), PROBE_PAGE + 0x10);
        vmclear(region);
    }
}

/* Translations to addresses without RAM, and guest tables there. */
static void test_guest_no_ram(void)
{
    static const uint64_t rows[] = {0xFEE00000, 0xFED00000, 0x80000000,
                                    0xFFFFFFF000};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(g_read);

        make_ept(EPTP_AD);
        make_tables(0);
        write64(pt, rows[i] | EPT_RWX | EPT_WB); /* the PML4 is elsewhere */
        wr(VMCS_GUEST_CR3, TABLE(0));
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        /* Whatever the entries are, the guest cannot run: a triple fault, since
         * the IDT cannot be read either. */
        check_eq("VMX-EPT-02", "guest-tables", guest_run(LAUNCH), VMX_REASON_TRIPLE_FAULT);
        vmclear(region);
        /* For data only; #PF is intercepted. */
        region = vmcs_new_guest(g_write);
        make_ept(i & 1 ? EPTP_AD : 0);
        make_tables(0);
        write64(pt + 8 * 3, rows[i] | EPT_RWX | EPT_WB);
        wr(VMCS_GUEST_CR3, TABLE(0));
        wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_PF);
        check_eq("VMX-EPT-02", "guest-table-for-data", guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
        vmclear(region);
    }
}

/* EPT page-directory-pointer table in ROM: identity, 1-GB pages. */
#define ROM_OF(symbol) (phys(symbol) - 0x100000 + 0xFFFE0000)
static const uint64_t rom_pdpt[512] __attribute__((aligned(4096))) = {
    LARGE_RWX, 1ull << 30 | LARGE_RWX, 2ull << 30 | LARGE_RWX,
    3ull << 30 | LARGE_RWX,
};

static void test_rom(void)
{
    uint64_t region = vmcs_new_guest(g_write);

    make_ept(EPTP_AD);
    write64(pml4, ROM_OF(rom_pdpt) | EPT_RWX);
    check_eq("VMX-EPT-11", "rom-read", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-11", "rom-unchanged", read64(ROM_OF(rom_pdpt)), LARGE_RWX);
    check_eq("VMX-EPT-11", "table-accessed", read64(pml4) >> 8 & 1, 1);
    vmclear(region);
}

/* 27.2.1: a RIP-relative operand is reported with the RIP of this execution,
 * also if the same code has run at another linear address. */
static void g_relative(void)
{
    __asm__ volatile(".globl relative_insn\n"
                     "relative_insn: vmptrld relative_target(%%rip)\n"
                     ".globl relative_target\n"
                     "relative_target: vmcall"
                     :
                     :
                     : "memory");
}

extern uint8_t relative_insn[], relative_target[];

static void test_alias(void)
{
    uint64_t pdpt = phys(page_tables) + 0x1000;
    uint64_t region = vmcs_new_guest(g_relative);

    write64(pdpt + 8 * (ALIAS >> 30), read64(pdpt));
    wr(VMCS_GUEST_RIP, phys(relative_insn));
    guest_run(LAUNCH);
    check_eq("VMX-INF-06", "relative", last_exit.reason, 21);
    check_eq("VMX-INF-06", "relative", last_exit.qualification,
             phys(relative_target));
    wr(VMCS_GUEST_RIP, ALIAS + phys(relative_insn));
    guest_run(RESUME);
    check_eq("VMX-INF-06", "alias", last_exit.reason, 21);
    check_eq("VMX-INF-06", "alias-rip", last_exit.rip, ALIAS + phys(relative_insn));
    check_eq("VMX-INF-06", "alias", last_exit.qualification,
             ALIAS + phys(relative_target));
    vmclear(region);
    write64(pdpt + 8 * (ALIAS >> 30), 0);
    write_cr3(read_cr3());
}

void run_tests(void)
{
    vmx_start();
    for (unsigned level = 0; level < LEVELS; level++) {
        test_denied(level, false, false);
        test_denied(level, true, false);
        test_denied(level, true, true);
    }
    test_no_ram();
    test_guest_no_ram();
    test_rom();
    test_alias();
}
