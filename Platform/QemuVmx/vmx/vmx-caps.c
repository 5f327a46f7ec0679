/*
 * VMX: capability MSRs, IA32_FEATURE_CONTROL, fixed bits of CR0 and CR4
 *
 * Intel SDM volume 3, appendix "VMX Capability Reporting Facility".  What is
 * offered comes from the FEAT_VMX_* words, which hold the allowed-1 settings.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "vmx.h"
#include "vmx-parts.h"

/* Controls that are 1 for software unaware of the TRUE MSRs ("default1"). */
#define PIN_DEFAULT1            0x00000016u
#define PROC_DEFAULT1           0x0401e172u
#define EXIT_DEFAULT1           0x00036dffu
#define ENTRY_DEFAULT1          0x000011ffu

/* Those of them that the TRUE MSRs still report as fixed to 1. */
#define PIN_FIXED1              PIN_DEFAULT1
#define PROC_FIXED1             (PROC_DEFAULT1 & \
                                 ~(VMX_CPU_CR3_LOAD | \
                                   VMX_CPU_CR3_STORE))
#define EXIT_FIXED1             (EXIT_DEFAULT1 & \
                                 ~VMX_EXIT_SAVE_DEBUG)
#define ENTRY_FIXED1            (ENTRY_DEFAULT1 & \
                                 ~VMX_ENTRY_LOAD_DEBUG)

#define VMX_MEMTYPE_WB          6ULL

/* VMX_MISC bits 15 (RDMSR of IA32_SMBASE) and 28 (SMM_MONITOR_CTL[2]). */
#define VMX_MISC_SMBASE         (1ULL << 15)
#define VMX_MISC_BLOCK_UNBLOCK  (1ULL << 28)
#define VMX_MISC_CR3_TARGETS    (4ULL << 16)

typedef enum VMXControlWord {
    CONTROL_PIN,
    CONTROL_PROC,
    CONTROL_PROC2,
    CONTROL_EXIT,
    CONTROL_ENTRY,
} VMXControlWord;

static const struct {
    FeatureWord word;
    uint32_t default1;
    uint32_t fixed1;
} vmx_controls[] = {
    [CONTROL_PIN] = { FEAT_VMX_PINBASED_CTLS, PIN_DEFAULT1, PIN_FIXED1 },
    [CONTROL_PROC] = { FEAT_VMX_PROCBASED_CTLS, PROC_DEFAULT1, PROC_FIXED1 },
    [CONTROL_PROC2] = { FEAT_VMX_SECONDARY_CTLS, 0, 0 },
    [CONTROL_EXIT] = { FEAT_VMX_EXIT_CTLS, EXIT_DEFAULT1, EXIT_FIXED1 },
    [CONTROL_ENTRY] = { FEAT_VMX_ENTRY_CTLS, ENTRY_DEFAULT1, ENTRY_FIXED1 },
};

/* Allowed-1 settings in the high half, allowed-0 settings in the low half. */
static uint64_t vmx_control_msr(CPUX86State *env, VMXControlWord c, bool true_)
{
    uint32_t must_be_1 = true_ ? vmx_controls[c].fixed1 :
                                 vmx_controls[c].default1;
    uint32_t can_be_1;

    /* What the TRUE MSR does not free stays fixed. */
    must_be_1 |= vmx_controls[c].default1 &
                 ~env->features[vmx_controls[c].word];
    can_be_1 = env->features[vmx_controls[c].word] | must_be_1;

    /* Follows the LM bit of CPUID and has no property of its own. */
    if (c == CONTROL_EXIT &&
        (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM)) {
        can_be_1 |= VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
    }
    if (c == CONTROL_ENTRY && vmx_dual_monitor_offered(env)) {
        can_be_1 |= VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE;
    }
    return (uint64_t)can_be_1 << 32 | must_be_1;
}

/* SDM: a control is checked against the TRUE MSR where there is one. */
static bool vmx_control_allowed(CPUX86State *env, VMXControlWord c,
                                uint32_t value)
{
    bool true_ = env->features[FEAT_VMX_BASIC] & MSR_VMX_BASIC_TRUE_CTLS;
    uint64_t msr = vmx_control_msr(env, c, true_);

    return (value & (uint32_t)msr) == (uint32_t)msr && !(value & ~(msr >> 32));
}

bool vmx_pin_controls_allowed(CPUX86State *env, uint32_t value)
{
    return vmx_control_allowed(env, CONTROL_PIN, value);
}

