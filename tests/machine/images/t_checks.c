/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry on control fields (error 7) and the VMCS link pointer, one
 * defect at a time. */
#include "entry_check.h"

#define PROC2_APIC_REGS (1u << 8)
#define PROC2_VIRQ      (1u << 9)

#define PAGE 0x2000000ull /* RAM that nobody uses */
/* Last entry of an area would be beyond 40 bits; the first is not. */
#define NEAR_THE_END 0xFFFFFFFFF0ull

static const struct defect control_rows[] = {
    {"VMX-CTL-05", "cr3-targets-5", MODE_64, CONTROLS, {{VMCS_CR3_TARGET_COUNT, 5}}},
    {"VMX-CTL-05", "cr3-targets-4", MODE_64, ENTERED, {{VMCS_CR3_TARGET_COUNT, 4}}},
    {"VMX-CTL-06",
     "io-bitmap-a-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_IO_BITMAP_A, PAGE | 0x800}, {VMCS_IO_BITMAP_B, PAGE}},
     .proc = VMX_CPU_IO_BITMAPS},
    {"VMX-CTL-06",
     "io-bitmap-b-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_IO_BITMAP_A, PAGE}, {VMCS_IO_BITMAP_B, PAGE | 1}},
     .proc = VMX_CPU_IO_BITMAPS},
    {"VMX-CTL-06",
     "io-bitmap-a-width",
     MODE_64,
     CONTROLS,
     {{VMCS_IO_BITMAP_A, BEYOND_WIDTH}, {VMCS_IO_BITMAP_B, PAGE}},
     .proc = VMX_CPU_IO_BITMAPS},
    {"VMX-CTL-06",
     "io-bitmap-b-width",
     MODE_64,
     CONTROLS,
     {{VMCS_IO_BITMAP_A, PAGE}, {VMCS_IO_BITMAP_B, BEYOND_WIDTH}},
     .proc = VMX_CPU_IO_BITMAPS},
    {"VMX-CTL-06",
     "io-bitmaps-good",
     MODE_64,
     ENTERED,
     {{VMCS_IO_BITMAP_A, PAGE}, {VMCS_IO_BITMAP_B, PAGE}},
     .proc = VMX_CPU_IO_BITMAPS},
    {"VMX-CTL-06", "io-bitmaps-unused", MODE_64, ENTERED, {{VMCS_IO_BITMAP_A, 1}, {VMCS_IO_BITMAP_B, BEYOND_WIDTH}}},
    {"VMX-CTL-07",
     "msr-bitmap-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_MSR_BITMAP, PAGE | 0x10}},
     .proc = VMX_CPU_MSR_BITMAPS},
    {"VMX-CTL-07",
     "msr-bitmap-width",
     MODE_64,
     CONTROLS,
     {{VMCS_MSR_BITMAP, BEYOND_WIDTH}},
     .proc = VMX_CPU_MSR_BITMAPS},
    {"VMX-CTL-08",
     "virtual-apic-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_VIRTUAL_APIC_ADDRESS, PAGE | 0x80}, {VMCS_TPR_THRESHOLD, 0}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-08",
     "virtual-apic-width",
     MODE_64,
     CONTROLS,
     {{VMCS_VIRTUAL_APIC_ADDRESS, BEYOND_WIDTH}, {VMCS_TPR_THRESHOLD, 0}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-08",
     "virtual-apic-good",
     MODE_64,
     ENTERED,
     {{VMCS_VIRTUAL_APIC_ADDRESS, PAGE}, {VMCS_TPR_THRESHOLD, 0}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-09",
     "tpr-threshold-bit-4",
     MODE_64,
     CONTROLS,
     {{VMCS_VIRTUAL_APIC_ADDRESS, PAGE}, {VMCS_TPR_THRESHOLD, 0x10}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-09",
     "tpr-threshold-bit-31",
     MODE_64,
     CONTROLS,
     {{VMCS_VIRTUAL_APIC_ADDRESS, PAGE}, {VMCS_TPR_THRESHOLD, 1u << 31}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-10",
     "tpr-threshold-above-vtpr",
     MODE_64,
     CONTROLS,
     {{VMCS_VIRTUAL_APIC_ADDRESS, PAGE}, {VMCS_TPR_THRESHOLD, 1}},
     .proc = VMX_CPU_TPR_SHADOW},
    {"VMX-CTL-12", "virtual-nmis-alone", MODE_64, CONTROLS, {{0, 0}}, .pin = VMX_PIN_VIRTUAL_NMIS},
    {"VMX-CTL-12",
     "virtual-nmis-with-nmi-exiting",
     MODE_64,
     ENTERED,
     {{0, 0}},
     .pin = VMX_PIN_VIRTUAL_NMIS | VMX_PIN_NMI},
    {"VMX-CTL-13", "nmi-window-alone", MODE_64, CONTROLS, {{0, 0}}, .proc = VMX_CPU_NMI_WINDOW},
    {"VMX-CTL-13",
     "nmi-window-with-nmi-exiting",
     MODE_64,
     CONTROLS,
     {{0, 0}},
     .pin = VMX_PIN_NMI,
     .proc = VMX_CPU_NMI_WINDOW},
    {"VMX-CTL-14",
     "apic-access-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_APIC_ACCESS_ADDRESS, PAGE | 1}},
     .proc2 = VMX_CPU2_APIC_ACCESSES},
    {"VMX-CTL-14",
     "apic-access-width",
     MODE_64,
     CONTROLS,
     {{VMCS_APIC_ACCESS_ADDRESS, BEYOND_WIDTH}},
     .proc2 = VMX_CPU2_APIC_ACCESSES},
    {"VMX-CTL-14",
     "apic-access-good",
     MODE_64,
     ENTERED,
     {{VMCS_APIC_ACCESS_ADDRESS, PAGE}},
     .proc2 = VMX_CPU2_APIC_ACCESSES},
    {"VMX-CTL-17", "vpid-0", MODE_64, CONTROLS, {{0, 0}}, .proc2 = VMX_CPU2_VPID},
    {"VMX-CTL-18", "unrestricted-without-ept", MODE_64, CONTROLS, {{0, 0}}, .proc2 = VMX_CPU2_UNRESTRICTED_GUEST},
    {"VMX-CTL-19", "function-1", MODE_64, CONTROLS, {{VMCS_VM_FUNCTION_CONTROLS, 2}}, .proc2 = VMX_CPU2_VMFUNC},
    {"VMX-CTL-19",
     "eptp-switching-without-ept",
     MODE_64,
     CONTROLS,
     {{VMCS_VM_FUNCTION_CONTROLS, 1}, {VMCS_EPTP_LIST_ADDRESS, PAGE}},
     .proc2 = VMX_CPU2_VMFUNC},
    {"VMX-CTL-19", "no-function", MODE_64, ENTERED, {{VMCS_VM_FUNCTION_CONTROLS, 0}}, .proc2 = VMX_CPU2_VMFUNC},
    {"VMX-CTL-22", "save-timer-alone", MODE_64, CONTROLS, {{0, 0}}, .exit = VMX_EXIT_SAVE_PREEMPTION_TIMER},
    {"VMX-CTL-23",
     "exit-store-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_STORE_ADDRESS, PAGE | 8}, {VMCS_EXIT_MSR_STORE_COUNT, 1}}},
    {"VMX-CTL-23",
     "exit-store-width",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_STORE_ADDRESS, BEYOND_WIDTH}, {VMCS_EXIT_MSR_STORE_COUNT, 1}}},
    {"VMX-CTL-23",
     "exit-store-last-byte",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_STORE_ADDRESS, NEAR_THE_END}, {VMCS_EXIT_MSR_STORE_COUNT, 2}}},
    {"VMX-CTL-24",
     "exit-load-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_LOAD_ADDRESS, PAGE | 4}, {VMCS_EXIT_MSR_LOAD_COUNT, 1}}},
    {"VMX-CTL-24",
     "exit-load-width",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_LOAD_ADDRESS, BEYOND_WIDTH}, {VMCS_EXIT_MSR_LOAD_COUNT, 1}}},
    {"VMX-CTL-24",
     "exit-load-last-byte",
     MODE_64,
     CONTROLS,
     {{VMCS_EXIT_MSR_LOAD_ADDRESS, NEAR_THE_END}, {VMCS_EXIT_MSR_LOAD_COUNT, 2}}},
    {"VMX-CTL-25",
     "areas-of-count-0",
     MODE_64,
     ENTERED,
     {{VMCS_EXIT_MSR_LOAD_ADDRESS, 1}, {VMCS_EXIT_MSR_STORE_ADDRESS, BEYOND_WIDTH}, {VMCS_ENTRY_MSR_LOAD_ADDRESS, 3}}},
    {"VMX-CTL-34",
     "entry-load-alignment",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_MSR_LOAD_ADDRESS, PAGE | 2}, {VMCS_ENTRY_MSR_LOAD_COUNT, 1}}},
    {"VMX-CTL-34",
     "entry-load-width",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_MSR_LOAD_ADDRESS, BEYOND_WIDTH}, {VMCS_ENTRY_MSR_LOAD_COUNT, 1}}},
    {"VMX-CTL-34",
     "entry-load-last-byte",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_MSR_LOAD_ADDRESS, NEAR_THE_END}, {VMCS_ENTRY_MSR_LOAD_COUNT, 2}}},
    {"VMX-CTL-27", "inject-type-1", MODE_64, CONTROLS, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000120}}},
    {"VMX-CTL-27", "inject-type-7-vector-1", MODE_64, CONTROLS, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000701}}},
    {"VMX-CTL-28", "inject-nmi-vector-3", MODE_64, CONTROLS, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000203}}},
    {"VMX-CTL-28", "inject-nmi-vector-0", MODE_64, CONTROLS, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000200}}},
    {"VMX-CTL-29", "inject-exception-32", MODE_64, CONTROLS, {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000320}}},
    {"VMX-CTL-32",
     "inject-code-bit-16",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D}, {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0x10000}}},
    {"VMX-CTL-32",
     "inject-code-bit-31",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D}, {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 1u << 31}}},
    {"VMX-CTL-33",
     "software-interrupt-16",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000421}, {VMCS_ENTRY_INSTRUCTION_LENGTH, 16}}},
    {"VMX-CTL-33",
     "int1-16",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000501}, {VMCS_ENTRY_INSTRUCTION_LENGTH, 16}}},
    {"VMX-CTL-33",
     "software-exception-16",
     MODE_64,
     CONTROLS,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x80000603}, {VMCS_ENTRY_INSTRUCTION_LENGTH, 16}}},
    {"VMX-CTL-35",
     "invalid-information",
     MODE_64,
     ENTERED,
     {{VMCS_ENTRY_INTERRUPTION_INFO, 0x7FFFFFFF},
      {VMCS_ENTRY_EXCEPTION_ERROR_CODE, UINT32_MAX},
      {VMCS_ENTRY_INSTRUCTION_LENGTH, 99}}},
    /* DM-CTL-01 to DM-CTL-03, DM-DEA-02. */
    {"DM-CTL-01", "entry-to-smm", MODE_64, CONTROLS, {{0, 0}}, .entry = VMX_ENTRY_TO_SMM},
    {"DM-CTL-02", "deactivate", MODE_64, CONTROLS, {{0, 0}}, .entry = VMX_ENTRY_DEACTIVATE},
    {"DM-CTL-03", "both", MODE_64, CONTROLS, {{0, 0}}, .entry = VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE},
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
            wr(VMCS_GUEST_IDTR_LIMIT, 0); /* delivery is a triple fault */
            wr(VMCS_ENTRY_INTERRUPTION_INFO, info);
            wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
            if (entry_outcome() != expect) {
                wrong |= 1u << vector;
            }
        }
    }
    check_eq("VMX-CTL-30", "exceptions", wrong, 0);
    wrong = 0;
    for (uint32_t bit = 0; bit < 32; bit++) {
        entry_fresh(MODE_64);
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D);
        wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 1u << bit);
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
              entry_is(MODE_64, CONTROLS, VMCS_ENTRY_INTERRUPTION_INFO,
                       0x80000800 | type << 8 | (type == 2 ? 2 : 0x0D)),
              "type:%d", type);
    }
}

