/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* PDPTE registers: loaded by VM entry and MOV to CRn, saved by VM exit. */
#include "vmx.h"

#define EPT_RWX    7u
#define EPT_LEAF   (EPT_RWX | 6u << 3 | 1u << 7) /* WB, large page */
#define EPTP_WB4   0x1Eu
#define EPTP_AD    (1u << 6)
#define CR4_PAE_GUEST (CR4_VMXE | CR4_PAE)
#define EXIT_FIELD_SAVE_EFER (VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_EFER)

/* Linear WINDOW shows what the third PDPTE maps. */
#define WINDOW     0x80000000ull
#define RAM_A      0x2000000ull
#define RAM_B      0x2200000ull
#define VALUE_A    0xAAAA1111u
#define VALUE_B    0xBBBB2222u

extern uint8_t pae_cr0[], pae_cr3[], pae_cr4[], pae_read[], pae_poke[];

static uint64_t ept_pdpt, ept_pd, ept_pml4;
static uint64_t table_a, table_b, directory_a, directory_b;

static void make_tables(void)
{
    uint64_t first = phys(page_tables) + 2 * PAGE_SIZE;

    table_a = phys(page_alloc());
    table_b = phys(page_alloc()) + 0x20; /* 32-byte alignment is enough */
    directory_a = phys(page_alloc());
    directory_b = phys(page_alloc());
    write64(directory_a, RAM_A | 0xE7);
    write64(directory_b, RAM_B | 0xE7);
    write64(table_a, first | 1);
    write64(table_b, first | 1);
    write64(table_a + 16, directory_a | 1);
    write64(table_b + 16, directory_b | 1);
    write64(RAM_A, VALUE_A);
    write64(RAM_B, VALUE_B);
}

static void make_ept(void)
{
    ept_pml4 = phys(page_alloc());
    ept_pdpt = phys(page_alloc());
    ept_pd = phys(page_alloc());
    write64(ept_pml4, ept_pdpt | EPT_RWX);
    write64(ept_pdpt, ept_pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(ept_pdpt + 8 * i, i << 30 | EPT_LEAF);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(ept_pd + 8 * i, i << 21 | EPT_LEAF);
    }
}

static uint64_t new_guest(bool ept, uint64_t cr3)
{
    uint64_t region = vmcs_new_guest((void (*)(void))pae_read);

    wr(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xC09B);
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, EXIT_FIELD_SAVE_EFER));
    wr(VMCS_GUEST_IA32_EFER, 0);
    wr(VMCS_GUEST_CR4, CR4_PAE_GUEST);
    wr(VMCS_GUEST_CR3, cr3);
    wr(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
    if (ept) {
        make_ept();
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
        wr(VMCS_EPT_POINTER, ept_pml4 | EPTP_WB4);
        for (unsigned i = 0; i < 4; i++) {
            wr(VMCS_GUEST_PDPTE(i), read64(cr3 + 8 * i));
        }
    }
    return region;
}

static bool launched;

/* Runs one of the routines of pae.asm; the exit reason. */
static uint32_t step(uint8_t *routine, uint64_t rbx)
{
    wr(VMCS_GUEST_RIP, phys(routine));
    guest.rbx = rbx;
    guest_run(!launched);
    launched = true;
    return last_exit.reason;
}

static uint64_t window(void)
{
    uint32_t reason = step(pae_read, WINDOW);

    return reason == VMX_REASON_VMCALL ? guest.rax : reason;
}

static void end(uint64_t region)
{
    vmclear(region);
    launched = false;
}

