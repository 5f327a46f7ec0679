/*
 * VMX: IA32_SMM_MONITOR_CTL (9BH) and IA32_SMBASE (9EH)
 *
 * Intel SDM volume 3, "Enabling the Dual-Monitor Treatment" (34.15.5 in the
 * 2016 edition) and "Saving Guest State" of the activation (34.15.6.4).
 *
 * MSR areas use the same functions: a VM exit that ends in SMM has set
 * HF_SMM_MASK by then, and a VM entry that begins in SMM has not yet cleared
 * it (DM-ENA-15 to DM-ENA-17, DM-ENA-31 to DM-ENA-33).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "trace/trace-target_i386.h"
#include "vmx-parts.h"

/* Return value: 0 handled, 1 not one of these MSRs, -1 #GP(0). */
int vmx_smm_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value)
{
    int result;

    switch (index) {
    case MSR_IA32_SMM_MONITOR_CTL:
        trace_vmx_msr_smm_monitor_ctl(env_cpu(env)->cpu_index, "read",
                                      env->vmx.smm_monitor_ctl);
        if (!vmx_dual_monitor_offered(env)) {
            return -1;          /* does not exist (DM-ENA-08) */
        }
        /* Readable in and outside SMM (DM-ENA-14). */
        *value = env->vmx.smm_monitor_ctl;
        return 0;
    case MSR_IA32_SMBASE:
        if (!vmx_dual_monitor_offered(env) ||
            !(env->hflags & HF_SMM_MASK)) {
            return -1;          /* for the STM only (DM-ENA-27, DM-ENA-29) */
        }
        *value = env->smbase;
        return 0;
    default:
        result = vmx_smm_code_rdmsr(env, index, value);
        return result == 1 ? vmx_smrr_rdmsr(env, index, value) : result;
    }
}

int vmx_smm_wrmsr(CPUX86State *env, uint32_t index, uint64_t value)
{
    int result;

    switch (index) {
    case MSR_IA32_SMM_MONITOR_CTL:
        /* Refused accesses too: that nobody tries is what a trace can show. */
        trace_vmx_msr_smm_monitor_ctl(env_cpu(env)->cpu_index, "write",
                                      value);
        if (!vmx_dual_monitor_offered(env) ||
            !(env->hflags & HF_SMM_MASK)) {
            return -1;          /* for firmware only (DM-ENA-08, DM-ENA-12) */
        }
        if (value & ~(SMM_MONITOR_CTL_VALID | SMM_MONITOR_CTL_BLOCK_UNBLOCK |
                      SMM_MONITOR_CTL_BASE)) {
            return -1;          /* reserved bits (DM-ENA-10) */
        }
        env->vmx.smm_monitor_ctl = value;
        return 0;
    case MSR_IA32_SMBASE:
        return -1;              /* read-only (DM-ENA-28) */
    default:
        result = vmx_smm_code_wrmsr(env, index, value);
        return result == 1 ? vmx_smrr_wrmsr(env, index, value) : result;
    }
}
