/*
 * VMX: what every part needs - layer "base"
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_BASE_H
#define I386_TCG_VMX_BASE_H

#include "vmcs.h"
#include "vmx-mode.h"

/* ------------------------------------------------------------------ */
/* vmx-rules.c                                                         */

/* Section of the SDM's volume 3 that has the rule: title and number. */
const char *vmx_rule_section(const char *rule);

/* ------------------------------------------------------------------ */
/* vmx-refusal.c: which check failed                                   */

/*
 * Note that a value is not as @rule demands; false, as the check is.  A rule's
 * id is that of the tables in tests/machine/rules.  The first is for a field of
 * a VMCS, the second for all else: @name is the SDM's.  vmx_failed() has to
 * follow.
 */
bool vmx_refuse(CPUX86State *env, const VMXVmcs *vmcs, const char *rule,
                unsigned field, const char *demand);
bool vmx_refuse_value(CPUX86State *env, const char *rule, const char *name,
                      uint64_t value, const char *demand);
/*
 * What has been noted makes @instruction (its exit reason) at @rip fail, or the
 * transition; see X86VMXFailure for @number.
 */
void vmx_failed(CPUX86State *env, X86VMXResult result, uint32_t number,
                uint32_t instruction, uint64_t rip);
const char *vmx_instruction_name(uint32_t instruction);

/* ------------------------------------------------------------------ */
/* vmx-raise.c: raising a VM exit from inside an instruction           */

/* The word of the unwind record, see gen_vmx_insn(). */
#define VMX_INSN_LENGTH(word)   ((uint32_t)(word) & 0xff)
#define VMX_INSN_OPCODE(word)   (((uint32_t)(word) >> 8) & 0xff)
#define VMX_INSN_INFO(word)     ((uint32_t)((word) >> 32))

/* Unwind word of the instruction whose helper runs, without side effects. */
uint64_t vmx_unwind_insn(CPUX86State *env, uintptr_t retaddr);
/* RIP of the instruction whose helper runs, without changing any state. */
bool vmx_unwind_eip(CPUX86State *env, uintptr_t retaddr, uint64_t *rip);

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
G_NORETURN void vmx_vmexit_linear(CPUX86State *env, uint32_t reason,
                                  uint64_t qualification, uint64_t linear,
                                  uintptr_t retaddr);
G_NORETURN void vmx_vmexit_software(CPUX86State *env, uint32_t info,
                                    uint32_t insn_length, uintptr_t retaddr);

/*
 * Checks of VMX instructions: #UD outside the modes in which they are defined,
 * which for VMCALL is not so in non-root operation; #GP(0) unless CPL is 0.
 */
void vmx_require_mode(CPUX86State *env, uint32_t instruction,
                      uintptr_t retaddr);
void vmx_require_cpl0(CPUX86State *env, const char *rule,
                      uint32_t instruction, uintptr_t retaddr);
/* #UD or #GP(0) of an instruction for the reason that vmx_refuse() noted. */
G_NORETURN void vmx_raise_ud(CPUX86State *env, uint32_t instruction,
                             uintptr_t retaddr);
G_NORETURN void vmx_raise_gp(CPUX86State *env, uint32_t instruction,
                             uintptr_t retaddr);
/*
 * Checks at the start of a VMX instruction other than VMXON and VMCALL: #UD,
 * VM exit @reason in non-root operation, #GP.  Returns in root operation only.
 */
void vmx_insn_enter(CPUX86State *env, uint32_t reason, uintptr_t retaddr);

/* ------------------------------------------------------------------ */
/* vmx-registers.c: registers that transitions load as a whole         */

/* CR4, CR3, CR0, EFER in the order that keeps QEMU's hflags consistent. */
void vmx_load_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                                uint64_t cr4, uint64_t efer);
/* CR0 as loaded by a transition: some bits never change. */
uint64_t vmx_merge_cr0(CPUX86State *env, uint64_t cr0);
void vmx_load_rflags(CPUX86State *env, uint64_t rflags);
void vmx_update_hflags(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-pending.c: pending events, activity state, blocking by SMI      */

/* For cflags_next_tb: one instruction, then the main loop. */
#define VMX_ONE_INSN(cs)        (1 | CF_NOIRQ | CF_SINGLE_STEP | \
                                 CF_NO_GOTO_TB | CF_NO_GOTO_PTR | \
                                 (cs)->tcg_cflags)

/*
 * Raise or lower CPU_INTERRUPT_VMX as pending events and controls demand.  The
 * caller sees to it that the main loop is reached at the right boundary.
 */
void vmx_update_request(CPUX86State *env);
/* Activity state as a VM exit saves it. */
uint32_t vmx_activity(CPUX86State *env);
bool vmx_smi_blocked(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-tlb.c: banks of the TLB; vmx.h has what QEMU's files need, too  */

/*
 * Whether entries of MMU_PHYS_IDX are for the address space of this moment: not
 * so between the entry into SMM and the selection of its bank.
 */
bool vmx_tlb_physical(CPUX86State *env);
/* Forget the linear and combined mappings of one VPID. */
void vmx_tlb_flush_vpid(CPUX86State *env, uint16_t vpid);
/* Forget the guest-physical and combined mappings of all EPT pointers. */
void vmx_tlb_flush_ept(CPUX86State *env);
/* A guest runs on with another EPT pointer. */
void vmx_tlb_eptp_changed(CPUX86State *env);

/* ------------------------------------------------------------------ */
/* vmx-valid.c: valid values of control registers and MSRs             */

/* 48-bit canonical form. */
bool vmx_canonical(uint64_t addr);
bool vmx_pat_valid(uint64_t pat);
bool vmx_cr0_consistent(CPUX86State *env, uint64_t cr0);
bool vmx_cr4_consistent(CPUX86State *env, uint64_t cr4);
/* False for #GP(0). */
bool vmx_msr_value_valid(CPUX86State *env, uint32_t index, uint64_t value);

/* ------------------------------------------------------------------ */
/* vmx-trace.c                                                         */

/* Guest TSC with TSC offset 0, or 0 where the clock must not be read. */
uint64_t vmx_trace_time(CPUX86State *env);
int vmx_trace_mode(CPUX86State *env);
const char *vmx_trace_mode_name(int mode);
/*
 * One transition, in the format of the trace file.  @from: vmx_trace_mode()
 * before it; @kind: see the documentation of the event.
 */
void vmx_trace_transition(CPUX86State *env, const char *kind, int from,
                          uint32_t reason, uint64_t qualification,
                          uint64_t rip);
/* The processor runs an SMI handler for the STM, and somebody wants to know. */
bool vmx_observes_handler(CPUX86State *env);
/*
 * An access of that handler, allowed or not.  @space: "memory", "io" or
 * "msr"; @access: "r", "w" or "x"; @size: of the access, a page for memory.
 */
void vmx_trace_access(CPUX86State *env, const char *space, const char *access,
                      uint64_t address, uint32_t size);

#endif