/* 26.3.2.4: under EPT the entry takes the registers from the VMCS. */
static void test_entry_ept(void)
{
    uint64_t region = new_guest(true, table_a);

    wr(VMCS_GUEST_PDPTE(2), directory_b | 1); /* memory says A */
    check_eq("VMX-EPT-16", "vmcs-used", window(), VALUE_B);
    /* 27.3.4: the exit saves them unchanged; nobody sets a flag. */
    check_eq("VMX-EPT-16", "saved", rd(VMCS_GUEST_PDPTE(2)), directory_b | 1);
    check_eq("VMX-EPT-16", "saved-0", rd(VMCS_GUEST_PDPTE(0)), read64(table_a));
    check_eq("VMX-EPT-16", "saved-absent", rd(VMCS_GUEST_PDPTE(1)), 0);
    check_eq("VMX-EPT-17", "memory-unchanged", read64(table_a + 16), directory_a | 1);
    /* Re-entry from what was saved. */
    check_eq("VMX-EPT-16", "resumed", window(), VALUE_B);
    /* Absent: #PF. */
    check_eq("VMX-EPT-16", "absent", step(pae_read, 0x40000000), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-EPT-16", "absent", last_exit.intr & 0xFF, FAULT_PF);
    check_eq("VMX-EPT-16", "absent-error", last_exit.error, 0);
    end(region);
}

static void test_entry_checks(void)
{
    static const struct {
        const char *name;
        uint64_t bits;
        bool good;
    } rows[] = {
        {"bit-1", 1u << 1, false}, {"bit-2", 1u << 2, false},
        {"pwt", 1u << 3, true},    {"pcd", 1u << 4, true},
        {"bit-5", 1u << 5, false}, {"bit-6", 1u << 6, false},
        {"bit-7", 1u << 7, false}, {"bit-8", 1u << 8, false},
        {"bit-9", 1u << 9, true},  {"width", 1ull << 45, false},
        {"bit-63", 1ull << 63, false},
    };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        bool ept = i & 1, good = rows[i / 2].good;
        uint64_t region = new_guest(ept, table_a);
        uint32_t reason;

        if (ept) {
            wr(VMCS_GUEST_PDPTE(3), rows[i / 2].bits | 1);
        } else {
            write64(table_a + 24, rows[i / 2].bits | 1);
        }
        reason = step(pae_read, WINDOW);
        check_eq(ept ? "VMX-GST-63" : "VMX-GST-62", rows[i / 2].name, reason,
                 good ? VMX_REASON_VMCALL : REASON_BAD_GUEST);
        if (!good) {
            check_eq(ept ? "VMX-GST-63" : "VMX-GST-62", rows[i / 2].name, last_exit.qualification, 2);
        }
        end(region);
        /* Not present: nothing is reserved. */
        region = new_guest(ept, table_a);
        if (ept) {
            wr(VMCS_GUEST_PDPTE(3), rows[i / 2].bits);
        } else {
            write64(table_a + 24, rows[i / 2].bits);
        }
        check_eq(ept ? "VMX-GST-63" : "VMX-GST-62", "not-present", step(pae_read, WINDOW),
                 VMX_REASON_VMCALL);
        end(region);
        write64(table_a + 24, 0);
    }
}

