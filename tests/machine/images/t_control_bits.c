/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every control, one bit at a time, from the smallest setting of the plain and
 * of the TRUE capability MSRs: refused with error 7 exactly where it must be. */
#include "entry_check.h"

#define PAGE            0x2000000ull

struct word {
    const char *id, *name;
    uint32_t field, plain, exact; /* exact: the TRUE MSR, or the plain one */
};

static const struct word words[] = {
    {"VMX-CTL-01", "pin", VMCS_PIN_CONTROLS, MSR_VMX_PIN, MSR_VMX_TRUE_PIN},
    {"VMX-CTL-02", "proc", VMCS_PROCESSOR_CONTROLS, MSR_VMX_PROC, MSR_VMX_TRUE_PROC},
    {"VMX-CTL-03", "proc2", VMCS_SECONDARY_CONTROLS, MSR_VMX_PROC2, MSR_VMX_PROC2},
    {"VMX-CTL-21", "exit", VMCS_EXIT_CONTROLS, MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT},
    {"VMX-CTL-26", "entry", VMCS_ENTRY_CONTROLS, MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY},
};

static bool offered(uint32_t msr, uint32_t bits)
{
    return ((uint32_t)(capability(msr) >> 32) & bits) == bits;
}

/* What a control needs besides itself, so that it alone is judged; false if the
 * processor does not offer that. */
static bool companions(uint32_t field, uint32_t bit)
{
    if (field == VMCS_PIN_CONTROLS && bit == VMX_PIN_VIRTUAL_NMIS) {
        if (!offered(MSR_VMX_TRUE_PIN, VMX_PIN_NMI)) {
            return false;
        }
        wr(VMCS_PIN_CONTROLS, rd(VMCS_PIN_CONTROLS) | VMX_PIN_NMI);
    }
    if (field == VMCS_PROCESSOR_CONTROLS && bit == VMX_CPU_NMI_WINDOW) {
        if (!offered(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS)) {
            return false;
        }
        wr(VMCS_PIN_CONTROLS, rd(VMCS_PIN_CONTROLS) | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    }
    if (field == VMCS_EXIT_CONTROLS && bit == VMX_EXIT_SAVE_PREEMPTION_TIMER) {
        if (!offered(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER)) {
            return false;
        }
        wr(VMCS_PIN_CONTROLS, rd(VMCS_PIN_CONTROLS) | VMX_PIN_PREEMPTION_TIMER);
    }
    if (field != VMCS_SECONDARY_CONTROLS) {
        return true;
    }
    if (bit == VMX_CPU2_EPT || bit == VMX_CPU2_UNRESTRICTED_GUEST) {
        if (!offered(MSR_VMX_PROC2, VMX_CPU2_EPT)) {
            return bit == VMX_CPU2_EPT;
        }
        wr(VMCS_SECONDARY_CONTROLS, rd(VMCS_SECONDARY_CONTROLS) | VMX_CPU2_EPT);
        wr(VMCS_EPT_POINTER, PAGE | 0x1E);
    }
    if (bit == VMX_CPU2_VPID) {
        (void)vmwrite_flags(VMCS_VPID, 1);
    }
    if (bit == VMX_CPU2_VMFUNC) {
        (void)vmwrite_flags(VMCS_VM_FUNCTION_CONTROLS, 0); /* there is none if it is not offered */
    }
    return true;
}

static void fresh(bool secondary)
{
    entry_fresh(MODE_64);
    if (secondary) {
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, 0);
    }
}

static void test_word(const struct word *word, uint32_t base_msr, const char *base)
{
    uint64_t exact = capability(word->exact);
    uint32_t allowed0 = (uint32_t)exact, allowed1 = (uint32_t)(exact >> 32);
    uint32_t accepted = 0, refused = 0;

    for (unsigned i = 0; i < 32; i++) {
        uint32_t bit = 1u << i, good, outcome;
        bool legal;

        fresh(word->field == VMCS_SECONDARY_CONTROLS);
        good = (uint32_t)rd(word->field) | (uint32_t)capability(base_msr);
        if (word->field == VMCS_PROCESSOR_CONTROLS && bit == VMX_CPU_SECONDARY_CONTROLS) {
            wr(VMCS_SECONDARY_CONTROLS, 0);
        }
        wr(word->field, good ^ bit);
        if (!companions(word->field, good & bit ? 0 : bit)) {
            continue;
        }
        legal = good & bit ? !(allowed0 & bit) : allowed1 & bit;
        if (word->field == VMCS_ENTRY_CONTROLS && (bit & (VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE))) {
            legal = false; /* outside SMM */
        }
        outcome = entry_outcome();
        if (legal && outcome == CONTROLS) {
            refused |= bit;
        }
        if (!legal && outcome != CONTROLS) {
            accepted |= bit;
        }
    }
    check(word->id, word->name, !accepted, "base:%s,accepted:%x", base, accepted);
    check(word->id, word->name, !refused, "base:%s,refused:%x", base, refused);
}

/* All that is not allowed, and all that is, at once. */
static void test_extremes(const struct word *word)
{
    fresh(word->field == VMCS_SECONDARY_CONTROLS);
    wr(word->field, 0xFFFFFFFF);
    check(word->id, word->name, entry_outcome() == CONTROLS, "all-ones");
    if ((uint32_t)capability(word->exact)) {
        fresh(false);
        wr(word->field, 0);
        check(word->id, word->name, entry_outcome() == CONTROLS, "all-zeros");
    }
}

static void test_inactive_secondary(void)
{
    if (!offered(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS)) {
        not_offered("VMX-CTL-04", "not-activated");
        return;
    }
    entry_fresh(MODE_64);
    wr(VMCS_SECONDARY_CONTROLS, 0xFFFFFFFF);
    check_eq("VMX-CTL-04", "not-activated", entry_outcome(), ENTERED);
}

void run_tests(void)
{
    vmx_start();
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (words[i].field == VMCS_SECONDARY_CONTROLS && !offered(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS)) {
            not_offered(words[i].id, words[i].name);
            continue;
        }
        test_word(&words[i], words[i].plain, "plain");
        test_word(&words[i], words[i].exact, "true");
        test_extremes(&words[i]);
    }
    test_inactive_secondary();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
