/*
 * VMX: default treatment of SMIs and RSM, and blocking of SMI and INIT
 *
 * Intel SDM volume 3, "Default Treatment of SMIs and SMM with VMX Operation
 * and SMX Operation" (34.14 in the 2016 edition).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/log.h"
#include "system/runstate.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

/* Items of the state save area that only EPT has, from SMBASE + 8000H. */
#define SAVED_EPTP      0x7ed8
#define SAVED_EPT       0x7ee0  /* bit 0: "enable EPT" */

/*
 * A handler that looks at the guest's memory has to know whether its physical
 * addresses are guest-physical ones (DM-DEF-10, DM-DEF-11).
 */
static void vmx_smi_save_ept(CPUX86State *env, bool ept)
{
    CPUState *cs = env_cpu(env);

    if (!(env->features[FEAT_VMX_SECONDARY_CTLS] & VMX_CPU2_EPT)) {
        return;
    }
    x86_stl_phys(cs, env->smbase + 0x8000 + SAVED_EPT, ept);
    if (ept) {
        x86_stq_phys(cs, env->smbase + 0x8000 + SAVED_EPTP, env->vmx.ctl.eptp);
    }
}

/*
 * First half of SMI delivery, before anything is written to SMRAM but the items
 * of EPT: leaves VMX operation, keeps inside the processor what RSM needs to
 * re-enter it (DM-DEF-02 to DM-DEF-06), enters SMM.
 */
void vmx_smi_default_enter(CPUX86State *env)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    const int from = vmx_trace_mode(env);
    const uint64_t rip = env->eip;
    const bool ept = env->hflags2 & HF2_EPT_MASK;

    vmx_tlb_leave(env);
    smm->saved_vmxe = env->cr[4] & CR4_VMXE_MASK;
    smm->saved_mode = env->vmx.mode;
    smm->io.valid = false;
    env->vmx.hlt = false;

    smm->saved_inhibit = env->hflags & HF_INHIBIT_IRQ_MASK;
    smm->saved_mov_ss = env->hflags2 & HF2_MOV_SS_MASK;
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~HF2_MOV_SS_MASK;

    if (env->vmx.mode != VMX_MODE_NONE) {
        smm->saved_current = env->vmx.current_vmcs;
        if (env->vmx.mode == VMX_MODE_GUEST) {
            /* Timer, monitor trap flag and traps stay as they are. */
            smm->saved_virtual_nmi = env->vmx.virtual_nmi_blocked;
            vmx_guest_suspend(env);
        }
        env->vmx.mode = VMX_MODE_NONE;
    }

    /* The CR4 image in SMRAM has VMXE = 0 (DM-DEF-06). */
    if (smm->saved_vmxe) {
        cpu_x86_update_cr4(env, env->cr[4] & ~CR4_VMXE_MASK);
    }

    env->hflags |= HF_SMM_MASK;
    vmx_smi_save_ept(env, ept);
    if (cpu_has_vmx(env)) {
        vmx_trace_transition(env, "smi", from, 0, 0, rip);
    }
}

/*
 * RSM with an illegal image shuts the processor down before any state is
 * loaded (DM-DEF-15, DM-DEF-16).  Stock QEMU loads such images; checking is
 * confined to processors with VMX so that other models keep their behaviour.
 */
bool vmx_rsm_image_valid(CPUX86State *env, uint64_t cr0, uint64_t cr4)
{
    if (!cpu_has_vmx(env)) {
        return true;
    }
    if (cr4 & (CR4_VMXE_MASK | cr4_reserved_bits(env))) {
        return false;
    }
    if ((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK)) {
        return false;
    }
    return !((cr0 & CR0_NW_MASK) && !(cr0 & CR0_CD_MASK));
}

G_NORETURN void vmx_rsm_shutdown(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    qemu_log_mask(CPU_LOG_INT | LOG_GUEST_ERROR,
                  "RSM: illegal save state, shutdown\n");
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

/* CS.RPL and SS.RPL follow SS.DPL (DM-DEF-22). */
static void vmx_rsm_fix_rpl(CPUX86State *env)
{
    unsigned dpl = (env->segs[R_SS].flags >> DESC_DPL_SHIFT) & 3;

    env->segs[R_CS].selector = (env->segs[R_CS].selector & ~3) | dpl;
    env->segs[R_SS].selector = (env->segs[R_SS].selector & ~3) | dpl;
}

/*
 * Second half of RSM, after the state has been loaded from SMRAM: leave SMM and
 * re-enter VMX operation (DM-DEF-17 to DM-DEF-28).
 *
 * NMI blocking has been restored by helper_rsm() to what it was before the
 * SMI, which is right unless a guest with "virtual NMIs" is re-entered.
 */
void vmx_rsm_resume(CPUX86State *env)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    const int from = vmx_trace_mode(env);

    env->hflags &= ~HF_SMM_MASK;

    if (smm->saved_vmxe) {
        cpu_x86_update_cr4(env, env->cr[4] | CR4_VMXE_MASK);
        smm->saved_vmxe = false;
    }

    if (smm->saved_mode != VMX_MODE_NONE) {
        bool unrestricted = false;

        env->vmx.mode = smm->saved_mode;
        env->vmx.current_vmcs = smm->saved_current;

        if (env->vmx.mode == VMX_MODE_GUEST) {
            vmx_guest_reenter(env);
            unrestricted = vmx_unrestricted_guest(env);
            env->vmx.virtual_nmi_blocked = smm->saved_virtual_nmi;
            if (vmx_virtual_nmis(env)) {
                env->hflags2 &= ~HF2_NMI_MASK;
            }
            /* It has gone on in SMM, and may be over behind RSM (DM-DEF-31). */
            vmx_timer_catch_up(env);
            vmx_update_request(env);
            if (env->vmx.activity != VMX_ACTIVITY_ACTIVE) {
                /* Back to shutdown. */
                BQL_LOCK_GUARD();
                env_cpu(env)->interrupt_request |= CPU_INTERRUPT_HALT;
            }
        }

        /* Bits that VMX operation fixes (DM-DEF-20, DM-DEF-21). */
        cpu_x86_update_cr4(env, env->cr[4] | CR4_VMXE_MASK);
        cpu_x86_update_cr0(env, env->cr[0] | CR0_NE_MASK |
                           (unrestricted ? 0 : CR0_PE_MASK | CR0_PG_MASK));
        if (!(env->eflags & VM_MASK) && !unrestricted) {
            vmx_rsm_fix_rpl(env);
        }
        smm->saved_mode = VMX_MODE_NONE;
    }

    /*
     * RSM returns into the shadow of STI or MOV SS that the SMI left; the
     * handler has loaded SS as well.
     */
    env->hflags2 &= ~HF2_MOV_SS_MASK;
    if (smm->saved_inhibit) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
        smm->saved_inhibit = false;
    }
    if (smm->saved_mov_ss) {
        env->hflags2 |= HF2_MOV_SS_MASK;
        smm->saved_mov_ss = false;
    }

    if (cpu_has_vmx(env)) {
        vmx_trace_transition(env, "rsm", from, 0, 0, env->eip);
    }
}