bool vmx_proc_controls_allowed(CPUX86State *env, uint32_t value)
{
    return vmx_control_allowed(env, CONTROL_PROC, value);
}

bool vmx_proc2_controls_allowed(CPUX86State *env, uint32_t value)
{
    return vmx_control_allowed(env, CONTROL_PROC2, value);
}

bool vmx_exit_controls_allowed(CPUX86State *env, uint32_t value)
{
    return vmx_control_allowed(env, CONTROL_EXIT, value);
}

bool vmx_entry_controls_allowed(CPUX86State *env, uint32_t value)
{
    return vmx_control_allowed(env, CONTROL_ENTRY, value);
}

uint64_t vmx_misc(CPUX86State *env)
{
    uint64_t misc = env->features[FEAT_VMX_MISC] | VMX_MISC_CR3_TARGETS |
                    VMX_TIMER_RATE;

    if (vmx_dual_monitor_offered(env)) {
        misc |= VMX_MISC_SMBASE | VMX_MISC_BLOCK_UNBLOCK |
                (uint64_t)VMX_MSEG_REVISION << 32;
    }
    return misc;
}

/* ------------------------------------------------------------------ */
/* CR0 and CR4 in VMX operation                                        */

#define VMX_CR0_FIXED0  ((uint64_t)(CR0_PG_MASK | CR0_NE_MASK | CR0_PE_MASK))
#define VMX_CR0_FIXED1  0xffffffffULL
#define VMX_CR4_FIXED0  ((uint64_t)CR4_VMXE_MASK)

bool vmx_cr0_valid(CPUX86State *env, uint64_t cr0, bool unrestricted)
{
    uint64_t fixed0 = VMX_CR0_FIXED0;

    if (unrestricted) {
        fixed0 &= ~(uint64_t)(CR0_PG_MASK | CR0_PE_MASK);
    }
    return (cr0 & fixed0) == fixed0 && !(cr0 & ~VMX_CR0_FIXED1);
}

bool vmx_cr4_valid(CPUX86State *env, uint64_t cr4)
{
    return (cr4 & VMX_CR4_FIXED0) == VMX_CR4_FIXED0 &&
           !(cr4 & cr4_reserved_bits(env));
}

/* ------------------------------------------------------------------ */
/* MSRs                                                                */

static uint64_t vmx_basic(CPUX86State *env)
{
    return VMX_VMCS_REVISION | (uint64_t)VMX_VMCS_SIZE << 32 |
           VMX_MEMTYPE_WB << 50 | env->features[FEAT_VMX_BASIC];
}

/* The MSR is there with one of the controls that load it. */
static bool has_perf_global_ctrl(CPUX86State *env)
{
    return (env->features[FEAT_VMX_EXIT_CTLS] &
            VMX_EXIT_LOAD_PERF_GLOBAL_CTRL) ||
           (env->features[FEAT_VMX_ENTRY_CTLS] &
            VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL);
}

