/*
 * VMX: registers that transitions load as a whole
 *
 * Control registers, EFER and RFLAGS are also derived flags in QEMU (hflags);
 * these functions load them in an order that keeps both consistent.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "tlb.h"
#include "vmx-base.h"

/* Bits of CR0 that VM entries and VM exits do not change. */
#define CR0_UNCHANGED   (CR0_ET_MASK | CR0_NW_MASK | CR0_CD_MASK | \
                         0x1ffaffc0ULL)

/* CC bits and DF are kept apart from env->eflags. */
#define EFLAGS_LOADED   (~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C | DF_MASK))

void vmx_load_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                                uint64_t cr4, uint64_t efer)
{
    /*
     * cpu_x86_update_cr0() changes EFER.LMA, or does nothing, depending on
     * EFER.LME and CR4.PAE; keep it out of that and load EFER last.  Nor is
     * there anything to flush: see vmx-tlb.c.
     */
    env->cr[0] = (env->cr[0] & ~(target_ulong)X86_TLB_CR0_MASK) |
                 (cr0 & X86_TLB_CR0_MASK);
    env->cr[4] = (env->cr[4] & ~(target_ulong)X86_TLB_CR4_MASK) |
                 (cr4 & X86_TLB_CR4_MASK);
    cpu_load_efer(env, efer & ~(uint64_t)(MSR_EFER_LME | MSR_EFER_LMA));
    cpu_x86_update_cr4(env, cr4);
    env->cr[3] = cr3;
    cpu_x86_update_cr0(env, cr0);
    cpu_load_efer(env, efer);
}

uint64_t vmx_merge_cr0(CPUX86State *env, uint64_t cr0)
{
    return (cr0 & ~CR0_UNCHANGED) | (env->cr[0] & CR0_UNCHANGED);
}

void vmx_load_rflags(CPUX86State *env, uint64_t rflags)
{
    env->eflags = 0;
    cpu_load_eflags(env, rflags, EFLAGS_LOADED);
}

/*
 * Recompute the derived flags.  x86_update_hflags() also copies TF, VM and
 * IOPL, which TCG adds from env->eflags itself and would never clear here.
 */
void vmx_update_hflags(CPUX86State *env)
{
    x86_update_hflags(env);
    env->hflags &= ~(HF_TF_MASK | HF_VM_MASK | HF_IOPL_MASK);
}
