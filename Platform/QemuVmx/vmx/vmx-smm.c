/*
 * VMX: SMM VM exits of the dual-monitor treatment
 *
 * Intel SDM volume 3, "SMM VM Exits" (34.15.2 in the 2016 edition).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/log.h"
#include "tcg/helper-tcg.h"
#include "vmx-transition.h"

/* VMX-abort indicator, rule table T13 */
#define VMX_ABORT_HOST_ADDR_SPACE   6

/*
 * SMM VM exit: from outside SMM, root or non-root, into the STM.
 *
 * @basic: 5, 6 or 18; @qualification as in table T10 for reason 5, else 0;
 * @length: VM-exit instruction length.  RIP must be up to date: the VMCALL
 * itself for reason 18, the next instruction for SMIs (DM-EXI-35).
 */
void vmx_smm_exit(CPUX86State *env, uint32_t basic, uint64_t qualification,
                  uint32_t length)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    const bool from_root = vmx_in_root(env);
    const int from = vmx_trace_mode(env);
    const uint64_t rip = env->eip;
    const X86VMXIoSmi io = smm->io;
    uint32_t reason = basic;
    uint64_t executive, link;
    VMXVmcs *vmcs;

    smm->io.valid = false;

    if (from_root) {
        /* DM-EXI-11, DM-EXI-17; link pointer: decision G-01. */
        executive = env->vmx.vmxon_ptr;
        link = env->vmx.current_vmcs;
        reason |= VMX_EXIT_REASON_FROM_ROOT;
    } else {
        /* DM-EXI-10 */
        executive = env->vmx.current_vmcs;
        link = VMX_NO_POINTER;
        if (vmx_mtf_pending(env)) {
            reason |= VMX_EXIT_REASON_PENDING_MTF;
        }
    }

    /*
     * From here on memory is accessed as SMM does it: the SMM-transfer VMCS
     * is normally in SMRAM (DM-EXI-64, DM-INT-44).
     */
    env->hflags |= HF_SMM_MASK;
    vmcs = vmx_vmcs_map(env, smm->transfer_vmcs);

    vmcs_write(vmcs, VMCS_EXECUTIVE_VMCS_POINTER, executive);

    /* Exit information; the VM-instruction error is left alone (DM-EXI-30). */
    vmcs_write(vmcs, VMCS_EXIT_REASON, reason);
    vmcs_write(vmcs, VMCS_EXIT_QUALIFICATION, qualification);
    vmcs_write(vmcs, VMCS_EXIT_INTERRUPTION_INFO, 0);
    vmcs_write(vmcs, VMCS_IDT_VECTORING_INFO, 0);
    vmcs_write(vmcs, VMCS_EXIT_INSTRUCTION_LENGTH, length);
    if (basic == VMX_EXIT_IO_SMI) {
        /* DM-EXI-22, DM-EXI-24 */
        vmcs_write(vmcs, VMCS_GUEST_LINEAR_ADDRESS, io.linear);
        vmcs_write(vmcs, VMCS_IO_RCX, io.rcx);
        vmcs_write(vmcs, VMCS_IO_RSI, io.rsi);
        vmcs_write(vmcs, VMCS_IO_RDI, io.rdi);
        vmcs_write(vmcs, VMCS_IO_RIP, io.rip);
    }

    if (basic == VMX_EXIT_VMCALL) {
        env->eflags &= ~RF_MASK;                        /* DM-EXI-36 */
    }
    /* Guest state of the interrupted context, with its own controls. */
    vmx_exit_save_state(env, vmcs);
    vmcs_write(vmcs, VMCS_VMCS_LINK_POINTER, link);
    vmcs_write(vmcs, VMCS_GUEST_SMBASE, env->smbase);
    vmx_exit_store_msrs(env, vmcs);

    /* DM-EXI-12 */
    if (!from_root) {
        vmx_guest_leave(env);
    }
    env->vmx.mode = VMX_MODE_ROOT;
    env->vmx.current_vmcs = smm->transfer_vmcs;

    if ((env->efer & MSR_EFER_LMA) &&
        !(vmcs_read(vmcs, VMCS_EXIT_CONTROLS) &
          VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE)) {
        vmx_abort(env, vmcs, VMX_ABORT_HOST_ADDR_SPACE); /* DM-EXI-51 */
    }
    vmx_exit_load_host(env, vmcs);
    vmx_vmcs_unmap(env, vmcs);

    /* DM-EXI-55, DM-EXI-56 */
    env->hflags2 |= HF2_NMI_MASK | HF2_SMI_BLOCKED_MASK;
    tlb_flush(env_cpu(env));

    vmx_trace_transition(env, "smm-exit", from, reason, qualification, rip);
}

/*
 * An SMI is taken outside SMM.  Returns false if it gets the default treatment
 * (matrix M1); the caller has checked that it is not blocked.
 */
bool vmx_smm_exit_on_smi(CPUX86State *env)
{
    const X86VMXIoSmi *io = &env->vmx.smm.io;

    if (!env->vmx.smm.active) {
        return false;
    }
    env->msr_smi_count++;
    if (vmx_io_smi_matches(env)) {
        vmx_smm_exit(env, VMX_EXIT_IO_SMI, io->qualification, 0);
    } else {
        vmx_smm_exit(env, VMX_EXIT_OTHER_SMI, 0, 0);
    }
    return true;
}

bool vmx_smm_exit_due(CPUX86State *env)
{
    return env->vmx.smm.active && !(env->hflags & HF_SMM_MASK) &&
           !vmx_smi_blocked(env) &&
           (env_cpu(env)->interrupt_request & CPU_INTERRUPT_SMI);
}
