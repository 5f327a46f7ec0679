/*
 * VMX: interfaces between the files of this directory and to their callers
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_H
#define I386_TCG_VMX_H

#include "vmcs-layout.h"
#include "vmx-numbers.h"

/* Guest interruptibility and activity state. */
#define VMX_BLOCKED_STI             (1u << 0)
#define VMX_BLOCKED_MOV_SS          (1u << 1)
#define VMX_BLOCKED_SMI             (1u << 2)
#define VMX_BLOCKED_NMI             (1u << 3)
#define VMX_ACTIVITY_ACTIVE         0
#define VMX_ACTIVITY_HLT            1
#define VMX_ACTIVITY_SHUTDOWN       2
#define VMX_ACTIVITY_WAIT_SIPI      3

/* Pending debug exceptions */
#define VMX_PENDING_DEBUG_BP        0xfULL
#define VMX_PENDING_DEBUG_ENABLED   (1ULL << 12)
#define VMX_PENDING_DEBUG_BS        (1ULL << 14)

#define VMX_AR_UNUSABLE             (1u << 16)

/*
 * IA32_DEBUGCTL.  LBR and BTF can be set but have no effect: there are no
 * last-branch records and single-stepping is always by instruction.
 */
#define MSR_IA32_DEBUGCTLMSR        0x1d9
#define VMX_DEBUGCTL_ALLOWED        3ULL
#define VMX_DEBUGCTL_BTF            2ULL

/* The preemption timer counts once in 2^VMX_TIMER_RATE ticks of the TSC. */
#define VMX_TIMER_RATE              5

/* MSEG revision identifier, IA32_VMX_MISC[63:32]. */
#define VMX_MSEG_REVISION           0x00000001u

/* ------------------------------------------------------------------ */
/* Mode queries                                                        */

static inline bool vmx_dual_monitor_offered(CPUX86State *env)
{
    return cpu_has_vmx(env) &&
           (env->features[FEAT_VMX_BASIC] & MSR_VMX_BASIC_DUAL_MONITOR);
}

static inline bool vmx_in_operation(CPUX86State *env)
{
    return env->vmx.mode != VMX_MODE_NONE;
}

static inline bool vmx_in_root(CPUX86State *env)
{
    return env->vmx.mode == VMX_MODE_ROOT;
}

static inline bool vmx_in_guest(CPUX86State *env)
{
    return env->vmx.mode == VMX_MODE_GUEST;
}

/* VM-execution controls in force; false outside non-root operation. */
static inline bool vmx_pin(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.pin & control);
}

static inline bool vmx_proc(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.proc & control);
}

static inline bool vmx_proc2(CPUX86State *env, uint32_t control)
{
    return vmx_in_guest(env) && (env->vmx.ctl.proc2 & control);
}

static inline bool vmx_unrestricted_guest(CPUX86State *env)
{
    return env->vmx.ctl.proc2 & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST;
}

static inline bool vmx_virtual_nmis(CPUX86State *env)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.pin & VMX_PIN_BASED_VIRTUAL_NMIS);
}

static inline bool vmx_mtf_pending(CPUX86State *env)
{
    return env->vmx.mtf == VMX_MTF_PENDING;
}

/* Pending debug exceptions that will be delivered. */
static inline bool vmx_debug_pending(CPUX86State *env)
{
    return env->vmx.pending_debug & (VMX_PENDING_DEBUG_ENABLED |
                                     VMX_PENDING_DEBUG_BS);
}

/* ------------------------------------------------------------------ */
/* vmcs.c: regions in guest memory                                     */

/* Working copy of a VMCS region. */
typedef struct VMXVmcs {
    uint64_t addr;
    unsigned dirty_first;
    unsigned dirty_end;
    uint8_t data[VMX_VMCS_SIZE];
} VMXVmcs;

/*
 * Copy the region at physical address @addr, with the memory attributes of
 * this moment (HF_SMM_MASK).  No call that may longjmp is allowed between map
 * and unmap; unmap writes back what has changed.
 */
VMXVmcs *vmx_vmcs_map(CPUX86State *env, uint64_t addr);
void vmx_vmcs_unmap(CPUX86State *env, VMXVmcs *vmcs);

static inline uint64_t vmcs_read(const VMXVmcs *vmcs, unsigned field)
{
    return ldq_le_p(vmcs->data + vmcs_field_offset(field));
}

void vmcs_write(VMXVmcs *vmcs, unsigned field, uint64_t value);
bool vmcs_launched(const VMXVmcs *vmcs);
void vmcs_set_launched(VMXVmcs *vmcs, bool launched);

