/*
 * VMX: VM entries and VM exits - layer "transition"
 *
 * What QEMU's files call as well is in vmx.h.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_TRANSITION_H
#define I386_TCG_VMX_TRANSITION_H

#include "vmx-parts.h"

/*
 * One VM entry.  Guest state, host state, VM-exit and VM-entry controls come
 * from @guest, the VMCS that was current at the instruction; VM-execution
 * controls come from @control, which is @guest except for entries that return
 * from SMM.
 */
typedef struct VMXEntry {
    VMXVmcs *guest;
    VMXVmcs *control;           /* NULL: return from SMM to root */
    X86VMXControls ctl;         /* of @control; all zero without it */
    uint32_t entry_ctls;
    uint32_t exit_ctls;
    bool launch;
    bool returns_from_smm;
    bool deactivate;
    bool to_root;
    uint64_t executive;         /* executive-VMCS pointer, for returns */
} VMXEntry;

/* ------------------------------------------------------------------ */
/* vmx-checks.c, vmx-checks-guest.c, vmx-checks-segments.c             */

/* A check that fails returns one of these: what it wanted, for the trace. */
#define VMX_REFUSE(env, vmcs, rule, field, demand)                       \
    vmx_refuse(env, vmcs, rule, VMCS_##field, demand)
/* @index: R_ES to R_GS, then 6 for LDTR and 7 for TR. */
#define VMX_REFUSE_SEGMENT(env, vmcs, rule, part, index, demand)         \
    vmx_refuse(env, vmcs, rule, VMCS_GUEST_ES_##part + (index) * 2, demand)
#define VMX_CHECK_CANONICAL(env, vmcs, rule, field)                      \
    (vmx_canonical(vmcs_read(vmcs, VMCS_##field)) ||                     \
     VMX_REFUSE(env, vmcs, rule, field, "canonical"))

/* VM-execution control checks; true if valid. */
bool vmx_check_execution_controls(CPUX86State *env, const VMXVmcs *vmcs);
/* 0, or the number of the VM-instruction error. */
int vmx_check_entry(CPUX86State *env, const VMXEntry *entry);
/* Part of the following: segment and descriptor-table registers. */
bool vmx_check_guest_segments(CPUX86State *env, const VMXEntry *entry);
/* True if valid, else *qualification is that of the failure. */
bool vmx_check_guest_state(CPUX86State *env, const VMXEntry *entry,
                           uint64_t *qualification);

/* ------------------------------------------------------------------ */
/* vmx-exit.c                                                          */

/*
 * Parts of a VM exit.  Saving covers the guest-state area except link pointer
 * and SMBASE, and the updates of VM-entry controls and VM-entry interruption
 * information; it uses the VM-exit controls of @vmcs.  Storing and loading
 * MSRs may end in a VMX abort, which does not return.
 */
void vmx_exit_save_state(CPUX86State *env, VMXVmcs *vmcs);
void vmx_exit_store_msrs(CPUX86State *env, VMXVmcs *vmcs);
void vmx_exit_load_host(CPUX86State *env, VMXVmcs *vmcs);
G_NORETURN void vmx_abort(CPUX86State *env, VMXVmcs *vmcs, uint32_t indicator);

/* ------------------------------------------------------------------ */
/* vmx-smm.c: SMM VM exits                                             */

void vmx_smm_exit(CPUX86State *env, uint32_t basic, uint64_t qualification,
                  uint32_t length);
bool vmx_smm_exit_on_smi(CPUX86State *env);
/* An SMI is pending and will cause an SMM VM exit on the next boundary. */
bool vmx_smm_exit_due(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-smm-return.c                                                    */

/*
 * VM entries that return from SMM.  The check of the executive-VMCS pointer
 * returns 0 or the number of the VM-instruction error and fills in executive,
 * control (mapped, also on failure; the caller unmaps it), ctl, to_root,
 * deactivate.  The commit follows the loading of guest state and comes before
 * event injection: pointers, SMBASE, blocking, leaving SMM.  VMCSs have been
 * written back by then.
 */
int vmx_smm_return_check(CPUX86State *env, VMXEntry *entry);
void vmx_smm_return_commit(CPUX86State *env, VMXEntry *entry);

/* ------------------------------------------------------------------ */
/* vmx-smm-activate.c                                                  */

/* VMCALL in VMX root operation: true if the processor is now in the STM. */
bool vmx_vmcall_root(CPUX86State *env, uint32_t length);

/* ------------------------------------------------------------------ */
/* vmx-entry.c                                                         */

/*
 * VMLAUNCH or VMRESUME.  False after a VMfail, with RIP unchanged; true if the
 * processor is in another context.  May leave by the main loop.
 */
bool vmx_vm_entry(CPUX86State *env, bool launch);

#endif
