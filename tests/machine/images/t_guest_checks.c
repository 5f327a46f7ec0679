/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry on the guest-state area but for segments: one defect at a
 * time, in guests of every mode, with the qualification of the failure. */
#include "entry_check.h"

#define CR4_PCIDE    (1ull << 17)
#define RFLAGS_VM    (1u << 17)
#define DEBUGCTL_BTF 2u
#define PENDING_BS   (1u << 14)
#define ENABLED_BP   (1u << 12)
#define NMI          0x80000202u
#define EXTERNAL     0x80000040u

static const struct defect rows[] = {
    {"VMX-GST-02", "pg-without-pe", MODE_32, BAD_GUEST, {{VMCS_GUEST_CR0, 0x80000020}}},
    {"VMX-GST-03", "cr4-vmxe", MODE_32, BAD_GUEST, {{VMCS_GUEST_CR4, CR4_PSE}}},
    {"VMX-GST-04", "ia32e-without-pae", MODE_64, BAD_GUEST, {{VMCS_GUEST_CR4, CR4_VMXE}}},
    {"VMX-GST-04", "ia32e-without-pg", MODE_64, BAD_GUEST, {{VMCS_GUEST_CR0, 0x21}}},
    {"VMX-GST-05", "pcide-in-32-bit", MODE_PAE, BAD_GUEST, {{VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE | CR4_PCIDE}}},
    {"VMX-GST-06", "cr3-width", MODE_64, BAD_GUEST, {{VMCS_GUEST_CR3, BEYOND_WIDTH}}},
    {"VMX-GST-06", "cr3-bit-63", MODE_64, BAD_GUEST, {{VMCS_GUEST_CR3, 1ull << 63}}},
    {"VMX-GST-06", "cr3-width-32-bit", MODE_32, BAD_GUEST, {{VMCS_GUEST_CR3, 1ull << 50}}},
    {"VMX-GST-08",
     "dr7-bit-32",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_DR7, 1ull << 32 | 0x400}},
     .entry = VMX_ENTRY_LOAD_DEBUG},
    {"VMX-GST-08",
     "dr7-bit-63",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_DR7, 1ull << 63 | 0x400}},
     .entry = VMX_ENTRY_LOAD_DEBUG},
    {"VMX-GST-09", "sysenter-esp", MODE_64, BAD_GUEST, {{VMCS_GUEST_IA32_SYSENTER_ESP, NON_CANONICAL}}},
    {"VMX-GST-09", "sysenter-eip", MODE_64, BAD_GUEST, {{VMCS_GUEST_IA32_SYSENTER_EIP, NON_CANONICAL}}},
    {"VMX-GST-09", "sysenter-eip-32-bit", MODE_32, BAD_GUEST, {{VMCS_GUEST_IA32_SYSENTER_EIP, NON_CANONICAL}}},
    {"VMX-GST-12",
     "efer-lma-clear",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_IA32_EFER, EFER_LME}},
     .entry = VMX_ENTRY_LOAD_EFER},
    {"VMX-GST-12",
     "efer-lma-set",
     MODE_32,
     BAD_GUEST,
     {{VMCS_GUEST_IA32_EFER, EFER_LMA}},
     .entry = VMX_ENTRY_LOAD_EFER},
    {"VMX-GST-13",
     "efer-lme-clear",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_IA32_EFER, EFER_LMA}},
     .entry = VMX_ENTRY_LOAD_EFER},
    {"VMX-GST-13",
     "efer-lme-set",
     MODE_32,
     BAD_GUEST,
     {{VMCS_GUEST_IA32_EFER, EFER_LME}},
     .entry = VMX_ENTRY_LOAD_EFER},
    {"VMX-GST-13",
     "efer-good",
     MODE_32,
     ENTERED,
     {{VMCS_GUEST_IA32_EFER, EFER_NXE | EFER_SCE}},
     .entry = VMX_ENTRY_LOAD_EFER},

    {"VMX-GST-36", "gdtr-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_GDTR_BASE, NON_CANONICAL}}},
    {"VMX-GST-36", "idtr-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_IDTR_BASE, NON_CANONICAL}}},
    {"VMX-GST-37", "gdtr-limit", MODE_64, BAD_GUEST, {{VMCS_GUEST_GDTR_LIMIT, 0x10000}}},
    {"VMX-GST-37", "gdtr-limit-31", MODE_64, BAD_GUEST, {{VMCS_GUEST_GDTR_LIMIT, 1u << 31}}},
    {"VMX-GST-37", "idtr-limit", MODE_64, BAD_GUEST, {{VMCS_GUEST_IDTR_LIMIT, 0x10000}}},
    {"VMX-GST-37", "idtr-limit-31", MODE_64, BAD_GUEST, {{VMCS_GUEST_IDTR_LIMIT, 1u << 31}}},

    {"VMX-GST-38", "rip-in-compatibility", MODE_COMPAT, BAD_GUEST, {{VMCS_GUEST_RIP, 1ull << 32}}},
    {"VMX-GST-38", "rip-in-32-bit", MODE_32, BAD_GUEST, {{VMCS_GUEST_RIP, 1ull << 32}}},
    {"VMX-GST-39", "rip-not-canonical", MODE_64, BAD_GUEST, {{VMCS_GUEST_RIP, NON_CANONICAL}}},
    {"VMX-GST-39", "rip-bit-63", MODE_64, BAD_GUEST, {{VMCS_GUEST_RIP, 1ull << 63}}},
    {"VMX-GST-41", "vm-in-ia32e", MODE_64, BAD_GUEST, {{VMCS_GUEST_RFLAGS, RFLAGS_VM | 2}}},
    {"VMX-GST-41", "vm-in-compatibility", MODE_COMPAT, BAD_GUEST, {{VMCS_GUEST_RFLAGS, RFLAGS_VM | 2}}},
    {"VMX-GST-42", "external-without-if", MODE_64, BAD_GUEST, {{VMCS_ENTRY_INTERRUPTION_INFO, EXTERNAL}}},
    {"VMX-GST-42",
     "external-with-if",
     MODE_64,
     ENTERED,
     {{VMCS_ENTRY_INTERRUPTION_INFO, EXTERNAL}, {VMCS_GUEST_RFLAGS, 0x202}, {VMCS_GUEST_IDTR_LIMIT, 0}}},

    {"VMX-GST-43", "activity-4", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACTIVITY_STATE, 4}}},
    {"VMX-GST-43", "activity-31", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACTIVITY_STATE, 1u << 31}}},
    {"VMX-GST-44",
     "hlt-at-cpl-3",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT},
      {VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), 0xC0F3},
      {VMCS_GUEST_SS_SELECTOR, SEL_USER_DATA | 3}}},
    {"VMX-GST-45",
     "hlt-with-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-45",
     "hlt-with-sti",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI},
      {VMCS_GUEST_RFLAGS, 0x202}}},
    {"VMX-GST-45",
     "shutdown-with-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACTIVITY_STATE, 2}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-45",
     "wait-for-sipi-with-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACTIVITY_STATE, 3}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-50",
     "sti-and-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_INTERRUPTIBILITY_STATE, 3}, {VMCS_GUEST_RFLAGS, 0x202}}},
    {"VMX-GST-51", "sti-without-if", MODE_64, BAD_GUEST, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI}}},
    {"VMX-GST-51",
     "sti-with-if",
     MODE_64,
     ENTERED,
     {{VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI}, {VMCS_GUEST_RFLAGS, 0x202}}},
    {"VMX-GST-52",
     "external-with-sti",
     MODE_64,
     BAD_GUEST,
     {{VMCS_ENTRY_INTERRUPTION_INFO, EXTERNAL},
      {VMCS_GUEST_RFLAGS, 0x202},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI}}},
    {"VMX-GST-52",
     "external-with-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_ENTRY_INTERRUPTION_INFO, EXTERNAL},
      {VMCS_GUEST_RFLAGS, 0x202},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-53",
     "nmi-with-mov-ss",
     MODE_64,
     BAD_GUEST,
     {{VMCS_ENTRY_INTERRUPTION_INFO, NMI}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-54",
     "nmi-with-sti",
     MODE_64,
     GUEST_STATE(3),
     {{VMCS_ENTRY_INTERRUPTION_INFO, NMI},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI},
      {VMCS_GUEST_RFLAGS, 0x202}}},
    {"VMX-GST-55",
     "nmi-with-virtual-nmi-blocking",
     MODE_64,
     BAD_GUEST,
     {{VMCS_ENTRY_INTERRUPTION_INFO, NMI}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI}},
     .pin = VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS},
    {"VMX-GST-55",
     "nmi-with-nmi-blocking",
     MODE_64,
     ENTERED,
     {{VMCS_ENTRY_INTERRUPTION_INFO, NMI},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI},
      {VMCS_GUEST_IDTR_LIMIT, 0}}},
    /* DM-CTL-11: outside SMM interruptibility bit 2 must be 0. */
    {"DM-CTL-11", "blocked-by-smi", MODE_64, BAD_GUEST, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI}}},
    {"VMX-GST-56", "blocked-by-smi", MODE_64, BAD_GUEST, {{VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI}}},

    {"VMX-GST-58",
     "bs-without-tf",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-58",
     "tf-without-bs",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_RFLAGS, RFLAGS_TF | 2}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS}}},
    {"VMX-GST-58",
     "sti-tf-without-bs",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_RFLAGS, RFLAGS_TF | 0x202}, {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_STI}}},
    {"VMX-GST-58",
     "hlt-tf-without-bs",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_RFLAGS, RFLAGS_TF | 2}, {VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT}}},
    {"VMX-GST-58",
     "bs-with-btf",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_RFLAGS, RFLAGS_TF | 2},
      {VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS},
      {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS},
      {VMCS_GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF}}},
    {"VMX-GST-58",
     "active-bs-without-tf",
     MODE_64,
     ENTERED,
     {{VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS}, {VMCS_GUEST_IDTR_LIMIT, 0}}},
};

