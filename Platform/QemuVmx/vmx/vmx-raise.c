/*
 * VMX: raising a VM exit from inside an instruction
 *
 * A helper that finds that its instruction exits notes reason and information
 * here and leaves by longjmp; vmx_do_vmexit() makes the transition in the main
 * loop, with the state as it was before the instruction.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/translation-block.h"
#include "tcg/insn-start-words.h"
#include "tcg/helper-tcg.h"
#include "vmx-base.h"

static uint64_t unwind_data(CPUX86State *env, uintptr_t retaddr, uint64_t *pc)
{
    uint64_t data[TARGET_INSN_START_WORDS];

    if (!retaddr || !cpu_unwind_state_data(env_cpu(env), retaddr, data)) {
        *pc = env->eip;
        return 0;
    }
    if (tcg_cflags_has(env_cpu(env), CF_PCREL)) {
        uint64_t base = env->hflags & HF_CS64_MASK ? 0 : env->segs[R_CS].base;

        *pc = (((env->eip + base) & TARGET_PAGE_MASK) | data[0]) - base;
    } else {
        *pc = data[0] - env->segs[R_CS].base;
    }
    if (!(env->hflags & HF_CS64_MASK)) {
        *pc = (uint32_t)*pc;
    }
    return data[2];
}

bool vmx_unwind_eip(CPUX86State *env, uintptr_t retaddr, uint64_t *rip)
{
    return unwind_data(env, retaddr, rip) != 0;
}

uint64_t vmx_unwind_insn(CPUX86State *env, uintptr_t retaddr)
{
    uint64_t pc;

    return unwind_data(env, retaddr, &pc);
}

/* Leave the instruction; vmx_do_vmexit() does the rest in the main loop. */
static G_NORETURN void vmx_leave_to_exit(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    cs->exception_index = EXCP_VMEXIT;
    env->old_exception = -1;
    cpu_loop_exit(cs);
}

static void vmx_prepare_exit(CPUX86State *env, uint32_t reason,
                             uint64_t qualification, uintptr_t retaddr)
{
    env->unwind_insn = 0;
    if (retaddr) {
        cpu_restore_state(env_cpu(env), retaddr);
    }
    env->vmx.exit = (X86VMXExit) {
        .reason = reason,
        .qualification = qualification,
        .insn_length = VMX_INSN_LENGTH(env->unwind_insn),
        .insn_info = VMX_INSN_INFO(env->unwind_insn),
        .iret = env->vmx.iret,
    };
}

G_NORETURN void vmx_vmexit(CPUX86State *env, uint32_t reason,
                           uint64_t qualification, uintptr_t retaddr)
{
    vmx_prepare_exit(env, reason, qualification, retaddr);
    vmx_leave_to_exit(env);
}

G_NORETURN void vmx_vmexit_ept(CPUX86State *env, uint32_t reason,
                               uint64_t qualification, uint64_t gpa,
                               uint64_t linear, uintptr_t retaddr)
{
    vmx_prepare_exit(env, reason, qualification, retaddr);
    env->vmx.exit.guest_physical = gpa;
    env->vmx.exit.guest_linear = linear;
    vmx_leave_to_exit(env);
}

G_NORETURN void vmx_vmexit_event(CPUX86State *env, uint32_t reason,
                                 uint64_t qualification, uint32_t info,
                                 uint32_t error_code, uintptr_t retaddr)
{
    vmx_prepare_exit(env, reason, qualification, retaddr);
    env->vmx.exit.interruption_info = info;
    env->vmx.exit.interruption_error = error_code;
    vmx_leave_to_exit(env);
}

/* INS, OUTS and LMSW report the linear address of their memory operand. */
G_NORETURN void vmx_vmexit_linear(CPUX86State *env, uint32_t reason,
                                  uint64_t qualification, uint64_t linear,
                                  uintptr_t retaddr)
{
    vmx_prepare_exit(env, reason, qualification, retaddr);
    env->vmx.exit.guest_linear = linear;
    vmx_leave_to_exit(env);
}

/* Software exceptions carry their length, having no return address. */
G_NORETURN void vmx_vmexit_software(CPUX86State *env, uint32_t info,
                                    uint32_t insn_length, uintptr_t retaddr)
{
    vmx_prepare_exit(env, VMX_REASON_EXCEPTION_NMI, 0, retaddr);
    env->vmx.exit.interruption_info = info;
    env->vmx.exit.insn_length = insn_length;
    vmx_leave_to_exit(env);
}

/* ------------------------------------------------------------------ */
/* What all VMX instructions check first                               */

G_NORETURN void vmx_raise_ud(CPUX86State *env, uint32_t instruction,
                             uintptr_t retaddr)
{
    vmx_failed(env, VMX_RESULT_EXCEPTION, EXCP06_ILLOP, instruction, env->eip);
    raise_exception_ra(env, EXCP06_ILLOP, retaddr);
}

G_NORETURN void vmx_raise_gp(CPUX86State *env, uint32_t instruction,
                             uintptr_t retaddr)
{
    vmx_failed(env, VMX_RESULT_EXCEPTION, EXCP0D_GPF, instruction, env->eip);
    raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
}

void vmx_require_mode(CPUX86State *env, uint32_t instruction,
                      uintptr_t retaddr)
{
    if (!(env->cr[0] & CR0_PE_MASK)) {
        vmx_refuse_value(env, "VMX-INS-54", "CR0", env->cr[0], "PE = 1");
    } else if (env->eflags & VM_MASK) {
        vmx_refuse_value(env, "VMX-INS-54", "RFLAGS", env->eflags, "VM = 0");
    } else if ((env->hflags & HF_LMA_MASK) && !(env->hflags & HF_CS64_MASK)) {
        vmx_refuse_value(env, "VMX-INS-15", "CS", env->segs[R_CS].selector,
                         "L = 1 in IA-32e mode");
    } else {
        return;
    }
    vmx_raise_ud(env, instruction, retaddr);
}

void vmx_require_cpl0(CPUX86State *env, const char *rule,
                      uint32_t instruction, uintptr_t retaddr)
{
    unsigned cpl = env->hflags & HF_CPL_MASK;

    if (cpl) {
        vmx_refuse_value(env, rule, "CPL", cpl, "0");
        vmx_raise_gp(env, instruction, retaddr);
    }
}

void vmx_insn_enter(CPUX86State *env, uint32_t reason, uintptr_t retaddr)
{
    if (!vmx_in_operation(env)) {
        vmx_refuse_value(env, "VMX-INS-13", "VMX_OPERATION", 0,
                         "VMX operation");
        vmx_raise_ud(env, reason, retaddr);
    }
    vmx_require_mode(env, reason, retaddr);
    if (vmx_in_guest(env)) {
        /* Those with a memory operand report its displacement. */
        bool memory = reason != VMX_REASON_VMXOFF &&
                      reason != VMX_REASON_VMLAUNCH &&
                      reason != VMX_REASON_VMRESUME;

        vmx_vmexit(env, reason, memory ? env->vmx.displacement : 0, retaddr);
    }
    vmx_require_cpl0(env, "VMX-INS-14", reason, retaddr);
}
