/*
 * VMX: VM entries that return from SMM
 *
 * Intel SDM volume 3, "VM Entries that Return from SMM" (34.15.4 in the 2016
 * edition) and "Deactivating the Dual-Monitor Treatment" (34.15.7).
 *
 * Guest state and VM-entry controls come from the VMCS that was current when
 * the entry began; VM-execution controls from the executive VMCS, or none at
 * all if the entry returns to root operation (DM-RET-51).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "tcg/helper-tcg.h"
#include "vmx-transition.h"

/*
 * Step 2 of matrix M4, in the order of DM-RET-07: the executive-VMCS pointer
 * itself, what it points to, the VM-execution controls there.  The accesses
 * are made in SMM (DM-RET-70).
 *
 * Returns 0 or the number of the VM-instruction error.
 */
int vmx_smm_return_check(CPUX86State *env, VMXEntry *entry)
{
    const uint64_t executive = vmcs_read(entry->guest,
                                         VMCS_EXECUTIVE_VMCS_POINTER);

    entry->executive = executive;
    entry->deactivate = entry->entry_ctls &
                        VMX_VM_ENTRY_DEACT_DUAL_MONITOR;
    entry->to_root = executive == env->vmx.vmxon_ptr;
    entry->control = NULL;
    memset(&entry->ctl, 0, sizeof(entry->ctl));

    if (!vmx_pointer_valid(env, executive)) {               /* DM-RET-03, 04 */
        return VMX_ERR_EXECUTIVE_POINTER;
    }
    if (vmx_region_revision(env, executive) != VMX_VMCS_REVISION) {
        return VMX_ERR_EXECUTIVE_POINTER;                   /* DM-RET-05, 06 */
    }
    if (entry->to_root) {
        /* DM-RET-11: no VM-execution controls are checked or used. */
        return 0;
    }
    if (entry->deactivate) {
        return VMX_ERR_EXECUTIVE_NOT_VMXON;                 /* DM-RET-09 */
    }

    entry->control = vmx_vmcs_map(env, executive);
    if (!vmcs_launched(entry->control)) {
        return VMX_ERR_EXECUTIVE_NONLAUNCHED;               /* DM-RET-08 */
    }
    if (!vmx_check_execution_controls(env, entry->control)) {
        return VMX_ERR_EXECUTIVE_CONTROLS;                  /* DM-RET-12 */
    }
    vmx_read_controls(entry->control, &entry->ctl);
    return 0;
}

/*
 * Steps 6 to 8 of matrix M4.  Everything that is still needed from the
 * SMM-transfer VMCS is read before SMM is left, because the region is normally
 * in SMRAM.
 */
void vmx_smm_return_commit(CPUX86State *env, VMXEntry *entry)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    VMXVmcs *vmcs = vmx_vmcs_map(env, env->vmx.current_vmcs);
    const uint64_t link = vmcs_read(vmcs, VMCS_VMCS_LINK_POINTER);
    const uint32_t smbase = vmcs_read(vmcs, VMCS_GUEST_SMBASE);
    const uint32_t blocking = vmcs_read(vmcs, VMCS_GUEST_INTERRUPTIBILITY);

    vmx_vmcs_unmap(env, vmcs);

    env->smbase = smbase;                               /* DM-RET-40, 41 */
    smm->io.valid = false;

    if (entry->deactivate) {
        smm->active = false;                            /* DM-DEA-01 */
        smm->transfer_vmcs = VMX_NO_POINTER;
    } else {
        smm->transfer_vmcs = env->vmx.current_vmcs;     /* DM-RET-47 */
    }
    /* DM-RET-48, DM-RET-49 */
    env->vmx.current_vmcs = entry->to_root ? link : entry->executive;

    /* DM-RET-62; DM-RET-55, or DM-DEA-07 and DM-DEA-08. */
    env->hflags &= ~HF_SMM_MASK;
    if (!entry->deactivate && (blocking & VMX_BLOCKED_SMI)) {
        env->hflags2 |= HF2_SMI_BLOCKED_MASK;
    } else {
        env->hflags2 &= ~HF2_SMI_BLOCKED_MASK;
    }
    tlb_flush(env_cpu(env));                            /* DM-RET-42 */
}
