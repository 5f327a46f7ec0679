/*
 * VMX: which check failed
 *
 * The processor says no more than an error number, an exit reason or #GP(0).
 * Here each check names itself: its rule, what it looked at, the value that it
 * found, and what it wanted.  vmx_refuse() notes it; vmx_failed() says in what
 * way it shows, and tells the trace.  The last failure is kept for x-query-vmx.
 *
 * Nothing of this runs unless something fails.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "cpu.h"
#include "trace/trace-target_i386.h"
#include "vmx-base.h"

QEMU_BUILD_BUG_ON(sizeof_field(X86VMXFailure, name) < VMX_NAME_SIZE);

static const struct {
    uint32_t instruction;
    const char *name;
} instructions[] = {
    { VMX_REASON_VMCALL, "VMCALL" },
    { VMX_REASON_VMCLEAR, "VMCLEAR" },
    { VMX_REASON_VMLAUNCH, "VMLAUNCH" },
    { VMX_REASON_VMPTRLD, "VMPTRLD" },
    { VMX_REASON_VMPTRST, "VMPTRST" },
    { VMX_REASON_VMREAD, "VMREAD" },
    { VMX_REASON_VMRESUME, "VMRESUME" },
    { VMX_REASON_VMWRITE, "VMWRITE" },
    { VMX_REASON_VMXOFF, "VMXOFF" },
    { VMX_REASON_VMXON, "VMXON" },
    { VMX_REASON_INVEPT, "INVEPT" },
    { VMX_REASON_INVVPID, "INVVPID" },
    { VMX_REASON_VMFUNC, "VMFUNC" },
};

const char *vmx_instruction_name(uint32_t instruction)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(instructions); i++) {
        if (instructions[i].instruction == instruction) {
            return instructions[i].name;
        }
    }
    return "-";
}

static void note(CPUX86State *env, const char *rule, uint64_t value,
                 const char *demand)
{
    env->vmx_failure.result = VMX_RESULT_NONE;
    env->vmx_failure.rule = rule;
    env->vmx_failure.value = value;
    env->vmx_failure.demand = demand;
}

bool vmx_refuse(CPUX86State *env, const VMXVmcs *vmcs, const char *rule,
                unsigned field, const char *demand)
{
    note(env, rule, vmcs_read(vmcs, field), demand);
    env->vmx_failure.encoding = field;
    vmcs_field_name(field, env->vmx_failure.name);
    return false;
}

bool vmx_refuse_value(CPUX86State *env, const char *rule, const char *name,
                      uint64_t value, const char *demand)
{
    note(env, rule, value, demand);
    env->vmx_failure.encoding = VMX_NO_FIELD;
    pstrcpy(env->vmx_failure.name, sizeof(env->vmx_failure.name), name);
    return false;
}

static void describe_result(const X86VMXFailure *failure, char *text,
                            size_t size)
{
    switch (failure->result) {
    case VMX_RESULT_FAIL_INVALID:
        pstrcpy(text, size, "VMfailInvalid");
        break;
    case VMX_RESULT_FAIL_VALID:
        snprintf(text, size, "VMfailValid-%u", failure->number);
        break;
    case VMX_RESULT_EXCEPTION:
        pstrcpy(text, size,
                failure->number == EXCP06_ILLOP ? "#UD" : "#GP(0)");
        break;
    case VMX_RESULT_ENTRY_FAILURE:
        snprintf(text, size, "exit-reason-%u", failure->number);
        break;
    case VMX_RESULT_ABORT:
        snprintf(text, size, "VMX-abort-%u", failure->number);
        break;
    default:
        g_assert_not_reached();
    }
}

void vmx_failed(CPUX86State *env, X86VMXResult result, uint32_t number,
                uint32_t instruction, uint64_t rip)
{
    X86VMXFailure *failure = &env->vmx_failure;
    char described[24], encoding[12] = "-";

    failure->result = result;
    failure->number = number;
    failure->instruction = instruction;
    failure->rip = rip;
    if (!trace_event_get_state_backends(TRACE_VMX_REFUSAL)) {
        return;
    }
    describe_result(failure, described, sizeof(described));
    if (failure->encoding != VMX_NO_FIELD) {
        snprintf(encoding, sizeof(encoding), "0x%x", failure->encoding);
    }
    trace_vmx_refusal(env_cpu(env)->cpu_index, vmx_trace_time(env),
                      vmx_instruction_name(instruction), described,
                      failure->rule, failure->name, encoding, failure->value,
                      failure->demand, vmx_rule_section(failure->rule));
}
