/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See entry_check.h. */
#include "entry_check.h"

#define RIGHTS_CODE32 0xC09Bu
#define RIGHTS_VM86   0xF3u
#define VM86_CODE     0x7000u /* below 1 MiB */

__asm__(".globl entry_guest\n"
        "entry_guest:\n\t"
        "vmcall\n\t"
        "jmp entry_guest\n");

uint64_t entry_vmcs;
static uint64_t directory, pae_directory;

/* Page tables of the guests that are not in IA-32e mode. */
static void make_tables(void)
{
    if (directory) {
        return;
    }
    directory = phys(page_alloc());
    for (uint32_t i = 0; i < 1024; i++) {
        write32(directory + 4 * i, i << 22 | 0xE7); /* 4-MB pages */
    }
    pae_directory = phys(page_alloc());
    for (uint64_t i = 0; i < 4; i++) {
        write64(pae_directory + 8 * i,
                (phys(page_tables) + 0x2000 + 0x1000 * i) | 1);
    }
    write32(VM86_CODE, 0xEBC1010F); /* vmcall; jmp */
    write32(VM86_CODE + 4, 0xFB);
}

static void legacy(uint64_t cr3, uint64_t cr4)
{
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, 0));
    wr(VMCS_GUEST_CR3, cr3);
    wr(VMCS_GUEST_CR4, (read_cr4() & ~(uint64_t)CR4_PAE) | cr4);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), RIGHTS_CODE32);
    wr(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
}

static void virtual_8086(void)
{
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, VM86_CODE >> 4);
        wr(VMCS_GUEST_BASE(seg), VM86_CODE);
        wr(VMCS_GUEST_LIMIT(seg), 0xFFFF);
        wr(VMCS_GUEST_ACCESS_RIGHTS(seg), RIGHTS_VM86);
    }
    wr(VMCS_GUEST_RIP, 0);
    wr(VMCS_GUEST_RFLAGS, 1u << 17 | 2);
}

void entry_fresh(enum mode mode)
{
    make_tables();
    if (!entry_vmcs) {
        entry_vmcs = vmcs_new();
    } else if (vmclear(entry_vmcs) || vmptrld(entry_vmcs)) {
        panic("vmclear, vmptrld");
    }
    vmcs_fill_guest(entry_guest);
    switch (mode) {
    case MODE_64:
        break;
    case MODE_COMPAT:
        wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), RIGHTS_CODE32);
        wr(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
        break;
    case MODE_32:
        legacy(directory, CR4_PSE);
        break;
    case MODE_PAE:
        legacy(pae_directory, CR4_PAE);
        break;
    case MODE_VM86:
        legacy(directory, CR4_PSE);
        virtual_8086();
        break;
    }
}

uint32_t entry_outcome(void)
{
    uint64_t result = vm_enter(&guest, LAUNCH);

    if (result == VMX_FAIL_VALID) {
        return (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
    }
    if (result != VMX_EXITED) {
        return (uint32_t)result;
    }
    if (rd(VMCS_EXIT_REASON) == REASON_BAD_GUEST) {
        return GUEST_STATE((uint32_t)rd(VMCS_EXIT_QUALIFICATION));
    }
    return rd(VMCS_EXIT_REASON) >> 31 ? (uint32_t)rd(VMCS_EXIT_REASON) : ENTERED;
}

static bool add(uint32_t field, uint32_t msr, uint32_t bits)
{
    if (bits & ~(uint32_t)(capability(msr) >> 32)) {
        return false;
    }
    wr(field, rd(field) | bits);
    return true;
}

bool entry_controls(const struct defect *d)
{
    uint32_t secondary = d->proc2 ? VMX_CPU_SECONDARY_CONTROLS : 0;

    if (!add(VMCS_PIN_CONTROLS, MSR_VMX_TRUE_PIN, d->pin) ||
        !add(VMCS_PROCESSOR_CONTROLS, MSR_VMX_TRUE_PROC, d->proc | secondary) ||
        !add(VMCS_EXIT_CONTROLS, MSR_VMX_TRUE_EXIT, d->exit) ||
        !add(VMCS_ENTRY_CONTROLS, MSR_VMX_TRUE_ENTRY, d->entry)) {
        return false;
    }
    if (secondary) {
        wr(VMCS_SECONDARY_CONTROLS, 0);
        return add(VMCS_SECONDARY_CONTROLS, MSR_VMX_PROC2, d->proc2);
    }
    return true;
}

/* False, with a failed check, if a field does not exist. */
static bool write_fields(const struct defect *d)
{
    for (unsigned j = 0; j < ARRAY_SIZE(d->fields) && d->fields[j].field; j++) {
        if (vmwrite_flags(d->fields[j].field, d->fields[j].value)) {
            check(d->id, d->name, false, "no-field:%x", d->fields[j].field);
            return false;
        }
    }
    return true;
}

void entry_rows(const struct defect *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct defect *d = &rows[i];
        uint32_t outcome;

        entry_fresh(d->mode);
        if (!entry_controls(d)) {
            not_offered(d->id, d->name);
            continue;
        }
        if (!write_fields(d)) {
            continue;
        }
        outcome = entry_outcome();
        check(d->id, d->name, outcome == d->expect,
              "outcome:%x,want:%x,reason:%q", outcome, d->expect, rd(VMCS_EXIT_REASON));
    }
}

bool entry_is(enum mode mode, uint32_t expect, uint32_t field, uint64_t value)
{
    entry_fresh(mode);
    wr(field, value);
    return entry_outcome() == expect;
}
