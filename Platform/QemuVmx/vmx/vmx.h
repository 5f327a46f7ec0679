/*
 * VMX: what QEMU's own files call
 *
 * The files of this directory call one another through the headers of their
 * layers; see the table of files in the project's README.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_H
#define I386_TCG_VMX_H

#include "vmx-mode.h"

/* ------------------------------------------------------------------ */
/* Instructions and exceptions in non-root operation                   */

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
/* From check_exception(), instead of a shutdown. */
G_NORETURN void vmx_triple_fault(CPUX86State *env, uintptr_t retaddr);
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
/* XSAVES (@save) or XRSTORS in non-root operation. */
void vmx_check_xsaves(CPUX86State *env, uint64_t components, bool save,
                      uintptr_t retaddr);
/* From x86_cpu_do_interrupt(): the VM exit that an instruction has raised. */
void vmx_do_vmexit(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* MSRs and PDPTE registers                                            */

/*
 * MSRs of this extension.  Return value: 0 handled, 1 not ours, -1 #GP(0).
 */
int vmx_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value);
int vmx_wrmsr(CPUX86State *env, uint32_t index, uint64_t value);
/* VMXON, and task switches in root operation. */
void vmx_refresh_pdptes(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* Events                                                              */

/* vmx_pending_interrupt(), from x86_cpu_pending_interrupt(), is in cpu.h. */

/*
 * From x86_cpu_exec_interrupt(); 0 if nothing is left to do, else the request
 * that is to be served in the ordinary way.
 */
int vmx_exec_interrupt(CPUState *cs, int interrupt_request);
/* From apic.c: a pending start-up IPI exits, now or after the next VM entry. */
bool vmx_sipi_exits(CPUX86State *env);
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
/* From helper_iret_real() and helper_iret_protected(), non-root only. */
void vmx_iret_begin(CPUX86State *env);
void vmx_iret_end(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* Memory: EPT, TPR shadow, APIC-access page                           */

bool vmx_ept_walk_is_load(CPUX86State *env);
bool vmx_ept_translate(CPUX86State *env, hwaddr gpa, MMUAccessType access_type,
                       hwaddr *out_paddr, int *out_prot);
bool vmx_ept_translate_debug(CPUX86State *env, hwaddr gpa, hwaddr *out_paddr);
G_NORETURN void vmx_ept_fault(CPUX86State *env, bool walk, vaddr linear,
                              uintptr_t retaddr);

bool vmx_tpr_shadow(CPUX86State *env);
target_ulong vmx_read_cr8(CPUX86State *env);
void vmx_write_cr8(CPUX86State *env, target_ulong value);
/* The guest accesses the APIC-access page; for x86_cpu_tlb_fill(). */
void vmx_apic_access(CPUX86State *env, MMUAccessType access_type, int size,
                     hwaddr *paddr, uintptr_t retaddr);

/* A walk of the guest's tables meets the APIC-access page. */
G_NORETURN void vmx_apic_walk(CPUX86State *env, uintptr_t retaddr);

static inline bool vmx_is_apic_access(CPUX86State *env, hwaddr paddr)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.proc2 & VMX_CPU2_APIC_ACCESSES) &&
           !((paddr ^ env->vmx.ctl.apic_access) & TARGET_PAGE_MASK);
}

/* ------------------------------------------------------------------ */
/* Banks of the TLB                                                    */

/*
 * Around each transition: note for the bank in use what its translations depend
 * on, before any of that changes; select the bank of the new mode, without the
 * translations that it must not have.
 */
void vmx_tlb_leave(CPUX86State *env);
void vmx_tlb_enter(CPUX86State *env);
/* Forget the linear and combined mappings of VPID 0, of all VPIDs. */
void vmx_tlb_flush_vpid0(CPUX86State *env);
void vmx_tlb_flush_vpids(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* SMIs and RSM                                                        */

void vmx_smi_default_enter(CPUX86State *env);
bool vmx_rsm_image_valid(CPUX86State *env, uint64_t cr0, uint64_t cr4);
G_NORETURN void vmx_rsm_shutdown(CPUX86State *env);
void vmx_rsm_resume(CPUX86State *env);
/* An access of IN or OUT (or INS, OUTS) has made an SMI pending. */
void vmx_io_smi_record(CPUX86State *env, uint32_t port, uint32_t size, bool in,
                       uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* What else comes with the dual-monitor treatment                     */

/* From tcg_cpu_realizefn(): CPU properties. */
bool vmx_config_valid(X86CPU *cpu, Error **errp);
/* The same: the root of the address space outside SMM. */
MemoryRegion *vmx_smrr_root(CPUState *cs);

#define SMM_FEATURE_CODE_CHECK (1ull << 2) /* MSR_SMM_FEATURE_CONTROL */

/* From x86_cpu_tlb_fill(): code in SMM runs in the range of SMRR only. */
static inline bool vmx_smm_code_checked(CPUX86State *env)
{
    return (env->vmx.smm_feature & SMM_FEATURE_CODE_CHECK) &&
           (env->hflags & HF_SMM_MASK);
}

bool vmx_smm_code_allowed(CPUX86State *env, hwaddr paddr);
G_NORETURN void vmx_smm_code_violation(CPUX86State *env, vaddr linear,
                                       hwaddr paddr);

/* ------------------------------------------------------------------ */
/* Savevm                                                              */

/* Subsection of vmstate_x86_cpu. */
extern const VMStateDescription vmstate_x86_tcg_vmx;

#endif