/* The name of a 16-bit word where only single bits fail. */
static void every_bit(const char *id, const char *name, uint32_t field, uint64_t good,
                      uint64_t bits)
{
    uint64_t wrong = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = 1ull << bit;

        if ((bits & mask) && !entry_is(MODE_64, BAD_GUEST, field, good ^ mask)) {
            wrong |= mask;
        }
    }
    check(id, name, bits && !wrong, "bits:%q,wrong:%q", bits, wrong);
}

static void test_control_registers(void)
{
    uint64_t cr0 = rdmsr(MSR_VMX_CR0_FIXED0) | ~rdmsr(MSR_VMX_CR0_FIXED1);
    uint64_t cr4 = rdmsr(MSR_VMX_CR4_FIXED0) | ~rdmsr(MSR_VMX_CR4_FIXED1);

    every_bit("VMX-GST-01", "cr0", VMCS_GUEST_CR0, read_cr0(), cr0);
    every_bit("VMX-GST-03", "cr4", VMCS_GUEST_CR4, read_cr4(), cr4);
    every_bit("VMX-GST-40", "rflags", VMCS_GUEST_RFLAGS, 2,
              2 | 1u << 3 | 1u << 5 | 1u << 15 | ~0x3FFFFFull);
    every_bit("VMX-GST-49", "interruptibility", VMCS_GUEST_INTERRUPTIBILITY_STATE, 0, 0xFFFFFFF0);
    every_bit("VMX-GST-57", "pending-debug", VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0,
              ~(uint64_t)(0xF | ENABLED_BP | PENDING_BS));
    every_bit("VMX-GST-36", "bits-of-gdtr-base", VMCS_GUEST_GDTR_BASE, 0, 0xFFFFull << 47);
}

