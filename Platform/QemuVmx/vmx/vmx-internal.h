/*
 * VMX: small interfaces that only the instruction and transition code needs
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_INTERNAL_H
#define I386_TCG_VMX_INTERNAL_H

/* The word of the unwind record, see gen_vmx_insn(). */
#define VMX_INSN_LENGTH(word)   ((uint32_t)(word) & 0xff)
#define VMX_INSN_OPCODE(word)   (((uint32_t)(word) >> 8) & 0xff)
#define VMX_INSN_INFO(word)     ((uint32_t)((word) >> 32))

/* For cflags_next_tb: one instruction, then the main loop. */
#define VMX_ONE_INSN(cs)        (1 | CF_NOIRQ | CF_SINGLE_STEP | \
                                 CF_NO_GOTO_TB | CF_NO_GOTO_PTR | \
                                 (cs)->tcg_cflags)

/* A mode in which VMX instructions other than VMCALL are defined. */
bool vmx_legal_mode(CPUX86State *env);
/*
 * Checks at the start of a VMX instruction other than VMXON and VMCALL: #UD,
 * VM exit @reason in non-root operation, #GP.  Returns in root operation only.
 */
void vmx_insn_enter(CPUX86State *env, uint32_t reason, uintptr_t retaddr);

/* Unwind word of the instruction whose helper runs, without side effects. */
uint64_t vmx_unwind_insn(CPUX86State *env, uintptr_t retaddr);

/* Guest TSC with TSC offset 0, or 0 where the clock must not be read. */
uint64_t vmx_trace_time(CPUX86State *env);

/* CR0 as loaded by a transition: some bits never change. */
uint64_t vmx_merge_cr0(CPUX86State *env, uint64_t cr0);
void vmx_load_rflags(CPUX86State *env, uint64_t rflags);
void vmx_update_hflags(CPUX86State *env);

/* Further forms of vmx_vmexit(). */
G_NORETURN void vmx_vmexit_linear(CPUX86State *env, uint32_t reason,
                                  uint64_t qualification, uint64_t linear,
                                  uintptr_t retaddr);
G_NORETURN void vmx_vmexit_software(CPUX86State *env, uint32_t info,
                                    uint32_t insn_length, uintptr_t retaddr);

/* Bits of a field that VMWRITE can change. */
uint64_t vmcs_field_mask(unsigned enc);
void vmcs_set_abort(VMXVmcs *vmcs, uint32_t indicator);

#endif
