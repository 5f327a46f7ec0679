/*
 * VMX: SMM code access check (MSR_SMM_MCA_CAP and MSR_SMM_FEATURE_CONTROL)
 *
 * Intel SDM volume 4, MSRs 17DH and 4E0H.  With the check a processor in SMM
 * that fetches an instruction from outside the range of SMRR asserts an
 * unrecoverable machine check; here the platform resets, whatever CR4.MCE says.
 *
 * 4E0H is read outside SMM, too: the manual calls it accessible in SMM only,
 * processors let software outside read it, and audit tools do.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "vmx.h"
#include "vmx-parts.h"

#define MSR_SMM_MCA_CAP             0x17d
#define MSR_SMM_FEATURE_CONTROL     0x4e0

#define SMM_CODE_ACCESS_CHK         (1ull << 58)
#define SMM_FEATURE_LOCK            (1ull << 0)

#define SMRR_PAGES                  0xfffff000u
#define SMRR_VALID                  (1u << 11)

static bool has_code_check(CPUX86State *env)
{
    return vmx_dual_monitor_offered(env) &&
           env_archcpu(env)->vmx_config.smm_code_check;
}

/* Of the package: each of its processors has the value. */
static void set_feature_control(CPUX86State *env, uint64_t value)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        cpu_env(cs)->vmx.smm_feature = value;
    }
    /* Translations that were made without the check, or with it. */
    tlb_flush_all_cpus_synced(env_cpu(env));
}

int vmx_smm_code_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value)
{
    if (!has_code_check(env)) {
        return 1;
    }
    switch (index) {
    case MSR_SMM_MCA_CAP:
        if (!(env->hflags & HF_SMM_MASK)) {
            return -1;
        }
        *value = SMM_CODE_ACCESS_CHK;
        return 0;
    case MSR_SMM_FEATURE_CONTROL:
        *value = env->vmx.smm_feature;
        return 0;
    default:
        return 1;
    }
}

int vmx_smm_code_wrmsr(CPUX86State *env, uint32_t index, uint64_t value)
{
    if (!has_code_check(env)) {
        return 1;
    }
    switch (index) {
    case MSR_SMM_MCA_CAP:
        return -1;              /* read-only */
    case MSR_SMM_FEATURE_CONTROL:
        if (!(env->hflags & HF_SMM_MASK) ||
            (env->vmx.smm_feature & SMM_FEATURE_LOCK) ||
            (value & ~(SMM_FEATURE_LOCK | SMM_FEATURE_CODE_CHECK))) {
            return -1;
        }
        set_feature_control(env, value);
        return 0;
    default:
        return 1;
    }
}

bool vmx_smm_code_allowed(CPUX86State *env, hwaddr paddr)
{
    const uint32_t mask = env->vmx.smrr_mask & SMRR_PAGES;

    return (env->vmx.smrr_mask & SMRR_VALID) && paddr <= UINT32_MAX &&
           !((paddr ^ env->vmx.smrr_base) & mask);
}

G_NORETURN void vmx_smm_code_violation(CPUX86State *env, vaddr linear,
                                       hwaddr paddr)
{
    CPUState *cs = env_cpu(env);

    qemu_log_mask(CPU_LOG_INT | LOG_GUEST_ERROR,
                  "SMM code access check: code at 0x%" VADDR_PRIx
                  ", physical 0x%" HWADDR_PRIx ", is outside SMRR; reset\n",
                  linear, paddr);
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}