static void test_reserved_information(void)
{
    uint32_t wrong = 0;

    for (uint32_t bit = 12; bit < 31; bit++) {
        if (!entry_is(MODE_64, CONTROLS, VMCS_ENTRY_INTERRUPTION_INFO, 0x80000306 | 1u << bit)) {
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
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, events[i]);
        wr(VMCS_ENTRY_INSTRUCTION_LENGTH, 0);
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
    struct defect ept = {.proc2 = VMX_CPU2_EPT};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_fresh(MODE_64);
        if (!entry_controls(&ept)) {
            not_offered("VMX-CTL-15", rows[i].name);
            continue;
        }
        wr(VMCS_EPT_POINTER, rows[i].bits);
        check_eq("VMX-CTL-15", rows[i].name, entry_outcome(), CONTROLS);
    }
    entry_fresh(MODE_64);
    if (entry_controls(&ept)) {
        bool offered = rdmsr(MSR_VMX_EPT_VPID) >> 21 & 1;

        wr(VMCS_EPT_POINTER, PAGE | 0x5E);
        /* Nothing is mapped: the first fetch exits. */
        check_eq("VMX-CTL-16", "accessed-dirty", entry_outcome(),
                 offered ? ENTERED : CONTROLS);
    } else {
        not_offered("VMX-CTL-16", "accessed-dirty");
    }
}

