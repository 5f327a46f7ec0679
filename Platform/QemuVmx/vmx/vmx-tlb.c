/*
 * VMX: banks of the TLB
 *
 * Intel SDM volume 3, "Caching Translation Information" (28.3 in the 2016
 * edition).
 *
 * What a processor remembers of translations is tagged with the VPID, which is
 * 0 outside VMX non-root operation.  Here each VPID has a bank of QEMU's TLB,
 * in SMM another one, because entries also hold which of the two address spaces
 * they are for.  A transition selects the bank of where it goes.
 *
 * A bank may keep what it holds only if that is what the processor might still
 * remember.  The rules of VM entries, VM exits, SMIs and RSM say what must go.
 * Beyond them a bank knows one address space: if anything that translations
 * depend on differs from when the bank was left, such as CR3 or the EPT
 * pointer, the bank forgets, which the architecture always permits.
 *
 * Linear and combined mappings are those of the MMU indices below MMU_PHYS_IDX,
 * guest-physical mappings those of MMU_NESTED_IDX.  MMU_PHYS_IDX holds no
 * translation at all, and depends on nothing but SMM.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/tlb-bank.h"
#include "tlb.h"
#include "vmx.h"
#include "vmx-base.h"

#define ALL_BITS        UINT16_MAX

QEMU_BUILD_BUG_ON(ARRAY_SIZE(((X86VMXTlb *)0)->bank) != TLB_BANKS);

static X86VMXTlbBank *vmx_tlb_selected(CPUX86State *env)
{
    return &env->vmx.tlb.bank[tlb_selected_bank(env_cpu(env))];
}

static uint16_t vmx_current_vpid(CPUX86State *env)
{
    return vmx_in_guest(env) ? env->vmx.ctl.vpid : 0;
}

/* What translations of the current mode depend on, apart from the tables. */
static X86VMXTlbKey vmx_tlb_key(CPUX86State *env)
{
    X86VMXTlbKey key = {
        .cr0 = env->cr[0] & X86_TLB_CR0_MASK,
        .cr3 = env->cr[3],
        .cr4 = env->cr[4] & (X86_TLB_CR4_MASK | CR4_PKE_MASK | CR4_PKS_MASK),
        .efer = env->efer & (MSR_EFER_NXE | MSR_EFER_LMA),
        .eptp = env->hflags2 & HF2_EPT_MASK ? env->vmx.ctl.eptp : 0,
        .apic_access = vmx_proc2(env, VMX_CPU2_APIC_ACCESSES) ?
                       env->vmx.ctl.apic_access : ~0ULL,
        .pkru = env->pkru,
        .pkrs = env->pkrs,
        .operation = vmx_in_operation(env),
    };

    if (vmx_in_operation(env) && (key.cr0 & CR0_PG_MASK) &&
        (key.cr4 & CR4_PAE_MASK) && !(key.efer & MSR_EFER_LMA)) {
        memcpy(key.pdpte, env->vmx.pdpte, sizeof(key.pdpte));
    }
    return key;
}

static void vmx_tlb_flush(CPUX86State *env, unsigned bank, uint16_t idxmap)
{
    tlb_flush_bank_by_mmuidx(env_cpu(env), bank, idxmap);
}

void vmx_tlb_leave(CPUX86State *env)
{
    X86VMXTlb *tlb = &env->vmx.tlb;
    X86VMXTlbBank *left = vmx_tlb_selected(env);
    const bool smm = env->hflags & HF_SMM_MASK;
    const uint16_t vpid = vmx_current_vpid(env);
    unsigned i;

    /* After RESET and loadvm the bank is not the one of its label. */
    if (!left->labelled || left->smm != smm || left->vpid != vpid) {
        for (i = 0; i < TLB_BANKS; i++) {
            X86VMXTlbBank *bank = &tlb->bank[i];

            if (bank->labelled && bank->smm == smm && bank->vpid == vpid) {
                bank->labelled = false;
            }
        }
        left->labelled = true;
        left->smm = smm;
        left->vpid = vpid;
    }
    left->key = vmx_tlb_key(env);
    if (left->key.eptp) {
        left->nested_eptp = left->key.eptp;
    }
    tlb->left = true;
}

