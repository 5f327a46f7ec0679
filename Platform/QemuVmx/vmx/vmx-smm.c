/*
 * VMX: SMM VM exits of the dual-monitor treatment
 *
 * Intel SDM volume 3, "SMM VM Exits" (34.15.2 in the 2016 edition).
 *
 * Under the dual-monitor treatment an SMI neither writes an SMRAM save area nor
 * starts the SMI handler.  It is a VM exit into the STM, which is at once the
 * host of whatever was interrupted.  One SMI makes four transitions, with two
 * VMCSs of the STM:
 *
 *   1. SMM VM exit, here: the interrupted state becomes the guest-state area
 *      of the SMM-transfer VMCS, the STM runs in VMX root operation in SMM.
 *   2. VM entry with "entry to SMM" (vmx-entry.c): the STM makes the SMM-guest
 *      VMCS current and starts the SMI handler as its guest.
 *   3. VM exit due to RSM (vmx-exit.c): the handler has finished.
 *   4. VM entry that returns from SMM (vmx-smm-return.c): the SMM-transfer VMCS
 *      is current again and its guest-state area is where execution resumes.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/log.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

/* VMX-abort indicator: the exit would leave IA-32e mode. */
#define VMX_ABORT_HOST_ADDR_SPACE   6

/*
 * SMM VM exit: from outside SMM, root or non-root, into the STM.
 *
 * @basic: exit reason 5 (I/O SMI), 6 (other SMI) or 18 (VMCALL);
 * @qualification: describes the I/O instruction for reason 5, else 0;
 * @length: VM-exit instruction length.
 *
 * RIP must be up to date, because it is what the STM will return to: the next
 * instruction for SMIs, the VMCALL itself for reason 18 (DM-EXI-35).
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

    vmx_tlb_leave(env);

    /* The record of an I/O instruction is good for one SMI. */
    smm->io.valid = false;

    /*
     * The exit replaces the current-VMCS pointer, so that the old one has to
     * be left where the return finds it.  Interrupted non-root operation needs
     * its VMCS back for the VM-execution controls: the executive-VMCS pointer
     * names it (DM-EXI-10).  Interrupted root operation has the VMXON pointer
     * there, which says "return to root" (DM-EXI-11), and bit 29 of the exit
     * reason (DM-EXI-17).  Its current VMCS goes into the link pointer, from
     * which the return loads it; the SDM leaves open who writes that field, but
     * without this the monitor would lose its VMCS on each SMI.
     */
    if (from_root) {
        executive = env->vmx.vmxon_ptr;
        link = env->vmx.current_vmcs;
        reason |= VMX_REASON_FROM_ROOT;
    } else {
        executive = env->vmx.current_vmcs;
        link = VMCS_POINTER_NONE;
        if (vmx_mtf_pending(env)) {
            /* Lost unless the STM injects it when it returns. */
            reason |= VMX_REASON_PENDING_MTF;
        }
    }

    /*
     * Entering SMM comes before the first access to the SMM-transfer VMCS,
     * which is normally in SMRAM: HF_SMM_MASK selects the address space in
     * which SMRAM is visible (DM-EXI-64), as SMI delivery does (DM-INT-44).
     */
    env->hflags |= HF_SMM_MASK;
    vmcs = vmx_vmcs_map(env, smm->transfer_vmcs);

    vmcs_write(vmcs, VMCS_EXECUTIVE_VMCS_POINTER, executive);

    /*
     * Exit information.  No event was being delivered, since an SMI is taken on
     * an instruction boundary.  The VM-instruction error is that of the last
     * instruction that failed and keeps its value (DM-EXI-30).
     */
    vmcs_write(vmcs, VMCS_EXIT_REASON, reason);
    vmcs_write(vmcs, VMCS_EXIT_QUALIFICATION, qualification);
    vmcs_write(vmcs, VMCS_EXIT_INTERRUPTION_INFO, 0);
    vmcs_write(vmcs, VMCS_IDT_VECTORING_INFO, 0);
    vmcs_write(vmcs, VMCS_EXIT_INSTRUCTION_LENGTH, length);
    if (basic == VMX_REASON_IO_SMI) {
        /*
         * Registers and operand address of the I/O instruction, as they were
         * before it (DM-EXI-22, DM-EXI-24): the STM shows them to the handler,
         * which may want to have the instruction executed again.
         */
        vmcs_write(vmcs, VMCS_GUEST_LINEAR_ADDRESS, io.linear);
        vmcs_write(vmcs, VMCS_IO_RCX, io.rcx);
        vmcs_write(vmcs, VMCS_IO_RSI, io.rsi);
        vmcs_write(vmcs, VMCS_IO_RDI, io.rdi);
        vmcs_write(vmcs, VMCS_IO_RIP, io.rip);
    }

    if (basic == VMX_REASON_VMCALL) {
        /* Exits due to instructions save RF as 0, SMIs as it is (DM-EXI-36). */
        env->eflags &= ~RF_MASK;
    }
    /*
     * The interrupted registers, while the processor is still in its old mode:
     * what is saved of the preemption timer, virtual NMIs and PDPTEs depends on
     * the VM-execution controls in force.  Link pointer and SMBASE are what
     * only SMM VM exits save.
     */
    vmx_exit_save_state(env, vmcs);
    vmcs_write(vmcs, VMCS_LINK_POINTER, link);
    vmcs_write(vmcs, VMCS_GUEST_SMBASE, env->smbase);
    vmx_exit_store_msrs(env, vmcs);

    /*
     * Only now are the old controls taken out of force, and the SMM-transfer
     * VMCS becomes current (DM-EXI-12), so that the STM's first VMREAD finds
     * this exit.
     */
    if (!from_root) {
        vmx_guest_leave(env);
    }
    env->vmx.mode = VMX_MODE_ROOT;
    env->vmx.current_vmcs = smm->transfer_vmcs;

    if ((env->efer & MSR_EFER_LMA) &&
        !(vmcs_read(vmcs, VMCS_EXIT_CONTROLS) &
          VMX_EXIT_HOST_ADDRESS_SPACE_SIZE)) {
        /* A 32-bit STM cannot serve IA-32e mode (DM-EXI-51). */
        VMX_REFUSE(env, vmcs, "DM-EXI-51", EXIT_CONTROLS,
                   "host address-space size 1 for an exit from IA-32e mode");
        vmx_abort(env, vmcs, VMX_ABORT_HOST_ADDR_SPACE);
    }
    /* Host state is the STM's: its stack, page tables and entry point. */
    vmx_exit_load_host(env, vmcs);
    vmx_vmcs_unmap(env, vmcs);

    /*
     * The STM is to be disturbed by neither NMIs (DM-EXI-55) nor further SMIs
     * (DM-EXI-56).  The latter stay blocked until a VM entry that returns from
     * SMM, through all entries and exits of the SMI handler.
     */
    env->hflags2 |= HF2_NMI_MASK | HF2_SMI_BLOCKED_MASK;
    /* Whatever the VPID of what has been interrupted (DM-EXI-58). */
    vmx_tlb_flush_vpid0(env);
    vmx_tlb_enter(env);

    vmx_trace_transition(env, "smm-exit", from, reason, qualification, rip);
}

/*
 * An SMI is taken outside SMM; the caller has checked that it is not blocked.
 * Returns false if it gets the default treatment, because the dual-monitor
 * treatment is not active: then it goes to the SMI handler by way of SMRAM, in
 * VMX operation as well as outside it (vmx-smm-default.c).
 */
bool vmx_smm_exit_on_smi(CPUX86State *env)
{
    const X86VMXIoSmi *io = &env->vmx.smm.io;

    if (!env->vmx.smm.active) {
        return false;
    }
    env->msr_smi_count++;
    if (vmx_io_smi_matches(env)) {
        vmx_smm_exit(env, VMX_REASON_IO_SMI, io->qualification, 0);
    } else {
        vmx_smm_exit(env, VMX_REASON_OTHER_SMI, 0, 0);
    }
    return true;
}

bool vmx_smm_exit_due(CPUX86State *env)
{
    return env->vmx.smm.active && !(env->hflags & HF_SMM_MASK) &&
           !vmx_smi_blocked(env) &&
           (env_cpu(env)->interrupt_request & CPU_INTERRUPT_SMI);
}
