/*
 * VMX: interfaces of the single parts - layer "part"
 *
 * What QEMU's files call as well is in vmx.h.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_PARTS_H
#define I386_TCG_VMX_PARTS_H

#include "vmx-base.h"

/* ------------------------------------------------------------------ */
/* vmx-result.c: results of VMX instructions in RFLAGS                 */

void vmx_vmsucceed(CPUX86State *env);
/*
 * @instruction, named by its exit reason, fails for the reason that
 * vmx_refuse() has noted.  The second: VMfailValid if there is a current VMCS,
 * else VMfailInvalid.
 */
void vmx_vmfail_invalid(CPUX86State *env, uint32_t instruction);
void vmx_vmfail(CPUX86State *env, uint32_t instruction, uint32_t error);

/* ------------------------------------------------------------------ */
/* vmx-smm-code.c: MSRs 17DH and 4E0H                                  */

/* Return values as for vmx_rdmsr(), here and below. */
int vmx_smm_code_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_smm_code_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);

/* ------------------------------------------------------------------ */
/* vmx-smm-msr.c: MSRs 9BH and 9EH                                     */

int vmx_smm_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_smm_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);

/* ------------------------------------------------------------------ */
/* vmx-smrr.c: MSRs 1F2H and 1F3H                                      */

int vmx_smrr_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_smrr_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);
void vmx_smrr_update(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-caps.c: capability MSRs                                         */

bool vmx_exit_controls_allowed(CPUX86State *env, uint32_t value);
bool vmx_entry_controls_allowed(CPUX86State *env, uint32_t value);
bool vmx_pin_controls_allowed(CPUX86State *env, uint32_t value);
bool vmx_proc_controls_allowed(CPUX86State *env, uint32_t value);
bool vmx_proc2_controls_allowed(CPUX86State *env, uint32_t value);
uint64_t vmx_misc(CPUX86State *env);
/* Bits that VMX operation fixes in CR0 and CR4. */
bool vmx_cr0_valid(CPUX86State *env, uint64_t cr0, bool unrestricted);
bool vmx_cr4_valid(CPUX86State *env, uint64_t cr4);

/* ------------------------------------------------------------------ */
/* vmx-timer.c: VMX-preemption timer                                   */

void vmx_timer_start(CPUX86State *env, uint32_t value);
/* After loadvm. */
void vmx_timer_resume(CPUX86State *env);
void vmx_timer_stop(CPUX86State *env);
uint32_t vmx_timer_value(CPUX86State *env);
/* True if the time is over, though the host may not have told so yet. */
bool vmx_timer_catch_up(CPUX86State *env);
void vmx_timer_check(CPUX86State *env, uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* vmx-apic.c: TPR shadow and APIC-access page                         */

bool vmx_tpr_below_threshold(CPUX86State *env);
bool vmx_tpr_threshold_valid(CPUX86State *env, const X86VMXControls *ctl);
void vmx_tpr_after_entry(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-ept.c                                                           */

#define EPTP_AD_ENABLE          (1ULL << 6)

bool vmx_eptp_valid(CPUX86State *env, uint64_t eptp);
/* vmx_ept_fault() for a load of the PDPTE registers: no linear address. */
G_NORETURN void vmx_ept_fault_pdpte(CPUX86State *env, uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* vmx-pdpte.c: PDPTE registers of PAE paging, env->vmx.pdpte          */

bool vmx_pae_paging(CPUX86State *env);
bool vmx_pdptes_valid(CPUX86State *env, const uint64_t pdpte[4]);
/* The table at the physical address in @cr3. */
void vmx_read_pdptes(CPUX86State *env, uint64_t cr3, uint64_t pdpte[4]);
/*
 * Before MOV to CR0, CR3 or CR4 writes the (legal) @value: load the registers
 * if the instruction does.  #GP(0), or an EPT violation.
 */
void vmx_write_cr_pdptes(CPUX86State *env, int reg, uint64_t value,
                         uintptr_t retaddr);
/*
 * VM entry (from @guest if the entry enables EPT) and VM exit, after control
 * registers and EFER have been loaded.
 */
void vmx_enter_pdptes(CPUX86State *env, const VMXVmcs *guest, bool ept);
void vmx_save_pdptes(CPUX86State *env, VMXVmcs *vmcs);
/* False for a VMX abort. */
bool vmx_load_host_pdptes(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-msr.c: MSR areas                                                */

typedef enum VMXMsrArea {
    VMX_ENTRY_MSR_LOAD,
    VMX_EXIT_MSR_LOAD,
    VMX_EXIT_MSR_STORE,
} VMXMsrArea;

/* Return 0, or the 1-based index of the entry that was refused. */
unsigned vmx_load_msr_area(CPUX86State *env, VMXMsrArea area, uint64_t addr,
                           uint32_t count, bool smm);
unsigned vmx_store_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                            bool smm);

/* ------------------------------------------------------------------ */
/* vmx-inject.c: delivery of events                                    */

/* Inject the event of the VM-entry interruption information. */
void vmx_inject_event(CPUX86State *env, uint32_t info, uint32_t error_code,
                      uint32_t insn_length);

/* ------------------------------------------------------------------ */
/* vmx-insn-secondary.c                                                */

/* PAUSE at this moment ends a loop; notes that it has been executed. */
bool vmx_pause_loop_exits(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-smm-io.c: the I/O instruction that raised an SMI                */

bool vmx_io_smi_matches(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-nonroot.c: VMX non-root operation                               */

/* Copy the VM-execution controls of @vmcs to @ctl. */
void vmx_read_controls(const VMXVmcs *vmcs, X86VMXControls *ctl);
/*
 * Put env->vmx.ctl in force, or take it out of force.  An SMI with default
 * treatment suspends the guest; RSM re-enters it with its events pending.
 */
void vmx_guest_enter(CPUX86State *env);
void vmx_guest_leave(CPUX86State *env);
void vmx_guest_suspend(CPUX86State *env);
/* Same after re-reading the controls of the current VMCS (RSM, loadvm). */
void vmx_guest_reenter(CPUX86State *env);
void vmx_drop_sipi(CPUX86State *env);

#endif