static void test_apic_controls(void)
{
    static const uint32_t bits[] = {VMX_CPU2_X2APIC, PROC2_APIC_REGS, PROC2_VIRQ};

    /* Refused, be it because they are not offered. */
    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        entry_fresh(MODE_64);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, bits[i]);
        check_eq("VMX-CTL-11", "without-tpr-shadow", entry_outcome(), CONTROLS);
    }
}

static void test_list_address(void)
{
    static const uint64_t bad[] = {PAGE | 8, BEYOND_WIDTH};
    struct defect d = {.proc2 = VMX_CPU2_EPT | VMX_CPU2_VMFUNC};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        entry_fresh(MODE_64);
        if (!entry_controls(&d)) {
            not_offered("VMX-CTL-20", "eptp-list");
            continue;
        }
        wr(VMCS_EPT_POINTER, PAGE | 0x1E);
        wr(VMCS_VM_FUNCTION_CONTROLS, 1);
        wr(VMCS_EPTP_LIST_ADDRESS, bad[i]);
        check_eq("VMX-CTL-20", "eptp-list", entry_outcome(), CONTROLS);
    }
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
        wr(VMCS_LINK_POINTER, rows[i].link);
        check_eq(rows[i].id, rows[i].name, entry_outcome(), rows[i].expect);
    }
    /* A shadow indicator without VMCS shadowing is a wrong revision. */
    write32(page, vmcs_revision() | 1u << 31);
    check("VMX-GST-60", "link-to-shadow",
          entry_is(MODE_64, BAD_LINK, VMCS_LINK_POINTER, page), "");
}