/* 4.4.1: MOV to CR3 loads the registers, and memory does not matter then. */
static void test_mov_cr3(bool ept)
{
    uint64_t region = new_guest(ept, table_a);

    check_eq("VMX-EPT-17", "start", window(), VALUE_A);
    check_eq("VMX-EPT-17", "mov-cr3", step(pae_cr3, table_b), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "mov-cr3", rd(VMCS_GUEST_CR3), table_b);
    check_eq("VMX-EPT-17", "loaded", window(), VALUE_B);
    if (ept) {
        check_eq("VMX-EPT-16", "saved-after-load", rd(VMCS_GUEST_PDPTE(2)), directory_b | 1);
        /* Memory changes, the registers do not, whatever is flushed. */
        write64(table_b + 16, 0);
        guest.rcx = 0x12345678;
        guest.rsi = WINDOW;
        check_eq("VMX-EPT-17", "stale", step(pae_poke, WINDOW + 8), VMX_REASON_VMCALL);
        check_eq("VMX-EPT-17", "stale-value", guest.rax, VALUE_B);
        write64(table_b + 16, directory_b | 1);
    }
    check_eq("VMX-EPT-17", "no-accessed-flag", read64(table_b + 16), directory_b | 1);
    /* A reserved bit: #GP(0), and nothing has changed. */
    write64(table_a + 8, 1 | 1u << 5);
    check_eq("VMX-EPT-17", "reserved", step(pae_cr3, table_a), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-EPT-17", "reserved", last_exit.intr, 0x80000B0D);
    check_eq("VMX-EPT-17", "reserved-error", last_exit.error, 0);
    check_eq("VMX-EPT-17", "reserved-cr3", rd(VMCS_GUEST_CR3), table_b);
    check_eq("VMX-EPT-17", "reserved-rip", rd(VMCS_GUEST_RIP), phys(pae_cr3));
    check_eq("VMX-EPT-17", "reserved-still", window(), VALUE_B);
    write64(table_a + 8, 0);
    end(region);
}

/* 4.4.1: MOV to CR0 and CR4 that change certain bits load them, too. */
static void test_mov_cr0_cr4(void)
{
    uint64_t region = new_guest(true, table_a);
    uint64_t cr0 = rd(VMCS_GUEST_CR0), cr4 = rd(VMCS_GUEST_CR4);

    check_eq("VMX-EPT-17", "start", window(), VALUE_A);
    write64(table_a + 16, directory_b | 1);
    check_eq("VMX-EPT-17", "cr4-de", step(pae_cr4, cr4 | CR4_DE), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "cr4-de", window(), VALUE_A);
    check_eq("VMX-EPT-17", "cr4-pge", step(pae_cr4, cr4 | CR4_PGE), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "cr4-pge", window(), VALUE_B);
    write64(table_a + 16, directory_a | 1);
    check_eq("VMX-EPT-17", "cr0-ts", step(pae_cr0, cr0 | CR0_TS), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "cr0-ts", window(), VALUE_B);
    check_eq("VMX-EPT-17", "cr0-cd", step(pae_cr0, cr0 | CR0_CD), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "cr0-cd", window(), VALUE_A);
    write64(table_a + 24, 1 | 1u << 1);
    check_eq("VMX-EPT-17", "cr0-reserved", step(pae_cr0, cr0), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-EPT-17", "cr0-reserved", last_exit.intr, 0x80000B0D);
    check_eq("VMX-EPT-17", "cr0-reserved", rd(VMCS_GUEST_CR0) & CR0_CD, CR0_CD);
    check_eq("VMX-EPT-17", "cr4-reserved", step(pae_cr4, cr4 | CR4_PSE),
             VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-EPT-17", "cr4-reserved", last_exit.intr, 0x80000B0D);
    write64(table_a + 24, 0);
    /* Out of PAE paging and back. */
    check_eq("VMX-EPT-17", "still", window(), VALUE_A);
    end(region);
}

/* 27.2.1: a violation while the registers are loaded has no linear address.
 * 28.2.4: such a load is a read also with accessed and dirty flags. */
static void test_violation(void)
{
    uint64_t far = 0x3000000, region;

    memcpy((void *)far, (void *)table_b, 32);
    region = new_guest(true, table_a);
    wr(VMCS_EPT_POINTER, rd(VMCS_EPT_POINTER) | EPTP_AD);
    check_eq("VMX-EPT-17", "start", window(), VALUE_A);
    write64(ept_pd + 8 * (far >> 21), 0);
    check_eq("VMX-EPT-17", "pdpte-load", step(pae_cr3, far), VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-EPT-17", "pdpte-load", last_exit.qualification, 0x1);
    check_eq("VMX-EPT-17", "pdpte-load-physical", rd(VMCS_GUEST_PHYSICAL_ADDRESS), far);
    check_eq("VMX-EPT-17", "pdpte-load-cr3", rd(VMCS_GUEST_CR3), table_a);
    check_eq("VMX-EPT-17", "pdpte-load-rip", rd(VMCS_GUEST_RIP), phys(pae_cr3));
    write64(ept_pd + 8 * (far >> 21), far | EPT_LEAF | 1u << 3); /* type 7 */
    check_eq("VMX-EPT-17", "pdpte-load", step(pae_cr3, far),
             VMX_REASON_EPT_MISCONFIGURATION);
    check_eq("VMX-EPT-17", "pdpte-load-physical", rd(VMCS_GUEST_PHYSICAL_ADDRESS), far);
    write64(ept_pd + 8 * (far >> 21), far | (EPT_LEAF & ~2u));
    check_eq("VMX-EPT-17", "read-is-enough", step(pae_cr3, far), VMX_REASON_VMCALL);
    check_eq("VMX-EPT-17", "load-accessed", read64(ept_pd + 8 * (far >> 21)) >> 8 & 3,
             1);
    check_eq("VMX-EPT-17", "loaded", window(), VALUE_B);
    end(region);
}

void run_tests(void)
{
    vmx_start();
    make_tables();
    test_entry_ept();
    test_entry_checks();
    test_mov_cr3(true);
    test_mov_cr3(false);
    test_mov_cr0_cr4();
    test_violation();
}
