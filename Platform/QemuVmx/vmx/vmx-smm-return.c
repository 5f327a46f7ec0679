/*
 * VMX: VM entries that return from SMM
 *
 * Intel SDM volume 3, "VM Entries that Return from SMM" (34.15.4 in the 2016
 * edition) and "Deactivating the Dual-Monitor Treatment" (34.15.7).
 *
 * The way back of an SMM VM exit (vmx-smm.c).  What tells such an entry from
 * others is only that it begins in SMM with "entry to SMM" 0.  Two monitors
 * meet in it: guest state and VM-entry controls come from the VMCS that was
 * current when the entry began, the STM's SMM-transfer VMCS, which the exit has
 * filled; VM-execution controls come from the executive VMCS, because the guest
 * that resumes is that of the executive monitor.  An entry that returns to root
 * operation, to the executive monitor itself, has none (DM-RET-51).
 *
 * vmx_vm_entry() calls the check after that of the launch state and before all
 * others, the commit after guest state has been loaded.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

/*
 * The checks that only these entries have, in the order in which they decide
 * the error number (DM-RET-07): the executive-VMCS pointer itself, what it
 * points to, the VM-execution controls there.
 *
 * The accesses are made in SMM, so that a pointer into SMRAM is not refused
 * here: keeping the executive monitor's pointers out of SMRAM is up to the STM
 * (DM-RET-70).
 *
 * Returns 0 or the number of the VM-instruction error.
 */
int vmx_smm_return_check(CPUX86State *env, VMXEntry *entry)
{
    const uint64_t executive = vmcs_read(entry->guest,
                                         VMCS_EXECUTIVE_VMCS_POINTER);

    entry->executive = executive;
    entry->deactivate = entry->entry_ctls & VMX_ENTRY_DEACTIVATE;
    /* The value that an SMM VM exit from root operation has left there. */
    entry->to_root = executive == env->vmx.vmxon_ptr;
    entry->control = NULL;
    memset(&entry->ctl, 0, sizeof(entry->ctl));

    /* A page within the physical-address width (DM-RET-03, DM-RET-04)... */
    if (executive & 0xfff) {
        VMX_REFUSE(env, entry->guest, "DM-RET-03", EXECUTIVE_VMCS_POINTER,
                   "4-KByte aligned");
        return VMX_ERROR_EXECUTIVE_POINTER;
    }
    if (!vmx_pointer_valid(env, executive)) {
        VMX_REFUSE(env, entry->guest, "DM-RET-04", EXECUTIVE_VMCS_POINTER,
                   "within the physical-address width");
        return VMX_ERROR_EXECUTIVE_POINTER;
    }
    /* ...with our revision; a VMXON region has it too (DM-RET-05, -06). */
    if (vmx_region_revision(env, executive) != VMX_VMCS_REVISION) {
        VMX_REFUSE(env, entry->guest, "DM-RET-05", EXECUTIVE_VMCS_POINTER,
                   "a region with the revision identifier");
        return VMX_ERROR_EXECUTIVE_POINTER;
    }
    if (entry->to_root) {
        /* No VM-execution controls are checked or used (DM-RET-11). */
        return 0;
    }
    if (entry->deactivate) {
        /* The treatment ends in the executive monitor only (DM-RET-09). */
        VMX_REFUSE(env, entry->guest, "DM-RET-09", EXECUTIVE_VMCS_POINTER,
                   "the VMXON pointer for deactivation");
        return VMX_ERROR_EXECUTIVE_NOT_VMXON;
    }

    entry->control = vmx_vmcs_map(env, executive);
    if (!vmcs_launched(entry->control)) {
        /* A VMCS whose guest was interrupted has been launched (DM-RET-08). */
        VMX_REFUSE(env, entry->guest, "DM-RET-08", EXECUTIVE_VMCS_POINTER,
                   "the VMXON pointer or a launched VMCS");
        return VMX_ERROR_EXECUTIVE_NOT_LAUNCHED;
    }
    /*
     * Checked when the executive monitor entered its guest, but the region is
     * memory, and may have been written to since then (DM-RET-12).
     */
    if (!vmx_check_execution_controls(env, entry->control)) {
        return VMX_ERROR_EXECUTIVE_CONTROLS;
    }
    vmx_read_controls(entry->control, &entry->ctl);
    return 0;
}

/*
 * The part of the transition that only these entries have: VMCS pointers,
 * SMBASE, blocking by SMI, leaving SMM.  It comes after the loading of guest
 * state, which may still fail and then stays in the STM, and before an event is
 * injected, which is delivered outside SMM.
 *
 * Everything that is needed from the SMM-transfer VMCS is read before SMM is
 * left, because the region is normally in SMRAM.
 */
void vmx_smm_return_commit(CPUX86State *env, VMXEntry *entry)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    VMXVmcs *vmcs = vmx_vmcs_map(env, env->vmx.current_vmcs);
    const uint64_t link = vmcs_read(vmcs, VMCS_LINK_POINTER);
    const uint32_t smbase = vmcs_read(vmcs, VMCS_GUEST_SMBASE);
    const uint32_t blocking =
        vmcs_read(vmcs, VMCS_GUEST_INTERRUPTIBILITY_STATE);

    vmx_vmcs_unmap(env, vmcs);

    /* The STM may have relocated SMRAM; no other entry does (DM-RET-40). */
    env->smbase = smbase;
    /* Nothing that ran in SMM explains the next SMI. */
    smm->io.valid = false;

    if (entry->deactivate) {
        /* SMIs get the default treatment from here on (DM-DEA-01). */
        smm->active = false;
        smm->transfer_vmcs = VMCS_POINTER_NONE;
    } else {
        /*
         * The next SMM VM exit goes to the VMCS of this entry (DM-RET-47).
         * The first SMM-transfer VMCS is that of the executive monitor's
         * VMCALL, outside SMRAM; thus can an STM exchange it for its own.
         */
        smm->transfer_vmcs = env->vmx.current_vmcs;
    }
    /* What the SMM VM exit has displaced (DM-RET-48, DM-RET-49). */
    env->vmx.current_vmcs = entry->to_root ? link : entry->executive;

    /*
     * SMRAM is closed from here on (DM-RET-62).  SMIs are what the STM says in
     * the interruptibility state: it may run code outside SMM before it lets
     * the next one come (DM-RET-55).  Deactivation unblocks them always, since
     * nobody would be left to do it (DM-DEA-07, DM-DEA-08).
     */
    env->hflags &= ~HF_SMM_MASK;
    if (!entry->deactivate && (blocking & VMX_BLOCKING_BY_SMI)) {
        env->hflags2 |= HF2_SMI_BLOCKED_MASK;
    } else {
        env->hflags2 &= ~HF2_SMI_BLOCKED_MASK;
    }
    /* Of all VPIDs and EPT pointers (DM-RET-42). */
    vmx_tlb_flush_vpids(env);
}