static void test_unwritten(void)
{
    /* DM-CTL-08: VMfail writes no exit information. */
    vmclear(entry_vmcs);
    memset((void *)entry_vmcs, 0, PAGE_SIZE);
    write32(entry_vmcs, vmcs_revision());
    vmptrld(entry_vmcs);
    vmcs_fill_guest(entry_guest);
    wr(VMCS_PIN_CONTROLS, 0);
    check_eq("VMX-CTL-36", "error", entry_outcome(), CONTROLS);
    check_eq("DM-CTL-08", "reason-untouched", rd(VMCS_EXIT_REASON), 0);
    check_eq("VMX-CTL-36", "reason-untouched", rd(VMCS_EXIT_REASON), 0);
    check_eq("VMX-CTL-36", "qualification-untouched", rd(VMCS_EXIT_QUALIFICATION), 0);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, 0));
    /* DM-RET-68, DM-CTL-14: 200CH plays no part outside SMM. */
    wr(VMCS_EXECUTIVE_VMCS_POINTER, NO_VMCS);
    check_eq("VMX-CTL-36", "launch-state-clear", entry_outcome(), ENTERED);
    check_eq("DM-CTL-14", "repaired", rd(VMCS_EXIT_REASON), VMX_REASON_VMCALL);
}

static void test_launch_state(void)
{
    uint64_t flags;

    check_vmx("VMX-INS-39", "launched", vm_enter(&guest, LAUNCH),
              VMX_ERROR_VMLAUNCH_NOT_CLEAR);
    check_eq("VMX-ENT-23", "resumed", vm_enter(&guest, RESUME), VMX_EXITED);
    /* Blocking by MOV SS comes before the launch state. */
    __asm__ volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0"
                     : "=r"(flags)
                     :
                     : "rax", "cc", "memory");
    check_vmx("VMX-INS-41", "mov-ss", flags & RFLAGS_ARITHMETIC, VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS);
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
    test_link();
    test_unwritten();
    test_launch_state();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