/* 4-KByte aligned and within the physical-address width. */
bool vmx_pointer_valid(CPUX86State *env, uint64_t addr);
/* Revision identifier of the region at @addr, including bit 31. */
uint32_t vmx_region_revision(CPUX86State *env, uint64_t addr);

/* SDM "Conventions": results of VMX instructions in RFLAGS. */
void vmx_vmsucceed(CPUX86State *env);
void vmx_vmfail_invalid(CPUX86State *env);
/* VMfailValid if there is a current VMCS, else VMfailInvalid. */
void vmx_vmfail(CPUX86State *env, uint32_t error);

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

/*
 * MSRs of this extension.  Return value: 0 handled, 1 not ours, -1 #GP(0).
 */
int vmx_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);

/* ------------------------------------------------------------------ */
/* vmx-checks.c, vmx-entry.c: VM entry                                 */

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

/*
 * VMLAUNCH or VMRESUME.  False after a VMfail, with RIP unchanged; true if the
 * processor is in another context.  May leave by the main loop.
 */
bool vmx_vm_entry(CPUX86State *env, bool launch);
/* 48-bit canonical form. */
bool vmx_canonical(uint64_t addr);
bool vmx_pat_valid(uint64_t pat);
/* VM-execution control checks; true if valid. */
bool vmx_check_execution_controls(CPUX86State *env, const VMXVmcs *vmcs);
/* Copy the VM-execution controls of @vmcs to @ctl. */
void vmx_read_controls(const VMXVmcs *vmcs, X86VMXControls *ctl);
/* 0, or the number of the VM-instruction error. */
int vmx_check_entry(CPUX86State *env, const VMXEntry *entry);
/* True if valid, else *qualification is that of the failure. */
bool vmx_check_guest_state(CPUX86State *env, const VMXEntry *entry,
                           uint64_t *qualification);

/*
 * Put env->vmx.ctl in force, or take it out of force.  An SMI with default
 * treatment suspends the guest; RSM re-enters it with its events pending.
 */
void vmx_guest_enter(CPUX86State *env);
void vmx_guest_leave(CPUX86State *env);
void vmx_guest_suspend(CPUX86State *env);
void vmx_drop_sipi(CPUX86State *env);
/* Same after re-reading the controls of the current VMCS (RSM, loadvm). */
void vmx_guest_reenter(CPUX86State *env);

/* CR4, CR3, CR0, EFER in the order that keeps QEMU's hflags consistent. */
void vmx_load_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                                uint64_t cr4, uint64_t efer);

/* ------------------------------------------------------------------ */
/* vmx-exit.c: VM exit                                                 */

/*
 * Raise a VM exit.  @retaddr as for raise_exception_ra(); the exit itself is
 * done by vmx_do_vmexit() in the main loop.
 */
G_NORETURN void vmx_vmexit(CPUX86State *env, uint32_t reason,
                           uint64_t qualification, uintptr_t retaddr);
G_NORETURN void vmx_vmexit_ept(CPUX86State *env, uint32_t reason,
                               uint64_t qualification, uint64_t gpa,
                               uint64_t linear, uintptr_t retaddr);
G_NORETURN void vmx_vmexit_event(CPUX86State *env, uint32_t reason,
                                 uint64_t qualification, uint32_t info,
                                 uint32_t error_code, uintptr_t retaddr);
void vmx_do_vmexit(CPUX86State *env);

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

/* RIP of the instruction whose helper runs, without changing any state. */
bool vmx_unwind_eip(CPUX86State *env, uintptr_t retaddr, uint64_t *rip);

/* ------------------------------------------------------------------ */
/* vmx-msr.c: MSR areas                                                */

/* Return 0, or the 1-based index of the entry that failed. */
unsigned vmx_load_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                           bool smm);
unsigned vmx_store_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                            bool smm);

/* ------------------------------------------------------------------ */
/* vmx-intercept.c: decisions in non-root operation                    */

/* From cpu_svm_check_intercept_param() and cpu_svm_has_intercept(). */
void vmx_check_intercept(CPUX86State *env, uint32_t svm_type, uint64_t param,
                         uintptr_t retaddr);
/* From helper_svm_check_io(). */
void vmx_check_io(CPUX86State *env, uint32_t port, uint32_t svm_param,
                  uintptr_t retaddr);
/* From raise_interrupt2(), before the exception is delivered. */
void vmx_check_exception(CPUX86State *env, int intno, bool is_int,
                         int error_code, int next_eip_addend,
                         uintptr_t retaddr);