/* The values that WRMSR refuses are those that VM entry refuses. */
static void test_debugctl(void)
{
    static const struct defect load = {.entry = VMX_ENTRY_LOAD_DEBUG};
    uint64_t wrong = 0;

    for (unsigned bit = 0; bit < 64; bit++) {
        bool refused = try_wrmsr(MSR_DEBUGCTL, 1ull << bit) != NO_FAULT;

        (void)try_wrmsr(MSR_DEBUGCTL, 0);
        entry_fresh(MODE_64);
        if (!entry_controls(&load)) {
            not_offered("VMX-GST-07", "debugctl");
            return;
        }
        wr(VMCS_GUEST_IA32_DEBUGCTL, 1ull << bit);
        if (entry_outcome() != (refused ? BAD_GUEST : ENTERED)) {
            wrong |= 1ull << bit;
        }
    }
    check_eq("VMX-GST-07", "debugctl", wrong, 0);
    check("VMX-GST-07", "debugctl-unused",
          entry_is(MODE_64, ENTERED, VMCS_GUEST_IA32_DEBUGCTL, UINT64_MAX), "");
    check("VMX-GST-08", "dr7-unused",
          entry_is(MODE_64, ENTERED, VMCS_GUEST_DR7, UINT64_MAX), "");
}

static void test_msrs(void)
{
    static const uint8_t types[] = {0, 1, 4, 5, 6, 7, 2, 3, 8, 0x10, 0x86};
    static const struct defect pat = {.entry = VMX_ENTRY_LOAD_PAT};
    static const struct defect efer = {.entry = VMX_ENTRY_LOAD_EFER};
    uint32_t wrong = 0;
    uint64_t wrong_bits = 0;

    for (unsigned byte = 0; byte < 8; byte++) {
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
            entry_fresh(MODE_64);
            if (!entry_controls(&pat)) {
                not_offered("VMX-GST-10", "pat");
                return;
            }
            wr(VMCS_GUEST_IA32_PAT, (uint64_t)types[i] << 8 * byte);
            if (entry_outcome() != (i < 6 ? ENTERED : BAD_GUEST)) {
                wrong |= 1u << byte;
            }
        }
    }
    wrmsr(MSR_PAT, 0x0007040600070406);
    check_eq("VMX-GST-10", "pat", wrong, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = 1ull << bit;

        if (mask & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) {
            continue;
        }
        entry_fresh(MODE_64);
        if (!entry_controls(&efer)) {
            not_offered("VMX-GST-11", "efer");
            return;
        }
        wr(VMCS_GUEST_IA32_EFER, EFER_LME | EFER_LMA | mask);
        if (entry_outcome() != BAD_GUEST) {
            wrong_bits |= mask;
        }
    }
    check_eq("VMX-GST-11", "efer", wrong_bits, 0);
}

