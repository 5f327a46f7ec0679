/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMM code access check: its MSRs, and its effect.
 *
 * VIOLATION: the handler, which is not in the range of SMRR, turns the check on.
 * ABSENT: on a processor without it.
 */
#include "runtime.h"

#define MSR_SMM_MCA_CAP         0x17Du
#define MSR_SMM_FEATURE_CONTROL 0x4E0u
#define CODE_ACCESS_CHK         (1ull << 58)
#define LOCK                    1u
#define CODE_CHK_EN             4u

static volatile uint64_t capability, control;
static volatile uint32_t capability_fault, control_fault, write_fault;
static volatile uint64_t next;

static void look(void)
{
    uint64_t value = 0;

    capability_fault = try_rdmsr(MSR_SMM_MCA_CAP, &value);
    capability = value;
    control_fault = try_rdmsr(MSR_SMM_FEATURE_CONTROL, &value);
    control = value;
}

static void write(void)
{
    write_fault = try_wrmsr(MSR_SMM_FEATURE_CONTROL, next);
}

static void set(uint64_t value)
{
    next = value;
    smm_call(write);
}

void run_tests(void)
{
#if defined(ABSENT)
    smm_call(look);
    check_eq("SDM-SMM-CODE", "absent", capability & CODE_ACCESS_CHK, 0);
    (void)set;
#else
    uint64_t value;

    check_eq("SDM-SMM-CODE", "capability-outside-smm", try_rdmsr(MSR_SMM_MCA_CAP, &value), FAULT_GP);
    smm_call(look);
    check_eq("SDM-SMM-CODE", "capability-readable", capability_fault, NO_FAULT);
    check_eq("SDM-SMM-CODE", "capability", capability, CODE_ACCESS_CHK);
    check_eq("SDM-SMM-CODE", "control-readable", control_fault, NO_FAULT);
    check_eq("SDM-SMM-CODE", "reset", control, 0);
    check_eq("SDM-SMM-CODE", "control-outside-smm", rdmsr(MSR_SMM_FEATURE_CONTROL), 0);
    check_eq("SDM-SMM-CODE", "written-outside-smm", try_wrmsr(MSR_SMM_FEATURE_CONTROL, LOCK), FAULT_GP);
    check_eq("SDM-SMM-CODE", "capability-is-read-only", try_wrmsr(MSR_SMM_MCA_CAP, 0), FAULT_GP);
    set(2);
    check_eq("SDM-SMM-CODE", "reserved-bit-1", write_fault, FAULT_GP);
    set(8);
    check_eq("SDM-SMM-CODE", "reserved-bit-3", write_fault, FAULT_GP);
#if defined(VIOLATION)
    expect_shutdown("SDM-SMM-CODE", "code-outside-smrr");
    set(CODE_CHK_EN);
    check("SDM-SMM-CODE", "still-running", false, "");
#else
    set(LOCK);
    check_eq("SDM-SMM-CODE", "lock", write_fault, NO_FAULT);
    check_eq("SDM-SMM-CODE", "locked", rdmsr(MSR_SMM_FEATURE_CONTROL), LOCK);
    set(CODE_CHK_EN | LOCK);
    check_eq("SDM-SMM-CODE", "written-when-locked", write_fault, FAULT_GP);
    check_eq("SDM-SMM-CODE", "still-locked", rdmsr(MSR_SMM_FEATURE_CONTROL), LOCK);
#endif
#endif
}