/* The bank of a VPID: its own, else one that has none, else the oldest. */
static unsigned vmx_tlb_find(CPUX86State *env, bool smm, uint16_t vpid)
{
    X86VMXTlb *tlb = &env->vmx.tlb;
    unsigned best = 0, i;

    for (i = 0; i < TLB_BANKS; i++) {
        X86VMXTlbBank *bank = &tlb->bank[i];

        if (bank->labelled && bank->smm == smm && bank->vpid == vpid) {
            return i;
        }
    }
    for (i = 1; i < TLB_BANKS; i++) {
        X86VMXTlbBank *bank = &tlb->bank[i], *other = &tlb->bank[best];

        if (other->labelled &&
            (!bank->labelled || bank->selected < other->selected)) {
            best = i;
        }
    }
    vmx_tlb_flush(env, best, ALL_BITS);
    tlb->bank[best] = (X86VMXTlbBank) {
        .labelled = true,
        .smm = smm,
        .vpid = vpid,
        .key = vmx_tlb_key(env),
    };
    return best;
}

void vmx_tlb_enter(CPUX86State *env)
{
    X86VMXTlb *tlb = &env->vmx.tlb;
    const X86VMXTlbKey key = vmx_tlb_key(env);
    X86VMXTlbBank *bank;
    unsigned number;

    if (!tlb->left) {
        /* Nobody has noted what the bank holds. */
        tlb_flush(env_cpu(env));
    }
    tlb->left = false;
    number = vmx_tlb_find(env, env->hflags & HF_SMM_MASK,
                          vmx_current_vpid(env));
    bank = &tlb->bank[number];
    if (memcmp(&bank->key, &key, sizeof(key))) {
        vmx_tlb_flush(env, number, MMU_LINEAR_BITS);
    }
    if (key.eptp && bank->nested_eptp != key.eptp) {
        vmx_tlb_flush(env, number, MMU_LINEAR_BITS | 1 << MMU_NESTED_IDX);
        bank->nested_eptp = key.eptp;
    }
    bank->selected = ++tlb->clock;
    tlb_select_bank(env_cpu(env), number);
}

bool vmx_tlb_physical(CPUX86State *env)
{
    return !env->vmx.tlb.left ||
           vmx_tlb_selected(env)->smm == !!(env->hflags & HF_SMM_MASK);
}

void vmx_tlb_flush_vpid0(CPUX86State *env)
{
    unsigned i;

    for (i = 0; i < TLB_BANKS; i++) {
        if (!env->vmx.tlb.bank[i].vpid) {
            vmx_tlb_flush(env, i, MMU_LINEAR_BITS);
        }
    }
}

void vmx_tlb_flush_vpids(CPUX86State *env)
{
    unsigned i;

    for (i = 0; i < TLB_BANKS; i++) {
        vmx_tlb_flush(env, i, MMU_LINEAR_BITS);
    }
}

void vmx_tlb_flush_vpid(CPUX86State *env, uint16_t vpid)
{
    unsigned i;

    for (i = 0; i < TLB_BANKS; i++) {
        if (env->vmx.tlb.bank[i].vpid == vpid) {
            vmx_tlb_flush(env, i, MMU_LINEAR_BITS);
        }
    }
}

void vmx_tlb_flush_ept(CPUX86State *env)
{
    unsigned i;

    for (i = 0; i < TLB_BANKS; i++) {
        /*
         * VM entries without VPID forget the combined mappings of VPID 0; until
         * then those in the bank are linear ones of root operation.
         */
        vmx_tlb_flush(env, i, 1 << MMU_NESTED_IDX |
                      (env->vmx.tlb.bank[i].vpid ? MMU_LINEAR_BITS : 0));
    }
}

void vmx_tlb_eptp_changed(CPUX86State *env)
{
    vmx_tlb_flush(env, tlb_selected_bank(env_cpu(env)),
                  MMU_LINEAR_BITS | 1 << MMU_NESTED_IDX);
    vmx_tlb_selected(env)->nested_eptp = env->vmx.ctl.eptp;
}