/* What may be injected into HLT (1) and shutdown (2); IDT limit 0 turns what is
 * delivered into a triple fault, so that the guest ends. */
static void test_injection(const char *id, const char *name, uint32_t activity)
{
    uint32_t wrong = 0;

    if (!(rdmsr(MSR_VMX_MISC) >> (5 + activity) & 1)) {
        not_offered(id, name);
        return;
    }
    for (uint32_t vector = 0; vector < 21; vector++) {
        bool code = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
        bool good = vector == 18 || (activity == VMX_ACTIVITY_HLT && vector == 1);

        entry_fresh(MODE_64);
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        wr(VMCS_GUEST_ACTIVITY_STATE, activity);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000300 | (code ? 0x800 : 0) | vector);
        wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
        if (entry_outcome() != (good ? ENTERED : BAD_GUEST)) {
            wrong |= 1u << vector;
        }
    }
    check_eq(id, name, wrong, 0);

    static const struct {
        const char *name;
        uint32_t info;
        bool hlt, shutdown;
    } rows2[] = {
        {"external", EXTERNAL, true, false},
        {"nmi", NMI, true, true},
        {"software-interrupt", 0x80000421, false, false},
        {"int1", 0x80000501, false, false},
        {"int3", 0x80000603, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows2); i++) {
        bool good = activity == VMX_ACTIVITY_HLT ? rows2[i].hlt : rows2[i].shutdown;

        entry_fresh(MODE_64);
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        wr(VMCS_GUEST_RFLAGS, 0x202);
        wr(VMCS_GUEST_ACTIVITY_STATE, activity);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, rows2[i].info);
        wr(VMCS_ENTRY_INSTRUCTION_LENGTH, 1);
        check_eq(id, rows2[i].name, entry_outcome(), good ? ENTERED : BAD_GUEST);
    }
}

