/*
 * VMX: events - pending interrupts, injection, delivery record, HLT
 *
 * Intel SDM volume 3, "Other Causes of VM Exits" and "Event Injection".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/i386/apic.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-internal.h"

/* Length of INT3 and INTO, which are software exceptions; INT n has two. */
#define SOFTWARE_EXCEPTION_LENGTH   1

/* ------------------------------------------------------------------ */
/* Which event is next                                                 */

static bool vmx_external_exiting(CPUX86State *env)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.pin & VMX_PIN_BASED_EXT_INTR_MASK);
}

static bool vmx_nmi_exiting(CPUX86State *env)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.pin & VMX_PIN_BASED_NMI_EXITING);
}

static bool vmx_interruptible(CPUX86State *env)
{
    if (vmx_external_exiting(env)) {
        return true;
    }
    return (env->eflags & IF_MASK) && !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

int vmx_pending_interrupt(CPUState *cs, int interrupt_request)
{
    CPUX86State *env = cpu_env(cs);

    if (interrupt_request & CPU_INTERRUPT_SIPI) {
        return CPU_INTERRUPT_SIPI;
    }
    if ((interrupt_request & CPU_INTERRUPT_SMI) &&
        !(env->hflags & HF_SMM_MASK) && !vmx_smi_blocked(env)) {
        return CPU_INTERRUPT_SMI;
    }
    if ((interrupt_request & CPU_INTERRUPT_NMI) &&
        !(env->hflags2 & HF2_NMI_MASK)) {
        return CPU_INTERRUPT_NMI;
    }
    if (interrupt_request & CPU_INTERRUPT_MCE) {
        return CPU_INTERRUPT_MCE;
    }
    if ((interrupt_request & CPU_INTERRUPT_HARD) && vmx_interruptible(env)) {
        return CPU_INTERRUPT_HARD;
    }
    return 0;
}

bool vmx_exec_interrupt(CPUState *cs, int interrupt_request)
{
    CPUX86State *env = cpu_env(cs);

    switch (interrupt_request) {
    case CPU_INTERRUPT_SIPI:
        /* Discarded outside wait-for-SIPI, which is not offered. */
        cpu_reset_interrupt(cs, CPU_INTERRUPT_SIPI);
        return true;
    case CPU_INTERRUPT_SMI:
        if (env->vmx.smm.active) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_SMI);
            return vmx_smm_exit_on_smi(env);
        }
        break;
    case CPU_INTERRUPT_NMI:
        if (vmx_nmi_exiting(env)) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_NMI);
            vmx_vmexit_event(env, VMX_EXIT_EXCEPTION_NMI, 0,
                             VMX_INTR_VALID | VMX_INTR_TYPE_NMI | EXCP02_NMI,
                             0, 0);
        }
        break;
    case CPU_INTERRUPT_HARD:
        if (vmx_external_exiting(env)) {
            vmx_vmexit(env, VMX_EXIT_EXTERNAL_INTERRUPT, 0, 0);
        }
        break;
    default:
        break;
    }
    /* Delivered in the ordinary way, which ends HLT. */
    env->vmx.hlt = false;
    return false;
}

/* DM-EXI-41: the SMI exit reports the trap as pending. */
void vmx_defer_single_step(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    if (vmx_smm_exit_due(env)) {
        env->vmx.pending_debug = VMX_PENDING_DEBUG_BS;
        cs->exception_index = -1;
        cpu_loop_exit(cs);
    }
}

/* ------------------------------------------------------------------ */
/* HLT                                                                 */

/*
 * The main loop clears "halted" before it looks at the event that ended HLT;
 * remember the state for an SMI or VM exit that comes before any instruction.
 */
void vmx_note_halt(CPUX86State *env)
{
    env->vmx.hlt = true;
    env->vmx.hlt_rip = env->eip;
}

bool vmx_halted(CPUX86State *env)
{
    return env->vmx.hlt && env->vmx.hlt_rip == env->eip;
}

/* ------------------------------------------------------------------ */
/* Delivery record: becomes the IDT-vectoring information              */

void vmx_event_begin(CPUX86State *env, int intno, int is_int, int error_code,
                     uint64_t next_eip, int is_hw)
{
    X86VMXEvent *event = &env->vmx.event;
    uint32_t info = VMX_INTR_VALID | (uint8_t)intno;

    env->vmx.hlt = false;
    event->error_code = 0;
    event->insn_length = 0;

    if (is_int) {
        uint32_t length = (uint8_t)(next_eip - env->eip);

        event->insn_length = length;
        if ((intno == EXCP03_INT3 || intno == EXCP04_INTO) &&
            length == SOFTWARE_EXCEPTION_LENGTH) {
            info |= VMX_INTR_TYPE_SW_EXCEPTION;
        } else {
            info |= VMX_INTR_TYPE_SW_INTERRUPT;
        }
    } else if (intno == EXCP02_NMI) {
        info |= VMX_INTR_TYPE_NMI;
    } else if (is_hw) {
        info |= VMX_INTR_TYPE_EXTERNAL;
    } else {
        info |= VMX_INTR_TYPE_HW_EXCEPTION;
        if ((env->cr[0] & CR0_PE_MASK) && exception_has_error_code(intno)) {
            info |= VMX_INTR_ERROR_CODE;
            event->error_code = error_code;
        }
    }
    event->info = info;
}

void vmx_event_end(CPUX86State *env)
{
    env->vmx.event.info = 0;
}

/* ------------------------------------------------------------------ */
/* Injection                                                           */

void vmx_inject_event(CPUX86State *env, uint32_t info, uint32_t error_code,
                      uint32_t insn_length)
{
    CPUState *cs = env_cpu(env);
    uint8_t vector = info;

    cs->exception_index = vector;
    env->error_code = info & VMX_INTR_ERROR_CODE ? error_code : 0;
    env->exception_is_int = 0;
    env->exception_next_eip = env->eip;

    switch (info & VMX_INTR_TYPE_MASK) {
    case VMX_INTR_TYPE_EXTERNAL:
        cs->exception_index = -1;
        do_interrupt_x86_hardirq(env, vector, 1);
        return;
    case VMX_INTR_TYPE_NMI:
        if (vmx_virtual_nmis(env)) {
            env->vmx.virtual_nmi_blocked = true;
        } else {
            env->hflags2 |= HF2_NMI_MASK;
        }
        break;
    case VMX_INTR_TYPE_SW_INTERRUPT:
    case VMX_INTR_TYPE_SW_EXCEPTION:
        env->exception_is_int = 1;
        env->exception_next_eip = env->eip + insn_length;
        break;
    case VMX_INTR_TYPE_PRIV_SW:
        /* INT1 is trap-like and not subject to the gate's DPL. */
        env->eip += insn_length;
        break;
    default:
        /* Contributory exceptions and #PF count for double faults. */
        if (vector == 0 || (vector >= 10 && vector <= 14) || vector == 8) {
            env->old_exception = vector;
        }
        break;
    }
    cpu_loop_exit(cs);
}