int vmx_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value)
{
    bool have_ept = env->features[FEAT_VMX_SECONDARY_CTLS] &
                    (VMX_CPU2_EPT |
                     VMX_CPU2_VPID);

    switch (index) {
    case MSR_IA32_FEATURE_CONTROL:
        *value = env->msr_ia32_feature_control;
        return 0;
    case MSR_IA32_DEBUGCTLMSR:
        *value = env->vmx.debugctl;
        return 0;
    case MSR_CORE_PERF_GLOBAL_CTRL:
        if (!has_perf_global_ctrl(env)) {
            return 1;
        }
        *value = env->msr_global_ctrl;
        return 0;
    case MSR_IA32_TSC:
        *value = cpu_get_tsc(env) + env->tsc_offset;
        return 0;
    case MSR_IA32_XSS:
        if (!(env->features[FEAT_XSAVE] & CPUID_XSAVE_XSAVES)) {
            return -1;
        }
        *value = env->xss;
        return 0;
    case MSR_IA32_VMX_BASIC:
        *value = vmx_basic(env);
        return 0;
    case MSR_IA32_VMX_PINBASED_CTLS:
        *value = vmx_control_msr(env, CONTROL_PIN, false);
        return 0;
    case MSR_IA32_VMX_PROCBASED_CTLS:
        *value = vmx_control_msr(env, CONTROL_PROC, false);
        return 0;
    case MSR_IA32_VMX_EXIT_CTLS:
        *value = vmx_control_msr(env, CONTROL_EXIT, false);
        return 0;
    case MSR_IA32_VMX_ENTRY_CTLS:
        *value = vmx_control_msr(env, CONTROL_ENTRY, false);
        return 0;
    case MSR_IA32_VMX_MISC:
        *value = vmx_misc(env);
        return 0;
    case MSR_IA32_VMX_CR0_FIXED0:
        *value = VMX_CR0_FIXED0;
        return 0;
    case MSR_IA32_VMX_CR0_FIXED1:
        *value = VMX_CR0_FIXED1;
        return 0;
    case MSR_IA32_VMX_CR4_FIXED0:
        *value = VMX_CR4_FIXED0;
        return 0;
    case MSR_IA32_VMX_CR4_FIXED1:
        *value = ~cr4_reserved_bits(env) | CR4_VMXE_MASK;
        return 0;
    case MSR_IA32_VMX_VMCS_ENUM:
        *value = VMCS_HIGHEST_INDEX << 1;
        return 0;
    case MSR_IA32_VMX_PROCBASED_CTLS2:
        if (!(env->features[FEAT_VMX_PROCBASED_CTLS] &
              VMX_CPU_SECONDARY_CONTROLS)) {
            return -1;
        }
        *value = vmx_control_msr(env, CONTROL_PROC2, false);
        return 0;
    case MSR_IA32_VMX_EPT_VPID_CAP:
        if (!have_ept) {
            return -1;
        }
        /* The memory types have no properties. */
        *value = env->features[FEAT_VMX_EPT_VPID_CAPS] | MSR_VMX_EPT_UC |
                 MSR_VMX_EPT_WB;
        return 0;
    case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
    case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
    case MSR_IA32_VMX_TRUE_EXIT_CTLS:
    case MSR_IA32_VMX_TRUE_ENTRY_CTLS: {
        static const uint8_t words[] = {
            CONTROL_PIN, CONTROL_PROC, CONTROL_EXIT, CONTROL_ENTRY,
        };

        if (!(env->features[FEAT_VMX_BASIC] & MSR_VMX_BASIC_TRUE_CTLS)) {
            return -1;
        }
        *value = vmx_control_msr(env, words[index -
                                     MSR_IA32_VMX_TRUE_PINBASED_CTLS], true);
        return 0;
    }
    case MSR_IA32_VMX_VMFUNC:
        if (!(env->features[FEAT_VMX_SECONDARY_CTLS] &
              VMX_CPU2_VMFUNC)) {
            return -1;
        }
        *value = env->features[FEAT_VMX_VMFUNC];
        return 0;
    default:
        return vmx_smm_rdmsr(env, index, value);
    }
}

/* Locked until reset once the lock bit is set; only VMXON bits exist here. */
static int vmx_write_feature_control(CPUX86State *env, uint64_t value)
{
    if ((env->msr_ia32_feature_control & FEATURE_CONTROL_LOCKED) ||
        (value & ~(uint64_t)(FEATURE_CONTROL_LOCKED |
                             FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX))) {
        return -1;
    }
    env->msr_ia32_feature_control = value;
    return 0;
}

int vmx_wrmsr(CPUX86State *env, uint32_t index, uint64_t value)
{
    if (!vmx_msr_value_valid(env, index, value)) {
        return -1;
    }
    switch (index) {
    case MSR_IA32_FEATURE_CONTROL:
        return vmx_write_feature_control(env, value);
    case MSR_IA32_DEBUGCTLMSR:
        /* Neither last-branch records nor branch traces exist. */
        if (value & ~VMX_DEBUGCTL_ALLOWED) {
            return -1;
        }
        env->vmx.debugctl = value;
        return 0;
    case MSR_CORE_PERF_GLOBAL_CTRL:
        if (!has_perf_global_ctrl(env)) {
            return 1;
        }
        if (value & ~VMX_PERF_GLOBAL_CTRL) {
            return -1;
        }
        env->msr_global_ctrl = value;
        return 0;
    case MSR_IA32_XSS:
        if (!(env->features[FEAT_XSAVE] & CPUID_XSAVE_XSAVES) || value) {
            return -1;
        }
        env->xss = 0;
        return 0;
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_VMFUNC:
        return -1;
    default:
        return vmx_smm_wrmsr(env, index, value);
    }
}
