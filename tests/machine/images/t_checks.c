/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry on control fields (error 7), host state (error 8) and the
 * VMCS link pointer, one defect at a time. */
#include "entry_check.h"

#define PIN_TIMER       (1u << 6)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC2_APIC_PAGE (1u << 0)
#define PROC2_X2APIC    (1u << 4)
#define PROC2_APIC_REGS (1u << 8)
#define PROC2_VIRQ      (1u << 9)
#define PROC2_VPID      (1u << 5)
#define PROC2_VMFUNC    (1u << 13)
#define EXIT_SAVE_TIMER (1u << 22)
#define F_VIRTUAL_APIC  0x2012
#define F_APIC_ACCESS   0x2014
#define F_VMFUNC        0x2018
#define F_EPTP_LIST     0x2024
#define F_TPR_THRESHOLD 0x401C
#define CR4_PCIDE       (1ull << 17)

#define PAGE 0x2000000ull /* RAM that nobody uses */
/* Last entry of an area would be beyond 40 bits; the first is not. */
#define NEAR_THE_END 0xFFFFFFFFF0ull

static const struct defect control_rows[] = {
    {"VMX-CTL-05", "cr3-targets-5", MODE_64, CONTROLS, {{F_CR3_TARGETS, 5}}},
    {"VMX-CTL-05", "cr3-targets-4", MODE_64, ENTERED, {{F_CR3_TARGETS, 4}}},
    {"VMX-CTL-06", "io-bitmap-a-alignment", MODE_64, CONTROLS,
     {{F_IO_BITMAP_A, PAGE | 0x800}, {F_IO_BITMAP_B, PAGE}}, .proc = PROC_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmap-b-alignment", MODE_64, CONTROLS,
     {{F_IO_BITMAP_A, PAGE}, {F_IO_BITMAP_B, PAGE | 1}}, .proc = PROC_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmap-a-width", MODE_64, CONTROLS,
     {{F_IO_BITMAP_A, BEYOND_WIDTH}, {F_IO_BITMAP_B, PAGE}}, .proc = PROC_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmap-b-width", MODE_64, CONTROLS,
     {{F_IO_BITMAP_A, PAGE}, {F_IO_BITMAP_B, BEYOND_WIDTH}}, .proc = PROC_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmaps-good", MODE_64, ENTERED,
     {{F_IO_BITMAP_A, PAGE}, {F_IO_BITMAP_B, PAGE}}, .proc = PROC_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmaps-unused", MODE_64, ENTERED,
     {{F_IO_BITMAP_A, 1}, {F_IO_BITMAP_B, BEYOND_WIDTH}}},
    {"VMX-CTL-07", "msr-bitmap-alignment", MODE_64, CONTROLS,
     {{F_MSR_BITMAP, PAGE | 0x10}}, .proc = PROC_MSR_BITMAPS},
    {"VMX-CTL-07", "msr-bitmap-width", MODE_64, CONTROLS,
     {{F_MSR_BITMAP, BEYOND_WIDTH}}, .proc = PROC_MSR_BITMAPS},
    {"VMX-CTL-08", "virtual-apic-alignment", MODE_64, CONTROLS,
     {{F_VIRTUAL_APIC, PAGE | 0x80}, {F_TPR_THRESHOLD, 0}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-08", "virtual-apic-width", MODE_64, CONTROLS,
     {{F_VIRTUAL_APIC, BEYOND_WIDTH}, {F_TPR_THRESHOLD, 0}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-08", "virtual-apic-good", MODE_64, ENTERED,
     {{F_VIRTUAL_APIC, PAGE}, {F_TPR_THRESHOLD, 0}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-09", "tpr-threshold-bit-4", MODE_64, CONTROLS,
     {{F_VIRTUAL_APIC, PAGE}, {F_TPR_THRESHOLD, 0x10}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-09", "tpr-threshold-bit-31", MODE_64, CONTROLS,
     {{F_VIRTUAL_APIC, PAGE}, {F_TPR_THRESHOLD, 1u << 31}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-10", "tpr-threshold-above-vtpr", MODE_64, CONTROLS,
     {{F_VIRTUAL_APIC, PAGE}, {F_TPR_THRESHOLD, 1}}, .proc = PROC_TPR_SHADOW},
    {"VMX-CTL-12", "virtual-nmis-alone", MODE_64, CONTROLS, {{0, 0}}, .pin = PIN_VIRTUAL_NMI},
    {"VMX-CTL-12", "virtual-nmis-with-nmi-exiting", MODE_64, ENTERED, {{0, 0}},
     .pin = PIN_VIRTUAL_NMI | PIN_NMI},
    {"VMX-CTL-13", "nmi-window-alone", MODE_64, CONTROLS, {{0, 0}}, .proc = PROC_NMI_WINDOW},
    {"VMX-CTL-13", "nmi-window-with-nmi-exiting", MODE_64, CONTROLS, {{0, 0}},
     .pin = PIN_NMI, .proc = PROC_NMI_WINDOW},
    {"VMX-CTL-14", "apic-access-alignment", MODE_64, CONTROLS,
     {{F_APIC_ACCESS, PAGE | 1}}, .proc2 = PROC2_APIC_PAGE},
    {"VMX-CTL-14", "apic-access-width", MODE_64, CONTROLS,
     {{F_APIC_ACCESS, BEYOND_WIDTH}}, .proc2 = PROC2_APIC_PAGE},
    {"VMX-CTL-14", "apic-access-good", MODE_64, ENTERED,
     {{F_APIC_ACCESS, PAGE}}, .proc2 = PROC2_APIC_PAGE},
    {"VMX-CTL-17", "vpid-0", MODE_64, CONTROLS, {{0, 0}}, .proc2 = PROC2_VPID},
    {"VMX-CTL-18", "unrestricted-without-ept", MODE_64, CONTROLS, {{0, 0}},
     .proc2 = PROC2_UNRESTRICTED},
    {"VMX-CTL-19", "function-1", MODE_64, CONTROLS, {{F_VMFUNC, 2}}, .proc2 = PROC2_VMFUNC},
    {"VMX-CTL-19", "eptp-switching-without-ept", MODE_64, CONTROLS,
     {{F_VMFUNC, 1}, {F_EPTP_LIST, PAGE}}, .proc2 = PROC2_VMFUNC},
    {"VMX-CTL-19", "no-function", MODE_64, ENTERED, {{F_VMFUNC, 0}}, .proc2 = PROC2_VMFUNC},
    {"VMX-CTL-22", "save-timer-alone", MODE_64, CONTROLS, {{0, 0}}, .exit = EXIT_SAVE_TIMER},
    {"VMX-CTL-23", "exit-store-alignment", MODE_64, CONTROLS,
     {{F_EXIT_MSR_STORE, PAGE | 8}, {F_EXIT_STORE_COUNT, 1}}},
    {"VMX-CTL-23", "exit-store-width", MODE_64, CONTROLS,
     {{F_EXIT_MSR_STORE, BEYOND_WIDTH}, {F_EXIT_STORE_COUNT, 1}}},
    {"VMX-CTL-23", "exit-store-last-byte", MODE_64, CONTROLS,
     {{F_EXIT_MSR_STORE, NEAR_THE_END}, {F_EXIT_STORE_COUNT, 2}}},
    {"VMX-CTL-24", "exit-load-alignment", MODE_64, CONTROLS,
     {{F_EXIT_MSR_LOAD, PAGE | 4}, {F_EXIT_LOAD_COUNT, 1}}},
    {"VMX-CTL-24", "exit-load-width", MODE_64, CONTROLS,
     {{F_EXIT_MSR_LOAD, BEYOND_WIDTH}, {F_EXIT_LOAD_COUNT, 1}}},
    {"VMX-CTL-24", "exit-load-last-byte", MODE_64, CONTROLS,
     {{F_EXIT_MSR_LOAD, NEAR_THE_END}, {F_EXIT_LOAD_COUNT, 2}}},
    {"VMX-CTL-25", "areas-of-count-0", MODE_64, ENTERED,
     {{F_EXIT_MSR_LOAD, 1}, {F_EXIT_MSR_STORE, BEYOND_WIDTH}, {F_ENTRY_MSR_LOAD, 3}}},
    {"VMX-CTL-34", "entry-load-alignment", MODE_64, CONTROLS,
     {{F_ENTRY_MSR_LOAD, PAGE | 2}, {F_ENTRY_LOAD_COUNT, 1}}},
    {"VMX-CTL-34", "entry-load-width", MODE_64, CONTROLS,
     {{F_ENTRY_MSR_LOAD, BEYOND_WIDTH}, {F_ENTRY_LOAD_COUNT, 1}}},
    {"VMX-CTL-34", "entry-load-last-byte", MODE_64, CONTROLS,
     {{F_ENTRY_MSR_LOAD, NEAR_THE_END}, {F_ENTRY_LOAD_COUNT, 2}}},
    {"VMX-CTL-27", "inject-type-1", MODE_64, CONTROLS, {{F_ENTRY_INTR, 0x80000120}}},
    {"VMX-CTL-27", "inject-type-7-vector-1", MODE_64, CONTROLS, {{F_ENTRY_INTR, 0x80000701}}},
    {"VMX-CTL-28", "inject-nmi-vector-3", MODE_64, CONTROLS, {{F_ENTRY_INTR, 0x80000203}}},
    {"VMX-CTL-28", "inject-nmi-vector-0", MODE_64, CONTROLS, {{F_ENTRY_INTR, 0x80000200}}},
    {"VMX-CTL-29", "inject-exception-32", MODE_64, CONTROLS, {{F_ENTRY_INTR, 0x80000320}}},
    {"VMX-CTL-32", "inject-code-bit-16", MODE_64, CONTROLS,
     {{F_ENTRY_INTR, 0x80000B0D}, {F_ENTRY_ERROR, 0x10000}}},
    {"VMX-CTL-32", "inject-code-bit-31", MODE_64, CONTROLS,
     {{F_ENTRY_INTR, 0x80000B0D}, {F_ENTRY_ERROR, 1u << 31}}},
    {"VMX-CTL-33", "software-interrupt-16", MODE_64, CONTROLS,
     {{F_ENTRY_INTR, 0x80000421}, {F_ENTRY_LENGTH, 16}}},
    {"VMX-CTL-33", "int1-16", MODE_64, CONTROLS,
     {{F_ENTRY_INTR, 0x80000501}, {F_ENTRY_LENGTH, 16}}},
    {"VMX-CTL-33", "software-exception-16", MODE_64, CONTROLS,
     {{F_ENTRY_INTR, 0x80000603}, {F_ENTRY_LENGTH, 16}}},
    {"VMX-CTL-35", "invalid-information", MODE_64, ENTERED,
     {{F_ENTRY_INTR, 0x7FFFFFFF}, {F_ENTRY_ERROR, UINT32_MAX}, {F_ENTRY_LENGTH, 99}}},
    /* DM-CTL-01 to DM-CTL-03, DM-DEA-02. */
    {"DM-CTL-01", "entry-to-smm", MODE_64, CONTROLS, {{0, 0}}, .entry = ENTRY_SMM},
    {"DM-CTL-02", "deactivate", MODE_64, CONTROLS, {{0, 0}}, .entry = ENTRY_DEACTIVATE},
    {"DM-CTL-03", "both", MODE_64, CONTROLS, {{0, 0}}, .entry = ENTRY_SMM | ENTRY_DEACTIVATE},
};

static const struct defect host_rows[] = {
    {"VMX-HST-03", "cr3-width", MODE_64, HOST, {{F_HOST_CR3, BEYOND_WIDTH}}},
    {"VMX-HST-04", "sysenter-esp", MODE_64, HOST, {{F_HOST_SYSENTER_ESP, NON_CANONICAL}}},
    {"VMX-HST-04", "sysenter-eip", MODE_64, HOST, {{F_HOST_SYSENTER_EIP, NON_CANONICAL}}},
    {"VMX-HST-07", "efer-lma-clear", MODE_64, HOST, {{F_HOST_EFER, EFER_LME}},
     .exit = EXIT_LOAD_EFER},
    {"VMX-HST-07", "efer-lme-clear", MODE_64, HOST, {{F_HOST_EFER, EFER_LMA}},
     .exit = EXIT_LOAD_EFER},
    {"VMX-HST-07", "efer-unused", MODE_64, ENTERED, {{F_HOST_EFER, 2}}},
    {"VMX-HST-09", "cs-zero", MODE_64, HOST, {{F_HOST_CS, 0}}},
    {"VMX-HST-09", "tr-zero", MODE_64, HOST, {{F_HOST_TR, 0}}},
    {"VMX-HST-11", "fs-base", MODE_64, HOST, {{F_HOST_FS_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "gs-base", MODE_64, HOST, {{F_HOST_GS_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "tr-base", MODE_64, HOST, {{F_HOST_TR_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "gdtr-base", MODE_64, HOST, {{F_HOST_GDTR_BASE, NON_CANONICAL}}},
    {"VMX-HST-11", "idtr-base", MODE_64, HOST, {{F_HOST_IDTR_BASE, NON_CANONICAL}}},
    {"VMX-HST-15", "cr4-pae", MODE_64, HOST, {{F_HOST_CR4, CR4_VMXE}}},
};

/* Injection: every type with every exception, with and without error code. */
static void test_error_codes(void)
{
    uint32_t wrong = 0;

    for (uint32_t vector = 0; vector < 32; vector++) {
        bool has = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

        if (vector == 21) {
            continue; /* #CP is new, and so is its code */
        }
        for (uint32_t code = 0; code < 2; code++) {
            uint32_t info = 0x80000300 | code << 11 | vector;
            uint32_t expect = !!code == has ? ENTERED : CONTROLS;

            entry_fresh(MODE_64);
            wr(F_GUEST_IDTR_LIMIT, 0); /* delivery is a triple fault */
            wr(F_ENTRY_INTR, info);
            wr(F_ENTRY_ERROR, 0);
            if (entry_outcome() != expect) {
                wrong |= 1u << vector;
            }
        }
    }
    check_eq("VMX-CTL-30", "exceptions", wrong, 0);
    wrong = 0;
    for (uint32_t bit = 0; bit < 32; bit++) {
        entry_fresh(MODE_64);
        wr(F_GUEST_IDTR_LIMIT, 0);
        wr(F_ENTRY_INTR, 0x80000B0D);
        wr(F_ENTRY_ERROR, 1u << bit);
        if (entry_outcome() != (bit < 16 ? ENTERED : CONTROLS)) {
            wrong |= 1u << bit;
        }
    }
    check_eq("VMX-CTL-32", "bit-by-bit", wrong, 0);
    for (uint32_t type = 0; type < 7; type++) {
        if (type == 1 || type == 3) {
            continue;
        }
        check("VMX-CTL-30", "other-types",
              entry_is(MODE_64, CONTROLS, F_ENTRY_INTR,
                       0x80000800 | type << 8 | (type == 2 ? 2 : 0x0D)),
              "type:%d", type);
    }
}

static void test_reserved_information(void)
{
    uint32_t wrong = 0;

    for (uint32_t bit = 12; bit < 31; bit++) {
        if (!entry_is(MODE_64, CONTROLS, F_ENTRY_INTR, 0x80000306 | 1u << bit)) {
            wrong |= 1u << bit;
        }
    }
    check_eq("VMX-CTL-31", "bits-30-12", wrong, 0);
}

/* Length 0 is allowed with IA32_VMX_MISC[30] only. */
static void test_zero_length(void)
{
    static const uint32_t events[] = {0x80000421, 0x80000501, 0x80000603};
    bool allowed = rdmsr(MSR_VMX_MISC) >> 30 & 1;

    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        entry_fresh(MODE_64);
        wr(F_GUEST_IDTR_LIMIT, 0);
        wr(F_ENTRY_INTR, events[i]);
        wr(F_ENTRY_LENGTH, 0);
        check_eq("VMX-CTL-33", "length-0", entry_outcome(),
                 allowed ? ENTERED : CONTROLS);
    }
}

static void test_eptp(void)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } rows[] = {
        {"memory-type-1", PAGE | 0x19},  {"memory-type-7", PAGE | 0x1F},
        {"walk-length-3", PAGE | 0x16},  {"walk-length-1", PAGE | 0x06},
        {"bit-8", PAGE | 0x11E},         {"bit-11", PAGE | 0x81E},
        {"width", BEYOND_WIDTH | 0x1E},  {"bit-63", 1ull << 63 | PAGE | 0x1E},
    };
    struct defect ept = {.proc2 = PROC2_EPT};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_fresh(MODE_64);
        if (!entry_controls(&ept)) {
            not_offered("VMX-CTL-15", rows[i].name);
            continue;
        }
        wr(F_EPTP, rows[i].bits);
        check_eq("VMX-CTL-15", rows[i].name, entry_outcome(), CONTROLS);
    }
    entry_fresh(MODE_64);
    if (entry_controls(&ept)) {
        bool offered = rdmsr(MSR_VMX_EPT_VPID) >> 21 & 1;

        wr(F_EPTP, PAGE | 0x5E);
        /* Nothing is mapped: the first fetch exits. */
        check_eq("VMX-CTL-16", "accessed-dirty", entry_outcome(),
                 offered ? ENTERED : CONTROLS);
    } else {
        not_offered("VMX-CTL-16", "accessed-dirty");
    }
}

static void test_apic_controls(void)
{
    static const uint32_t bits[] = {PROC2_X2APIC, PROC2_APIC_REGS, PROC2_VIRQ};

    /* Refused, be it because they are not offered. */
    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        entry_fresh(MODE_64);
        wr(F_PROC, controls(MSR_VMX_TRUE_PROC, PROC_SECONDARY));
        wr(F_PROC2, bits[i]);
        check_eq("VMX-CTL-11", "without-tpr-shadow", entry_outcome(), CONTROLS);
    }
}

static void test_list_address(void)
{
    static const uint64_t bad[] = {PAGE | 8, BEYOND_WIDTH};
    struct defect d = {.proc2 = PROC2_EPT | PROC2_VMFUNC};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        entry_fresh(MODE_64);
        if (!entry_controls(&d)) {
            not_offered("VMX-CTL-20", "eptp-list");
            continue;
        }
        wr(F_EPTP, PAGE | 0x1E);
        wr(F_VMFUNC, 1);
        wr(F_EPTP_LIST, bad[i]);
        check_eq("VMX-CTL-20", "eptp-list", entry_outcome(), CONTROLS);
    }
}

/* Every bit of a host register alone, against the fixed bits. */
static void test_host_bits(void)
{
    static const struct {
        const char *id, *name;
        uint32_t field, fixed0;
    } rows[] = {
        {"VMX-HST-01", "cr0", F_HOST_CR0, MSR_VMX_CR0_FIXED0},
        {"VMX-HST-02", "cr4", F_HOST_CR4, MSR_VMX_CR4_FIXED0},
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
                  entry_is(MODE_64, HOST, F_HOST_ES + 2 * seg,
                           selectors[seg] | 1u << bit),
                  "register:%d,bit:%d", seg, bit);
        }
    }
    for (unsigned seg = 0; seg < 6; seg++) {
        if (seg != SEG_CS) {
            check("VMX-HST-09", "others-may-be-zero",
                  entry_is(MODE_64, ENTERED, F_HOST_ES + 2 * seg, 0),
                  "register:%d", seg);
            __asm__ volatile("mov %0, %%ss" : : "r"(SEL_DATA64));
        }
    }
}

static void test_host_msrs(void)
{
    static const uint8_t bad_types[] = {2, 3, 8, 0x10, 0x86};
    static const struct defect pat = {.exit = EXIT_LOAD_PAT};
    static const struct defect efer = {.exit = EXIT_LOAD_EFER};
    uint32_t wrong = 0;
    uint64_t wrong_bits = 0;

    for (unsigned byte = 0; byte < 8; byte++) {
        for (size_t i = 0; i < ARRAY_SIZE(bad_types); i++) {
            entry_fresh(MODE_64);
            if (!entry_controls(&pat)) {
                not_offered("VMX-HST-05", "pat");
                return;
            }
            wr(F_HOST_PAT, (uint64_t)bad_types[i] << 8 * byte);
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
        wr(F_HOST_EFER, EFER_LME | EFER_LMA | mask);
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
    wr(F_EXIT, controls(MSR_VMX_TRUE_EXIT, 0) & ~EXIT_HOST_64);
    check_eq("VMX-HST-12", "32-bit-host", entry_outcome(), HOST);
    entry_fresh(MODE_64);
    wr(F_EXIT, controls(MSR_VMX_TRUE_EXIT, 0) & ~EXIT_HOST_64);
    check_eq("VMX-HST-12", "32-bit-host-64-bit-guest", entry_outcome(), HOST);

    /* RIP is written by vm_enter(); this enters by hand. */
    entry_fresh(MODE_64);
    wr(F_HOST_RSP, 0);
    wr(F_HOST_RIP, NON_CANONICAL);
    result = vmlaunch_plain();
    check_vmx("VMX-HST-15", "rip", result, HOST);
}

static void test_link(void)
{
    uint64_t page = phys(page_alloc());
    const struct {
        const char *id, *name;
        uint64_t link;
        uint32_t expect;
    } rows[] = {
        {"VMX-GST-59", "link-misaligned", 8, BAD_LINK},
        {"VMX-GST-59", "link-width", BEYOND_WIDTH, BAD_LINK},
        {"VMX-GST-60", "link-revision", page, BAD_LINK},
        /* DM-RET-29 */
        {"DM-CTL-12", "link-is-current", entry_vmcs, BAD_LINK},
        {"VMX-GST-61", "link-is-current", entry_vmcs, BAD_LINK},
        {"VMX-GST-59", "link-none", NO_VMCS, ENTERED},
        {"VMX-GST-60", "link-to-another", vmcs_alloc(), ENTERED},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_fresh(MODE_64);
        wr(F_LINK, rows[i].link);
        check_eq(rows[i].id, rows[i].name, entry_outcome(), rows[i].expect);
    }
    /* A shadow indicator without VMCS shadowing is a wrong revision. */
    write32(page, vmcs_revision() | 1u << 31);
    check("VMX-GST-60", "link-to-shadow",
          entry_is(MODE_64, BAD_LINK, F_LINK, page), "");
}

static void test_unwritten(void)
{
    /* DM-CTL-08: VMfail writes no exit information. */
    vmclear(entry_vmcs);
    memset((void *)entry_vmcs, 0, PAGE_SIZE);
    write32(entry_vmcs, vmcs_revision());
    vmptrld(entry_vmcs);
    vmcs_fill_guest(entry_guest);
    wr(F_PIN, 0);
    check_eq("VMX-CTL-36", "error", entry_outcome(), CONTROLS);
    check_eq("DM-CTL-08", "reason-untouched", rd(F_REASON), 0);
    check_eq("VMX-CTL-36", "reason-untouched", rd(F_REASON), 0);
    check_eq("VMX-CTL-36", "qualification-untouched", rd(F_QUALIFICATION), 0);
    wr(F_PIN, controls(MSR_VMX_TRUE_PIN, 0));
    /* DM-RET-68, DM-CTL-14: 200CH plays no part outside SMM. */
    wr(F_EXECUTIVE_VMCS, NO_VMCS);
    check_eq("VMX-CTL-36", "launch-state-clear", entry_outcome(), ENTERED);
    check_eq("DM-CTL-14", "repaired", rd(F_REASON), REASON_VMCALL);
}

static void test_launch_state(void)
{
    uint64_t flags;

    check_vmx("VMX-INS-39", "launched", vm_enter(&guest, LAUNCH),
              ERR_LAUNCH_NOT_CLEAR);
    check_eq("VMX-ENT-23", "resumed", vm_enter(&guest, RESUME), VMX_EXITED);
    /* Blocking by MOV SS comes before the launch state. */
    __asm__ volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0"
                     : "=r"(flags)
                     :
                     : "rax", "cc", "memory");
    check_vmx("VMX-INS-41", "mov-ss", flags & RFLAGS_ARITHMETIC, ERR_MOV_SS);
}

void run_tests(void)
{
    vmx_start();
    entry_fresh(MODE_64);
    entry_rows(control_rows, ARRAY_SIZE(control_rows));
    test_error_codes();
    test_reserved_information();
    test_zero_length();
    test_eptp();
    test_apic_controls();
    test_list_address();
    entry_rows(host_rows, ARRAY_SIZE(host_rows));
    test_host_bits();
    test_host_selectors();
    test_host_msrs();
    test_address_size();
    test_link();
    test_unwritten();
    test_launch_state();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
