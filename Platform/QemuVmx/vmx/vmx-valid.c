/*
 * VMX: valid values of control registers and MSRs
 *
 * Intel SDM volume 3, "Initializing IA-32e Mode", and the exceptions of MOV to
 * control registers and WRMSR.  A processor makes these checks always; TCG does
 * not make them, which only a guest with "unrestricted guest" could notice in
 * VMX operation, because otherwise CR0.PE and CR0.PG are fixed.  Inconsistent
 * state must not be saved by a VM exit, which VM entries would then refuse.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "vmx-base.h"

bool vmx_canonical(uint64_t addr)
{
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

bool vmx_pat_valid(uint64_t pat)
{
    int i;

    for (i = 0; i < 8; i++, pat >>= 8) {
        uint8_t type = pat;

        if (type > 7 || type == 2 || type == 3) {
            return false;
        }
    }
    return true;
}

#define TSS16_AVAILABLE     1
#define TSS16_BUSY          3

static bool tr_is_16_bit(CPUX86State *env)
{
    unsigned type = (env->tr.flags >> DESC_TYPE_SHIFT) & 0xf;

    return type == TSS16_AVAILABLE || type == TSS16_BUSY;
}

/* MOV to CR0, LMSW. */
bool vmx_cr0_consistent(CPUX86State *env, uint64_t cr0)
{
    const bool code64 = env->hflags & HF_CS64_MASK;

    if (((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK)) ||
        ((cr0 & CR0_NW_MASK) && !(cr0 & CR0_CD_MASK))) {
        return false;
    }
    if (!((cr0 ^ env->cr[0]) & CR0_PG_MASK)) {
        return true;
    }
    if (!(cr0 & CR0_PG_MASK)) {
        return !code64 && !(env->cr[4] & CR4_PCIDE_MASK);
    }
    /* Activates IA-32e mode. */
    return !(env->efer & MSR_EFER_LME) ||
           ((env->cr[4] & CR4_PAE_MASK) &&
            !(env->segs[R_CS].flags & DESC_L_MASK) && !tr_is_16_bit(env));
}

/* MOV to CR4. */
bool vmx_cr4_consistent(CPUX86State *env, uint64_t cr4)
{
    return !(env->efer & MSR_EFER_LMA) || (cr4 & CR4_PAE_MASK);
}

/* Bits that VM entries accept, and LME cannot change while paging is on. */
static bool efer_valid(CPUX86State *env, uint64_t efer)
{
    if (!vmx_in_operation(env)) {
        return true;
    }
    return !(efer & ~VMX_EFER_ALLOWED) &&
           (!(env->cr[0] & CR0_PG_MASK) ||
            !((efer ^ env->efer) & MSR_EFER_LME));
}

/* WRMSR: values that raise #GP on a processor and that TCG accepts. */
bool vmx_msr_value_valid(CPUX86State *env, uint32_t index, uint64_t value)
{
    switch (index) {
    case MSR_EFER:
        return efer_valid(env, value);
    case MSR_PAT:
        return vmx_pat_valid(value);
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FSBASE:
    case MSR_GSBASE:
    case MSR_KERNELGSBASE:
        return vmx_canonical(value);
    default:
        return true;
    }
}