/* From helper_write_crN(); returns the value to load. */
uint64_t vmx_write_cr(CPUX86State *env, int reg, uint64_t value,
                      uintptr_t retaddr);
/*
 * From switch_tss_ra(), after the descriptor checks; @source as in the exit
 * qualification: 0 CALL, 1 IRET, 2 JMP.
 */
G_NORETURN void vmx_task_switch(CPUX86State *env, uint16_t selector,
                                unsigned source, uintptr_t retaddr);
/* From helper_clts(): CR0.TS must not be changed. */
bool vmx_clts_masked(CPUX86State *env);
/* From x86_cpu_tlb_fill(); true if CR2 must not be changed. */
bool vmx_page_fault(CPUX86State *env, uint64_t address, uint32_t error_code);

/* ------------------------------------------------------------------ */
/* vmx-event.c: events                                                 */

/* vmx_pending_interrupt(), from x86_cpu_pending_interrupt(), is in cpu.h. */
/*
 * From x86_cpu_exec_interrupt(); 0 if nothing is left to do, else the request
 * that is to be served in the ordinary way.
 */
int vmx_exec_interrupt(CPUState *cs, int interrupt_request);
/*
 * Raise or lower CPU_INTERRUPT_VMX as pending events and controls demand.  The
 * caller sees to it that the main loop is reached at the right boundary.
 */
void vmx_update_request(CPUX86State *env);
/*
 * Before DR6 gets the bits of a debug exception, which a VM exit reports
 * without changing DR6; after it, if there is no exception after all.
 */
static inline void vmx_debug_begin(CPUX86State *env)
{
    env->vmx.dr6 = env->dr[6];
    if (unlikely(vmx_in_guest(env))) {
        env->dr[6] &= ~(target_ulong)(0xf | DR6_BD | DR6_BS);
    }
}

static inline void vmx_debug_end(CPUX86State *env)
{
    env->dr[6] = env->vmx.dr6;
}
/*
 * From helper_single_step(): an event that will be taken at this boundary and
 * comes before the trap; leaves to the main loop if there is one.
 */
void vmx_single_step(CPUX86State *env);
void vmx_single_step_merge(CPUX86State *env);
/* From do_interrupt_all(). */
void vmx_event_begin(CPUX86State *env, int intno, int is_int, int error_code,
                     uint64_t next_eip, int is_hw);
