/*
 * VMX: which mode the processor is in, which controls are in force
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_MODE_H
#define I386_TCG_VMX_MODE_H

#include "vmx-numbers.h"

static inline bool vmx_dual_monitor_offered(CPUX86State *env)
{
    return cpu_has_vmx(env) &&
           (env->features[FEAT_VMX_BASIC] & MSR_VMX_BASIC_DUAL_MONITOR);
}

static inline bool vmx_in_operation(CPUX86State *env)
{
    return env->vmx.mode != VMX_MODE_NONE;
}

static inline bool vmx_in_root(CPUX86State *env)
{
    return env->vmx.mode == VMX_MODE_ROOT;
}

static inline bool vmx_in_guest(CPUX86State *env)
{
    return env->vmx.mode == VMX_MODE_GUEST;
}

/* VM-execution controls in force; false outside non-root operation. */
static inline bool vmx_pin(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.pin & control);
}

static inline bool vmx_proc(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.proc & control);
}

static inline bool vmx_proc2(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.proc2 & control);
}

static inline bool vmx_unrestricted_guest(CPUX86State *env)
{
    return env->vmx.ctl.proc2 & VMX_CPU2_UNRESTRICTED_GUEST;
}

static inline bool vmx_virtual_nmis(CPUX86State *env)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.pin & VMX_PIN_VIRTUAL_NMIS);
}

static inline bool vmx_mtf_pending(CPUX86State *env)
{
    return env->vmx.mtf == VMX_MTF_PENDING;
}

/* Pending debug exceptions that will be delivered. */
static inline bool vmx_debug_pending(CPUX86State *env)
{
    return env->vmx.pending_debug & (VMX_PENDING_DEBUG_ENABLED |
                                     VMX_PENDING_DEBUG_BS);
}

#endif
