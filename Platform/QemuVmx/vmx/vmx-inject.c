/*
 * VMX: delivery of events in non-root operation
 *
 * Intel SDM volume 3, "Event Injection", "Information for VM Exits That Occur
 * During Event Delivery" and, for IRET, "Changes to Instruction Behavior in
 * VMX Non-Root Operation".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

/* ------------------------------------------------------------------ */
/* Delivery record: becomes the IDT-vectoring information              */

void vmx_event_begin(CPUX86State *env, int intno, int is_int, int error_code,
                     uint64_t next_eip, int is_hw)
{
    X86VMXEvent *event = &env->vmx.event;
    uint32_t info = VMX_INTERRUPTION_VALID | (uint8_t)intno;

    env->vmx.hlt = false;
    env->vmx.iret = false;
    event->error_code = 0;
    event->insn_length = 0;

    if (is_int) {
        uint32_t length = (uint8_t)(next_eip - env->eip);

        event->insn_length = length;
        if (env->vmx.sw_exception) {
            info |= VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION;
        } else {
            info |= VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT;
        }
    } else if (intno == EXCP02_NMI) {
        info |= VMX_INTERRUPTION_TYPE_NMI;
    } else if (is_hw) {
        info |= VMX_INTERRUPTION_TYPE_EXTERNAL;
    } else if (intno == EXCP01_DB && env->vmx.int1) {
        info |= VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION;
        event->insn_length = env->vmx.int1_length;
    } else {
        info |= VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION;
        if ((env->cr[0] & CR0_PE_MASK) && exception_has_error_code(intno)) {
            info |= VMX_INTERRUPTION_ERROR_CODE;
            event->error_code = error_code;
        }
    }
    env->vmx.int1 = false;
    event->info = info;
}

void vmx_event_end(CPUX86State *env)
{
    /* The handler is not in the shadow of what the event interrupted. */
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~HF2_MOV_SS_MASK;
    env->vmx.injecting = false;
    env->vmx.event.info = 0;
}

/* ------------------------------------------------------------------ */
/* Injection                                                           */

void vmx_inject_event(CPUX86State *env, uint32_t info, uint32_t error_code,
                      uint32_t insn_length)
{
    CPUState *cs = env_cpu(env);
    uint8_t vector = info;

    env->vmx.injecting = true;
    cs->exception_index = vector;
    env->error_code = info & VMX_INTERRUPTION_ERROR_CODE ? error_code : 0;
    env->exception_is_int = 0;
    env->exception_next_eip = env->eip;

    switch (info & VMX_INTERRUPTION_TYPE_MASK) {
    case VMX_INTERRUPTION_TYPE_EXTERNAL:
        cs->exception_index = -1;
        do_interrupt_x86_hardirq(env, vector, 1);
        return;
    case VMX_INTERRUPTION_TYPE_NMI:
        if (vmx_virtual_nmis(env)) {
            env->vmx.virtual_nmi_blocked = true;
        } else {
            env->hflags2 |= HF2_NMI_MASK;
        }
        break;
    case VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT:
    case VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION:
        env->exception_is_int = 1;
        env->vmx.sw_exception = (info & VMX_INTERRUPTION_TYPE_MASK) ==
                                VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION;
        env->exception_next_eip = env->eip + insn_length;
        break;
    case VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION:
        /* INT1 is trap-like and not subject to the gate's DPL. */
        env->eip += insn_length;
        env->vmx.int1 = true;
        env->vmx.int1_length = insn_length;
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

/* ------------------------------------------------------------------ */
/* IRET                                                                */

/*
 * IRET ends NMI blocking even if it faults; a VM exit due to the fault then
 * reports it.  With "NMI exiting" the blocking that counts is the virtual one,
 * if there is any.
 */
void vmx_iret_begin(CPUX86State *env)
{
    if (env->vmx.ctl.pin & VMX_PIN_NMI) {
        env->vmx.iret = env->vmx.virtual_nmi_blocked;
        env->vmx.virtual_nmi_blocked = false;
    } else {
        env->vmx.iret = env->hflags2 & HF2_NMI_MASK;
        env->hflags2 &= ~HF2_NMI_MASK;
    }
}

void vmx_iret_end(CPUX86State *env)
{
    env->vmx.iret = false;
}