static void test_wait_for_sipi(void)
{
    static const uint32_t events[] = {EXTERNAL, NMI, 0x80000312, 0x80000301, 0x80000421};

    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        if (!(rdmsr(MSR_VMX_MISC) >> 8 & 1)) {
            not_offered("VMX-GST-48", "wait-for-sipi");
            continue;
        }
        entry_fresh(MODE_64);
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        wr(VMCS_GUEST_RFLAGS, 0x202);
        wr(VMCS_GUEST_ACTIVITY_STATE, 3);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, events[i]);
        wr(VMCS_ENTRY_INSTRUCTION_LENGTH, 1);
        check_eq("VMX-GST-48", "wait-for-sipi", entry_outcome(), BAD_GUEST);
    }
    for (uint32_t state = 1; state < 4; state++) {
        if (!(rdmsr(MSR_VMX_MISC) >> (5 + state) & 1)) {
            check("VMX-CAP-17", "state-not-offered",
                  entry_is(MODE_64, BAD_GUEST, VMCS_GUEST_ACTIVITY_STATE, state), "state:%d", state);
        }
    }
}

/* PDPTEs of a PAE guest: reserved bits of each entry, present or not. */
static void test_pdptes(void)
{
    uint64_t reserved = 0x1E6 | ~((1ull << 40) - 1);
    uint64_t pdpt, wrong = 0, wrong_absent = 0;

    entry_fresh(MODE_PAE);
    pdpt = rd(VMCS_GUEST_CR3);
    check_eq("VMX-GST-62", "good", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-14", "pae-guest", rd(VMCS_EXIT_REASON), VMX_REASON_VMCALL);
    for (unsigned entry = 0; entry < 4; entry++) {
        uint64_t old = read64(pdpt + 8 * entry);

        for (unsigned bit = 1; bit < 64; bit++) {
            uint64_t mask = 1ull << bit;

            if (!(reserved & mask)) {
                continue;
            }
            entry_fresh(MODE_PAE);
            write64(pdpt + 8 * entry, old | mask);
            if (entry_outcome() != BAD_PDPTE) {
                wrong |= mask;
            }
            write64(pdpt + 8 * entry, old);
            if (entry == 3) { /* not used by the guest */
                entry_fresh(MODE_PAE);
                write64(pdpt + 8 * entry, mask);
                if (entry_outcome() != ENTERED) {
                    wrong_absent |= mask;
                }
                write64(pdpt + 8 * entry, old);
            }
        }
    }
    check("VMX-GST-62", "reserved-bits", reserved && !wrong, "bits:%q,wrong:%q", reserved, wrong);
    check_eq("VMX-GST-62", "absent-entries-unchecked", wrong_absent, 0);
    /* 32-bit paging has none. */
    check("VMX-GST-62", "not-without-pae", entry_is(MODE_32, ENTERED, VMCS_GUEST_DR7, 0x400), "");
}

static void test_qualification(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_LINK_POINTER, 8);
    check_eq("VMX-GST-64", "link", entry_outcome(), BAD_LINK);
    check("VMX-GST-64", "others", entry_is(MODE_64, BAD_GUEST, VMCS_GUEST_RFLAGS, 0), "");
    check_eq("VMX-ENT-19", "reason", rd(VMCS_EXIT_REASON), REASON_BAD_GUEST);
}

void run_tests(void)
{
    vmx_start();
    entry_fresh(MODE_64);
    entry_rows(rows, ARRAY_SIZE(rows));
    test_control_registers();
    test_debugctl();
    test_msrs();
    test_injection("VMX-GST-46", "hlt", VMX_ACTIVITY_HLT);
    test_injection("VMX-GST-47", "shutdown", 2);
    test_wait_for_sipi();
    test_pdptes();
    test_qualification();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
