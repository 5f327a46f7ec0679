/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry on the host state (error 8), one defect at a time. */
#include "entry_check.h"

static const struct defect host_rows[] = {
    {"VMX-HST-03", "cr3-width", MODE_64, HOST, {{VMCS_HOST_CR3, BEYOND_WIDTH}}},
    {"VMX-HST-04", "sysenter-esp", MODE_64, HOST, {{VMCS_HOST_IA32_SYSENTER_ESP, NON_CANONICAL}}},
    {"VMX-HST-04", "sysenter-eip", MODE_64, HOST, {{VMCS_HOST_IA32_SYSENTER_EIP, NON_CANONICAL}}},
    {"VMX-HST-07", "efer-lma-clear", MODE_64, HOST, {{VMCS_HOST_IA32_EFER, EFER_LME}},
     .exit = VMX_EXIT_LOAD_EFER},
    {"VMX-HST-07", "efer-lme-clear", MODE_64, HOST, {{VMCS_HOST_IA32_EFER, EFER_LMA}},
     .exit = VMX_EXIT_LOAD_EFER},
    {"VMX-HST-07", "efer-unused", MODE_64, ENTERED, {{VMCS_HOST_IA32_EFER, 2}}},
    {"VMX-HST-09", "cs-zero", MODE_64, HOST, {{VMCS_HOST_CS_SELECTOR, 0}}},
    {"VMX-HST-09", "tr-zero", MODE_64, HOST, {{VMCS_HOST_TR_SELECTOR, 0}}},
    {"VMX-HST-11", "fs-base", MODE_64, HOST, {{VMCS_HOST_FS_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "gs-base", MODE_64, HOST, {{VMCS_HOST_GS_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "tr-base", MODE_64, HOST, {{VMCS_HOST_TR_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "gdtr-base", MODE_64, HOST, {{VMCS_HOST_GDTR_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "idtr-base", MODE_64, HOST, {{VMCS_HOST_IDTR_BASE, NON_CANONICAL}}},
    {"VMX-HST-15", "cr4-pae", MODE_64, HOST, {{VMCS_HOST_CR4, CR4_VMXE}}},
};

/* Every bit of a host register alone, against the fixed bits. */
static void test_host_bits(void)
{
    static const struct {
        const char *id, *name;
        uint32_t field, fixed0;
    } rows[] = {
        {"VMX-HST-01", "cr0", VMCS_HOST_CR0, MSR_VMX_CR0_FIXED0},
        {"VMX-HST-02", "cr4", VMCS_HOST_CR4, MSR_VMX_CR4_FIXED0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t fixed0 = rdmsr(rows[i].fixed0), fixed1 = rdmsr(rows[i].fixed0 + 1);
        uint64_t wrong = 0, good;

        entry_fresh(MODE_64);
        good = rd(rows[i].field);
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t mask = 1ull << bit;

            if (((fixed0 & mask) || !(fixed1 & mask)) &&
                !entry_is(MODE_64, HOST, rows[i].field, good ^ mask)) {
                wrong |= mask;
            }
        }
        check_eq(rows[i].id, rows[i].name, wrong, 0);
    }
}

static void test_host_selectors(void)
{
    static const uint16_t selectors[] = {
        SEL_DATA64, SEL_CODE64, SEL_DATA64, SEL_DATA64, SEL_DATA64, SEL_DATA64,
        SEL_TSS,
    };

    for (unsigned seg = 0; seg < ARRAY_SIZE(selectors); seg++) {
        for (unsigned bit = 0; bit < 3; bit++) {
            check("VMX-HST-08", "rpl-and-ti",
                  entry_is(MODE_64, HOST, VMCS_HOST_ES_SELECTOR + 2 * seg,
                           selectors[seg] | 1u << bit),
                  "register:%d,bit:%d", seg, bit);
        }
    }
    for (unsigned seg = 0; seg < 6; seg++) {
        if (seg != SEG_CS) {
            check("VMX-HST-09", "others-may-be-zero",
                  entry_is(MODE_64, ENTERED, VMCS_HOST_ES_SELECTOR + 2 * seg, 0),
                  "register:%d", seg);
            __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA64));
        }
    }
}

static void test_host_msrs(void)
{
    static const uint8_t bad_types[] = {2, 3, 8, 0x10, 0x86};
    static const struct defect pat = {.exit = VMX_EXIT_LOAD_PAT};
    static const struct defect efer = {.exit = VMX_EXIT_LOAD_EFER};
    uint32_t wrong = 0;
    uint64_t wrong_bits = 0;

    for (unsigned byte = 0; byte < 8; byte++) {
        for (size_t i = 0; i < ARRAY_SIZE(bad_types); i++) {
            entry_fresh(MODE_64);
            if (!entry_controls(&pat)) {
                not_offered("VMX-HST-05", "pat");
                return;
            }
            wr(VMCS_HOST_IA32_PAT, (uint64_t)bad_types[i] << 8 * byte);
            if (entry_outcome() != HOST) {
                wrong |= 1u << byte;
            }
        }
    }
    check_eq("VMX-HST-05", "pat", wrong, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = 1ull << bit;

        if (mask & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) {
            continue;
        }
        entry_fresh(MODE_64);
        if (!entry_controls(&efer)) {
            not_offered("VMX-HST-06", "efer");
            return;
        }
        wr(VMCS_HOST_IA32_EFER, EFER_LME | EFER_LMA | mask);
        if (entry_outcome() != HOST) {
            wrong_bits |= mask;
        }
    }
    check_eq("VMX-HST-06", "efer", wrong_bits, 0);
}

static void test_address_size(void)
{
    uint64_t result;

    /* A host in IA-32e mode that asks for a 32-bit host. */
    entry_fresh(MODE_32);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0) & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
    check_eq("VMX-HST-12", "32-bit-host", entry_outcome(), HOST);
    entry_fresh(MODE_64);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0) & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
    check_eq("VMX-HST-12", "32-bit-host-64-bit-guest", entry_outcome(), HOST);

    /* RIP is written by vm_enter(); this enters by hand. */
    entry_fresh(MODE_64);
    wr(VMCS_HOST_RSP, 0);
    wr(VMCS_HOST_RIP, NON_CANONICAL);
    result = vmlaunch_plain();
    check_vmx("VMX-HST-15", "rip", result, HOST);
}

void run_tests(void)
{
    vmx_start();
    entry_fresh(MODE_64);
    entry_rows(host_rows, ARRAY_SIZE(host_rows));
    test_host_bits();
    test_host_selectors();
    test_host_msrs();
    test_address_size();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
