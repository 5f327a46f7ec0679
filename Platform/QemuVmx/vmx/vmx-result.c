/*
 * VMX: results of VMX instructions
 *
 * Intel SDM volume 3, "Conventions" of the VMX instruction reference.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "trace/trace-target_i386.h"
#include "vmx-parts.h"

static void vmx_set_flags(CPUX86State *env, uint32_t flags)
{
    CC_SRC = flags;
    CC_DST = 0;
    CC_OP = CC_OP_EFLAGS;
}

void vmx_vmsucceed(CPUX86State *env)
{
    vmx_set_flags(env, 0);
}

void vmx_vmfail_invalid(CPUX86State *env, uint32_t instruction)
{
    vmx_failed(env, VMX_RESULT_FAIL_INVALID, 0, instruction, env->eip);
    trace_vmx_vmfail(env_cpu(env)->cpu_index, vmx_trace_time(env), env->eip,
                     0);
    vmx_set_flags(env, CC_C);
}

void vmx_vmfail(CPUX86State *env, uint32_t instruction, uint32_t error)
{
    if (env->vmx.current_vmcs == VMCS_POINTER_NONE) {
        vmx_vmfail_invalid(env, instruction);
        return;
    }
    vmx_failed(env, VMX_RESULT_FAIL_VALID, error, instruction, env->eip);
    trace_vmx_vmfail(env_cpu(env)->cpu_index, vmx_trace_time(env), env->eip,
                     error);
    x86_stl_phys(env_cpu(env), env->vmx.current_vmcs +
                 vmcs_field_offset(VMCS_INSTRUCTION_ERROR), error);
    vmx_set_flags(env, CC_Z);
}
