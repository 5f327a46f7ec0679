/*
 * VMX: the trace of transitions, and of what an SMI handler touches
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "system/cpu-timers.h"
#include "trace/trace-target_i386.h"
#include "vmx-base.h"

enum {
    TRACE_MODE_NONE,
    TRACE_MODE_ROOT,
    TRACE_MODE_GUEST,
    TRACE_MODE_SMM,             /* default treatment */
    TRACE_MODE_STM,
    TRACE_MODE_HANDLER,
};

static const char * const trace_mode_names[] = {
    [TRACE_MODE_NONE] = "none",
    [TRACE_MODE_ROOT] = "root",
    [TRACE_MODE_GUEST] = "guest",
    [TRACE_MODE_SMM] = "smm",
    [TRACE_MODE_STM] = "stm",
    [TRACE_MODE_HANDLER] = "handler",
};

int vmx_trace_mode(CPUX86State *env)
{
    bool smm = env->hflags & HF_SMM_MASK;

    switch (env->vmx.mode) {
    case VMX_MODE_ROOT:
        return smm ? TRACE_MODE_STM : TRACE_MODE_ROOT;
    case VMX_MODE_GUEST:
        return smm ? TRACE_MODE_HANDLER : TRACE_MODE_GUEST;
    default:
        return smm ? TRACE_MODE_SMM : TRACE_MODE_NONE;
    }
}

const char *vmx_trace_mode_name(int mode)
{
    return trace_mode_names[mode];
}

/*
 * Under icount the clock may be read between blocks and by instructions that
 * were translated with translator_io_start(); elsewhere QEMU would abort.
 */
static bool trace_clock_readable(CPUState *cs)
{
    return !icount_enabled() || !cs->running || cs->neg.can_do_io;
}

uint64_t vmx_trace_time(CPUX86State *env)
{
    return trace_clock_readable(env_cpu(env)) ? cpu_get_tsc(env) : 0;
}

void vmx_trace_transition(CPUX86State *env, const char *kind, int from,
                          uint32_t reason, uint64_t qualification,
                          uint64_t rip)
{
    CPUState *cs = env_cpu(env);
    uint64_t executive = VMCS_POINTER_NONE;
    int64_t icount = -1;
    char modes[32];

    if (!trace_event_get_state_backends(TRACE_VMX_TRANSITION)) {
        return;
    }
    if (icount_enabled() && trace_clock_readable(cs)) {
        icount = icount_get_raw();
    }
    /* The field has a meaning in the SMM-transfer VMCS only. */
    if ((env->hflags & HF_SMM_MASK) && env->vmx.smm.active &&
        env->vmx.current_vmcs == env->vmx.smm.transfer_vmcs) {
        executive = x86_ldq_phys(cs, env->vmx.current_vmcs +
                        vmcs_field_offset(VMCS_EXECUTIVE_VMCS_POINTER));
    }
    /* An event has at most ten arguments, hence one string for two. */
    snprintf(modes, sizeof(modes), "from=%s to=%s", trace_mode_names[from],
             trace_mode_names[vmx_trace_mode(env)]);
    trace_vmx_transition(cs->cpu_index, vmx_trace_time(env), icount, kind,
                         modes, env->vmx.current_vmcs, executive, reason,
                         qualification, rip);
}

bool vmx_observes_handler(CPUX86State *env)
{
    return trace_event_get_state_backends(TRACE_SMM_HANDLER_ACCESS) &&
           vmx_trace_mode(env) == TRACE_MODE_HANDLER;
}

void vmx_trace_access(CPUX86State *env, const char *space, const char *access,
                      uint64_t address, uint32_t size)
{
    trace_smm_handler_access(env_cpu(env)->cpu_index, vmx_trace_time(env),
                             space, access, address, size);
}