void vmx_event_end(CPUX86State *env);
/* From x86_cpu_exec_halt(), before the processor runs again. */
void vmx_note_halt(CPUX86State *env);
/* Activity state as a VM exit saves it. */
uint32_t vmx_activity(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-inject.c: delivery of events                                    */

/* Inject the event of @guest's VM-entry interruption information. */
void vmx_inject_event(CPUX86State *env, uint32_t info, uint32_t error_code,
                      uint32_t insn_length);

/* From helper_iret_real() and helper_iret_protected(), non-root only. */
void vmx_iret_begin(CPUX86State *env);
void vmx_iret_end(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-timer.c: VMX-preemption timer                                   */

void vmx_timer_start(CPUX86State *env, uint32_t value);
/* After loadvm. */
void vmx_timer_resume(CPUX86State *env);
void vmx_timer_stop(CPUX86State *env);
uint32_t vmx_timer_value(CPUX86State *env);
void vmx_timer_check(CPUX86State *env, uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* vmx-apic.c: TPR shadow and APIC-access page                         */

bool vmx_tpr_shadow(CPUX86State *env);
target_ulong vmx_read_cr8(CPUX86State *env);
void vmx_write_cr8(CPUX86State *env, target_ulong value);
bool vmx_tpr_below_threshold(CPUX86State *env);
bool vmx_tpr_threshold_valid(CPUX86State *env, const X86VMXControls *ctl);
void vmx_tpr_after_entry(CPUX86State *env);
/* The guest accesses the APIC-access page; for x86_cpu_tlb_fill(). */
void vmx_apic_access(CPUX86State *env, MMUAccessType access_type, int size,
                     hwaddr *paddr, uintptr_t retaddr);

/* A walk of the guest's tables meets the APIC-access page. */
G_NORETURN void vmx_apic_walk(CPUX86State *env, uintptr_t retaddr);

static inline bool vmx_is_apic_access(CPUX86State *env, hwaddr paddr)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.proc2 & VMX_SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) &&
           !((paddr ^ env->vmx.ctl.apic_access) & TARGET_PAGE_MASK);
}

/* ------------------------------------------------------------------ */
/* Savevm and trace                                                    */

/* Subsection of vmstate_x86_cpu. */
extern const VMStateDescription vmstate_x86_tcg_vmx;

int vmx_trace_mode(CPUX86State *env);
/*
 * One transition, in the format of the trace file.  @from: vmx_trace_mode()
 * before it; @kind: see the documentation of the event.
 */
void vmx_trace_transition(CPUX86State *env, const char *kind, int from,
                          uint32_t reason, uint64_t qualification,
                          uint64_t rip);

/* ------------------------------------------------------------------ */
/* vmx-ept.c                                                           */

bool vmx_eptp_valid(CPUX86State *env, uint64_t eptp);
bool vmx_ept_walk_is_load(CPUX86State *env);
bool vmx_ept_translate(CPUX86State *env, hwaddr gpa, MMUAccessType access_type,
                       hwaddr *out_paddr, int *out_prot);
bool vmx_ept_translate_debug(CPUX86State *env, hwaddr gpa, hwaddr *out_paddr);
G_NORETURN void vmx_ept_fault(CPUX86State *env, bool walk, vaddr linear,
                              uintptr_t retaddr);
/* Same for a load of the PDPTE registers, which has no linear address. */
G_NORETURN void vmx_ept_fault_pdpte(CPUX86State *env, uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* vmx-insn-secondary.c, vmx-vmfunc.c: controls of single instructions       */

/* PAUSE at this moment ends a loop; notes that it has been executed. */
bool vmx_pause_loop_exits(CPUX86State *env);
/* XSAVES (@save) or XRSTORS in non-root operation. */
void vmx_check_xsaves(CPUX86State *env, uint64_t components, bool save,
                      uintptr_t retaddr);
bool vmx_vmfunc_controls_valid(CPUX86State *env, const VMXVmcs *vmcs,
                               uint32_t proc2);

/* ------------------------------------------------------------------ */
/* vmx-valid.c: consistency of control registers and IA32_EFER          */

bool vmx_cr0_consistent(CPUX86State *env, uint64_t cr0);
bool vmx_cr4_consistent(CPUX86State *env, uint64_t cr4);
/* False for #GP(0). */
bool vmx_msr_value_valid(CPUX86State *env, uint32_t index, uint64_t value);

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
/* VM entry and VM exit, after control registers and EFER have been loaded. */
void vmx_enter_pdptes(CPUX86State *env, const VMXEntry *entry);
void vmx_save_pdptes(CPUX86State *env, VMXVmcs *vmcs);
/* False for a VMX abort. */
bool vmx_load_host_pdptes(CPUX86State *env);
/* VMXON, and task switches in root operation. */
void vmx_refresh_pdptes(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-smm*.c                                                          */

bool vmx_smi_blocked(CPUX86State *env);

/* Default treatment. */
void vmx_smi_default_enter(CPUX86State *env);
bool vmx_rsm_image_valid(CPUX86State *env, uint64_t cr0, uint64_t cr4);
G_NORETURN void vmx_rsm_shutdown(CPUX86State *env);
void vmx_rsm_resume(CPUX86State *env);

/* Dual-monitor treatment. */
bool vmx_vmcall_root(CPUX86State *env);
void vmx_smm_exit(CPUX86State *env, uint32_t basic, uint64_t qualification,
                  uint32_t length);
bool vmx_smm_exit_on_smi(CPUX86State *env);
/* An SMI is pending and will cause an SMM VM exit on the next boundary. */
bool vmx_smm_exit_due(CPUX86State *env);
void vmx_io_smi_record(CPUX86State *env, uint32_t port, uint32_t size, bool in,
                       uintptr_t retaddr);
bool vmx_io_smi_matches(CPUX86State *env);

/*
 * VM entries that return from SMM.  The check (step 2 of matrix M4) returns 0
 * or the number of the VM-instruction error and fills in executive, control
 * (mapped, also on failure; the caller unmaps it), ctl, to_root, deactivate.
 * The commit (steps 6 to 8) follows the loading of guest state and comes
 * before event injection: pointers, SMBASE, blocking, leaving SMM.  VMCSs have
 * been written back by then.
 */
int vmx_smm_return_check(CPUX86State *env, VMXEntry *entry);
void vmx_smm_return_commit(CPUX86State *env, VMXEntry *entry);

/* MSRs 9BH and 9EH; return values as for vmx_rdmsr(). */
int vmx_smm_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_smm_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);

#endif
