/*
 * VMX: pending events, activity state, blocking by SMI
 *
 * Whoever changes pending events has vmx_update_request() tell the main loop.
 * Which of them is next is decided in vmx-event.c.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "vmx-base.h"

void vmx_update_request(CPUX86State *env)
{
    const X86VMXState *vmx = &env->vmx;
    CPUState *cs = env_cpu(env);
    BQL_LOCK_GUARD();

    if (vmx->mtf != VMX_MTF_NONE || vmx_debug_pending(env) ||
        vmx->timer_expired || vmx->tpr_check ||
        vmx_proc(env, VMX_CPU_INTERRUPT_WINDOW | VMX_CPU_NMI_WINDOW)) {
        /* As cpu_interrupt() does, but also where icount forbids that. */
        cs->interrupt_request |= CPU_INTERRUPT_VMX;
        qatomic_set(&cs->neg.icount_decr.u16.high, -1);
    } else {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_VMX);
    }
}

uint32_t vmx_activity(CPUX86State *env)
{
    if (env->vmx.activity != VMX_ACTIVITY_ACTIVE) {
        return env->vmx.activity;
    }
    return env->vmx.hlt && env->vmx.hlt_rip == env->eip ? VMX_ACTIVITY_HLT :
                                                          VMX_ACTIVITY_ACTIVE;
}

/*
 * "In SMM" and "SMIs blocked" are different states: a VM entry that returns
 * from SMM may leave SMIs blocked (DM-RET-56).
 */
bool vmx_smi_blocked(CPUX86State *env)
{
    return env->hflags2 & HF2_SMI_BLOCKED_MASK;
}
