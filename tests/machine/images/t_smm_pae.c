/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* PDPTEs across SMM VM exits and returns: whose are saved, and whose are checked. */
#include "ept.h"
#include "stm.h"

#define RESERVED  2u /* bit 1 of a PDPTE */
#define BAD_PDPTE 2u /* exit qualification */

void g_out32(void);
__asm__(".code32\n"
        "g_out32:\n\tout %al, $0xB2\n"
        "1:\tvmcall\n\tjmp 1b\n"
        ".code64\n");

static uint64_t table, directories, transfer_pdptes[4];
static volatile uint32_t failure_reason;
static volatile uint64_t failure_qualification;

static uint64_t pdpte(unsigned i)
{
    return (directories + PAGE_SIZE * i) | 1;
}

static void good_table(void)
{
    for (unsigned i = 0; i < 4; i++) {
        write64(table + 8 * i, pdpte(i));
    }
}

/* The page directories of the identity mapping, as PDPTEs of PAE paging. */
static uint64_t new_guest(bool ept)
{
    uint64_t region = vmcs_new_guest(g_out32);

    good_table();
    wr(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xC09B);
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_LOAD_EFER));
    wr(VMCS_GUEST_IA32_EFER, 0);
    wr(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
    wr(VMCS_GUEST_CR3, table);
    if (ept) {
        uint64_t directory;

        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
        wr(VMCS_EPT_POINTER, ept_identity(&directory));
        for (unsigned i = 0; i < 4; i++) {
            wr(VMCS_GUEST_PDPTE(i), pdpte(i));
        }
    }
    return region;
}

static void note_pdptes(void)
{
    for (unsigned i = 0; i < 4; i++) {
        transfer_pdptes[i] = rd(VMCS_GUEST_PDPTE(i));
    }
}

static void clear_fields(void)
{
    for (unsigned i = 0; i < 4; i++) {
        wr(VMCS_GUEST_PDPTE(i), 0);
    }
}

static void test_saved(void)
{
    uint64_t region = new_guest(true);

    stm_call(clear_fields);
    /* What the registers hold, not what memory says by now. */
    wr(VMCS_GUEST_PDPTE(3), 0);
    wr(VMCS_GUEST_PDPTE(2), pdpte(1));
    stm_hook = note_pdptes;
    check_eq("DM-EXI-47", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-EXI-47", "pdpte-0", transfer_pdptes[0], pdpte(0));
    check_eq("DM-EXI-47", "pdpte-1", transfer_pdptes[1], pdpte(1));
    check_eq("DM-EXI-47", "pdpte-2", transfer_pdptes[2], pdpte(1));
    check_eq("DM-EXI-47", "pdpte-3", transfer_pdptes[3], 0);
    check_eq("DM-EXI-47", "back", rd(VMCS_GUEST_PDPTE(2)), pdpte(1));
    vmclear(region);
}

static void note_failure(void)
{
    failure_reason = vm_enter(&stm_guest, stm_launch) == VMX_EXITED ? (uint32_t)rd(VMCS_EXIT_REASON)
                                                                    : (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
    failure_qualification = rd(VMCS_EXIT_QUALIFICATION);
}

static void check_failure(const char *name)
{
    check_eq("DM-RET-35", name, failure_reason, REASON_BAD_GUEST);
    check_eq("DM-RET-35", "qualification", failure_qualification, BAD_PDPTE);
    failure_reason = 0;
    failure_qualification = 0;
}

/* The field is bad, memory is good. */
static void bad_field(void)
{
    wr(VMCS_GUEST_PDPTE(1), pdpte(1) | RESERVED);
    note_failure();
    wr(VMCS_GUEST_PDPTE(1), pdpte(1));
    write64(table + 8, pdpte(1) | RESERVED); /* and the other way round */
}

static void bad_memory(void)
{
    write64(table + 8, pdpte(1) | RESERVED);
    note_failure();
    write64(table + 8, pdpte(1));
    wr(VMCS_GUEST_PDPTE(1), pdpte(1) | RESERVED);
}

static const uint16_t root_fields[] = {
    VMCS_GUEST_CR3, VMCS_GUEST_CR4, VMCS_GUEST_IA32_EFER, VMCS_ENTRY_CONTROLS, VMCS_GUEST_ACCESS_RIGHTS(SEG_CS),
};

/* As if a root with PAE paging had been interrupted. */
static void bad_root(void)
{
    uint64_t kept[ARRAY_SIZE(root_fields)];

    for (unsigned i = 0; i < ARRAY_SIZE(root_fields); i++) {
        kept[i] = rd(root_fields[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        wr(VMCS_GUEST_PDPTE(i), pdpte(i));
    }
    good_table();
    write64(table + 8, pdpte(1) | RESERVED);
    wr(VMCS_GUEST_CR3, table);
    wr(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
    wr(VMCS_GUEST_IA32_EFER, 0);
    wr(VMCS_ENTRY_CONTROLS, kept[3] & ~(uint64_t)VMX_ENTRY_IA32E_GUEST);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xC09B);
    note_failure();
    for (unsigned i = 0; i < ARRAY_SIZE(root_fields); i++) {
        wr(root_fields[i], kept[i]);
    }
}

static void test_checked(void)
{
    uint64_t region = new_guest(true);

    stm_hook = bad_field;
    check_eq("DM-RET-35", "ept-memory-unused", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_failure("ept-field");
    vmclear(region);
    region = new_guest(false);
    stm_hook = bad_memory;
    check_eq("DM-RET-35", "no-ept-field-unused", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_failure("no-ept-memory");
    vmclear(region);
    region = vmcs_new();
    stm_hook = bad_root;
    smi_port_write(0x80);
    check_failure("root-memory");
    vmclear(region);
}

void run_tests(void)
{
    stm_activate();
    table = phys(page_alloc()) + 0x20;
    directories = phys(page_tables) + 2 * PAGE_SIZE;
    test_saved();
    test_checked();
}
