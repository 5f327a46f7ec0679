/*
 * VMX: VMFUNC and its only function, EPTP switching
 *
 * Intel SDM volume 3, "VM Functions".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "vmx-parts.h"

#define VM_FUNCTIONS            64
#define VM_FUNCTION_EPTP_SWITCH 0
#define EPTP_LIST_ENTRIES       512

/* False if the list has no (valid) entry for ECX. */
static bool switch_eptp(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    uint32_t index = env->regs[R_ECX];
    uint64_t eptp;

    if (index >= EPTP_LIST_ENTRIES) {
        return false;
    }
    eptp = x86_ldq_phys(cs, env->vmx.ctl.eptp_list + index * 8);
    if (!vmx_eptp_valid(env, eptp)) {
        return false;
    }
    x86_stq_phys(cs, env->vmx.current_vmcs +
                 vmcs_field_offset(VMCS_EPT_POINTER), eptp);
    env->vmx.ctl.eptp = eptp;
    vmx_tlb_eptp_changed(env);
    return true;
}

void helper_vmx_vmfunc(CPUX86State *env)
{
    const X86VMXControls *ctl = &env->vmx.ctl;
    uint32_t function = env->regs[R_EAX];

    if (!vmx_in_guest(env)) {
        vmx_refuse_value(env, "VMX-INS-51", "VMX_NON_ROOT_OPERATION", 0,
                         "VMX non-root operation");
        vmx_raise_ud(env, VMX_REASON_VMFUNC, GETPC());
    }
    if (!(ctl->proc2 & VMX_CPU2_VMFUNC)) {
        vmx_refuse_value(env, "VMX-FUN-01", "SECONDARY_CONTROLS", ctl->proc2,
                         "enable VM functions");
        vmx_raise_ud(env, VMX_REASON_VMFUNC, GETPC());
    }
    if (function >= VM_FUNCTIONS) {
        vmx_refuse_value(env, "VMX-FUN-01", "EAX", function, "at most 63");
        vmx_raise_ud(env, VMX_REASON_VMFUNC, GETPC());
    }
    if (!(ctl->vm_functions & (1ULL << function)) ||
        function != VM_FUNCTION_EPTP_SWITCH || !switch_eptp(env)) {
        vmx_vmexit(env, VMX_REASON_VMFUNC, 0, GETPC());
    }
}
