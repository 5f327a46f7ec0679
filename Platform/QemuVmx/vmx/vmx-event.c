/*
 * VMX: which event is next, and what it does
 *
 * Intel SDM volume 3, "Other Causes of VM Exits", "Monitor Trap Flag" and
 * "Event Injection"; the order of events is DM-EXI-07.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/translation-block.h"
#include "hw/i386/apic.h"
#include "system/cpu-timers.h"
#include "system/replay.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

typedef enum VMXEvent {
    VMX_EVENT_NONE,
    VMX_EVENT_INIT_LOST,
    VMX_EVENT_SIPI,
    VMX_EVENT_TPR,
    VMX_EVENT_SMI,
    VMX_EVENT_INIT,
    VMX_EVENT_MTF,
    VMX_EVENT_DEBUG,
    VMX_EVENT_TIMER,
    VMX_EVENT_NMI_WINDOW,
    VMX_EVENT_NMI,
    VMX_EVENT_MCE,
    VMX_EVENT_INTR_WINDOW,
    VMX_EVENT_INTR,
    VMX_EVENT_STEP,
} VMXEvent;

static bool blocked_by_mov_ss(CPUX86State *env)
{
    return (env->hflags & HF_INHIBIT_IRQ_MASK) &&
           (env->hflags2 & HF2_MOV_SS_MASK);
}

static bool interrupts_enabled(CPUX86State *env)
{
    return (env->eflags & IF_MASK) && !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

/* "External-interrupt exiting" makes RFLAGS.IF irrelevant, but no shadow. */
static bool interruptible(CPUX86State *env)
{
    if (vmx_pin(env, VMX_PIN_EXTERNAL_INTERRUPT)) {
        return !(env->hflags & HF_INHIBIT_IRQ_MASK);
    }
    return interrupts_enabled(env);
}

/* "Priority Among Concurrent Events", restricted to guests. */
static VMXEvent vmx_next_guest_event(CPUX86State *env)
{
    X86VMXState *vmx = &env->vmx;

    if (vmx->mtf == VMX_MTF_PENDING && vmx->activity == VMX_ACTIVITY_ACTIVE) {
        return VMX_EVENT_MTF;
    }
    if (vmx_debug_pending(env) && !blocked_by_mov_ss(env)) {
        return VMX_EVENT_DEBUG;
    }
    if (vmx->timer_expired) {
        return VMX_EVENT_TIMER;
    }
    if (vmx_proc(env, VMX_CPU_NMI_WINDOW) &&
        !vmx->virtual_nmi_blocked && !blocked_by_mov_ss(env)) {
        return VMX_EVENT_NMI_WINDOW;
    }
    return VMX_EVENT_NONE;
}

static VMXEvent vmx_next_event(CPUState *cs, int request)
{
    CPUX86State *env = cpu_env(cs);
    const bool smm = env->hflags & HF_SMM_MASK;
    VMXEvent event;

    if (env->vmx.activity == VMX_ACTIVITY_WAIT_FOR_SIPI) {
        return request & CPU_INTERRUPT_INIT ? VMX_EVENT_INIT_LOST :
               request & CPU_INTERRUPT_SIPI ? VMX_EVENT_SIPI : VMX_EVENT_NONE;
    }
    if (env->vmx.tpr_check && vmx_tpr_below_threshold(env)) {
        return VMX_EVENT_TPR;
    }
    if ((request & CPU_INTERRUPT_SMI) && !smm && !vmx_smi_blocked(env)) {
        return VMX_EVENT_SMI;
    }
    if ((request & CPU_INTERRUPT_INIT) && vmx_in_guest(env) && !smm) {
        return VMX_EVENT_INIT;
    }
    if (request & CPU_INTERRUPT_VMX) {
        event = vmx_next_guest_event(env);
        if (event != VMX_EVENT_NONE) {
            return event;
        }
    }
    if ((request & CPU_INTERRUPT_NMI) && !(env->hflags2 & HF2_NMI_MASK) &&
        !blocked_by_mov_ss(env)) {
        return VMX_EVENT_NMI;
    }
    if (request & CPU_INTERRUPT_MCE) {
        return VMX_EVENT_MCE;
    }
    if (env->vmx.activity == VMX_ACTIVITY_SHUTDOWN) {
        return VMX_EVENT_NONE;
    }
    if (vmx_proc(env, VMX_CPU_INTERRUPT_WINDOW) &&
        interrupts_enabled(env)) {
        return VMX_EVENT_INTR_WINDOW;
    }
    if ((request & CPU_INTERRUPT_HARD) && interruptible(env)) {
        return VMX_EVENT_INTR;
    }
    if (env->vmx.mtf == VMX_MTF_ARMED && !cs->halted) {
        return VMX_EVENT_STEP;
    }
    return VMX_EVENT_NONE;
}

/* Those that only VMX has share one interrupt request. */
static int vmx_event_request(VMXEvent event)
{
    switch (event) {
    case VMX_EVENT_NONE:
        return 0;
    case VMX_EVENT_SIPI:
        return CPU_INTERRUPT_SIPI;
    case VMX_EVENT_SMI:
        return CPU_INTERRUPT_SMI;
    case VMX_EVENT_INIT_LOST:
    case VMX_EVENT_INIT:
        return CPU_INTERRUPT_INIT;
    case VMX_EVENT_NMI:
        return CPU_INTERRUPT_NMI;
    case VMX_EVENT_MCE:
        return CPU_INTERRUPT_MCE;
    case VMX_EVENT_INTR:
        return CPU_INTERRUPT_HARD;
    default:
        return CPU_INTERRUPT_VMX;
    }
}

int vmx_pending_interrupt(CPUState *cs, int interrupt_request)
{
    return vmx_event_request(vmx_next_event(cs, interrupt_request));
}

bool vmx_sipi_exits(CPUX86State *env)
{
    return env->vmx.init_exit ||
           env->vmx.activity == VMX_ACTIVITY_WAIT_FOR_SIPI;
}

/* ------------------------------------------------------------------ */
/* What the events do                                                  */

/* A VM exit from here leaves by longjmp, so that nobody else records it. */
static G_NORETURN void vmx_exit_now(CPUX86State *env, uint32_t reason,
                                    uint32_t info)
{
    replay_interrupt();
    vmx_vmexit_event(env, reason, 0, info, 0, 0);
}

static G_NORETURN void vmx_take_sipi(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    cpu_reset_interrupt(cs, CPU_INTERRUPT_SIPI);
    replay_interrupt();
    vmx_vmexit(env, VMX_REASON_SIPI,
               apic_sipi_vector(env_archcpu(env)->apic_state), 0);
}

/*
 * INIT that arrives in wait-for-SIPI, or waited for it in root operation, is
 * nothing that the guest could see later; the processor waits on.
 */
static void vmx_lose_init(CPUState *cs)
{
    cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
    cs->interrupt_request |= CPU_INTERRUPT_HALT;
    qatomic_set(&cs->neg.icount_decr.u16.high, -1);
}

static void vmx_take_interrupt(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);
    uint32_t info = 0;

    if (env->vmx.ctl.exit & VMX_EXIT_ACKNOWLEDGE_INTERRUPT) {
        int vector;

        cpu_reset_interrupt(cs, CPU_INTERRUPT_HARD);
        vector = cpu_get_pic_interrupt(env);
        if (vector < 0) {
            /* The request has gone away. */
            return;
        }
        info = VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_EXTERNAL |
               (uint8_t)vector;
    }
    vmx_exit_now(env, VMX_REASON_EXTERNAL_INTERRUPT, info);
}

static G_NORETURN void vmx_take_debug(CPUX86State *env)
{
    uint64_t pending = env->vmx.pending_debug;

    replay_interrupt();
    env->vmx.pending_debug = 0;
    env->vmx.hlt = false;
    vmx_debug_begin(env);
    env->dr[6] |= pending & (VMX_PENDING_DEBUG_BP | VMX_PENDING_DEBUG_BS);
    raise_exception(env, EXCP01_DB);
}

/*
 * Monitor trap flag: run one instruction undisturbed and come back.  A fault
 * of the instruction is delivered before the VM exit.
 */
static void vmx_take_step(CPUState *cs)
{
    if (qatomic_read(&cs->exit_request) ||
        (icount_enabled() &&
         cs->neg.icount_decr.u16.low + cs->icount_extra == 0)) {
        /* Not now: the main loop leaves before it runs the instruction. */
        qatomic_set(&cs->neg.icount_decr.u16.high, -1);
        return;
    }
    cpu_env(cs)->vmx.mtf = VMX_MTF_PENDING;
    cs->cflags_next_tb = VMX_ONE_INSN(cs);
}

/* See to it that the main loop is back before another block runs. */
static void vmx_look_again(CPUState *cs)
{
    if (cs->interrupt_request) {
        qatomic_set(&cs->neg.icount_decr.u16.high, -1);
    }
}

int vmx_exec_interrupt(CPUState *cs, int interrupt_request)
{
    CPUX86State *env = cpu_env(cs);
    VMXEvent event = vmx_next_event(cs, interrupt_request);
    int request = vmx_event_request(event);

    if (event != VMX_EVENT_TPR) {
        env->vmx.tpr_check = false;
    }
    switch (event) {
    case VMX_EVENT_NONE:
        return 0;
    case VMX_EVENT_INIT_LOST:
        vmx_lose_init(cs);
        return 0;
    case VMX_EVENT_SIPI:
        vmx_take_sipi(cs);
    case VMX_EVENT_TPR:
        vmx_exit_now(env, VMX_REASON_TPR_BELOW_THRESHOLD, 0);
    case VMX_EVENT_SMI:
        if (env->vmx.smm.active) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_SMI);
            vmx_smm_exit_on_smi(env);
            return 0;
        }
        return request;
    case VMX_EVENT_INIT:
        cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        env->vmx.init_exit = true;
        vmx_exit_now(env, VMX_REASON_INIT, 0);
    case VMX_EVENT_MTF:
        vmx_exit_now(env, VMX_REASON_MONITOR_TRAP_FLAG, 0);
    case VMX_EVENT_DEBUG:
        vmx_take_debug(env);
    case VMX_EVENT_TIMER:
        vmx_exit_now(env, VMX_REASON_PREEMPTION_TIMER, 0);
    case VMX_EVENT_NMI_WINDOW:
        vmx_exit_now(env, VMX_REASON_NMI_WINDOW, 0);
    case VMX_EVENT_NMI:
        if (vmx_pin(env, VMX_PIN_NMI)) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_NMI);
            vmx_exit_now(env, VMX_REASON_EXCEPTION_NMI,
                         VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_NMI |
                         EXCP02_NMI);
        }
        break;
    case VMX_EVENT_MCE:
        if (vmx_in_guest(env) &&
            (env->vmx.ctl.exception_bitmap & (1u << EXCP12_MCHK))) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_MCE);
            vmx_exit_now(env, VMX_REASON_EXCEPTION_NMI, VMX_INTERRUPTION_VALID |
                         VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION |
                         EXCP12_MCHK);
        }
        break;
    case VMX_EVENT_INTR_WINDOW:
        vmx_exit_now(env, VMX_REASON_INTERRUPT_WINDOW, 0);
    case VMX_EVENT_INTR:
        if (vmx_pin(env, VMX_PIN_EXTERNAL_INTERRUPT)) {
            vmx_take_interrupt(cs);
            vmx_look_again(cs);
            return 0;
        }
        break;
    case VMX_EVENT_STEP:
        vmx_take_step(cs);
        return 0;
    default:
        break;
    }
    /*
     * Delivered in the ordinary way, which ends HLT and shutdown, and after
     * which a VM exit due to the monitor trap flag is pending.
     */
    env->vmx.hlt = false;
    env->vmx.activity = VMX_ACTIVITY_ACTIVE;
    if (env->vmx.mtf == VMX_MTF_ARMED) {
        env->vmx.mtf = VMX_MTF_PENDING;
    }
    vmx_look_again(cs);
    return request;
}

/* ------------------------------------------------------------------ */
/* Debug exceptions                                                    */

/*
 * What comes before the trap reports it as pending: an SMM VM exit (DM-EXI-41),
 * an INIT, the monitor trap flag.
 */
void vmx_single_step(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    bool init = vmx_in_guest(env) && !(env->hflags & HF_SMM_MASK) &&
                (cs->interrupt_request & CPU_INTERRUPT_INIT);

    if (vmx_smm_exit_due(env) || init || env->vmx.mtf == VMX_MTF_PENDING) {
        env->vmx.pending_debug |= VMX_PENDING_DEBUG_BS;
        vmx_update_request(env);
        cs->exception_index = -1;
        cpu_loop_exit(cs);
    }
    vmx_debug_begin(env);
}

/* Breakpoints that waited for the end of a shadow come with the trap. */
void vmx_single_step_merge(CPUX86State *env)
{
    env->dr[6] |= env->vmx.pending_debug & VMX_PENDING_DEBUG_BP;
    env->vmx.pending_debug = 0;
}

/* ------------------------------------------------------------------ */
/* Inactive states                                                     */

/*
 * The main loop clears "halted" before it looks at the event that ended HLT;
 * remember the state for an SMI or VM exit that comes before any instruction.
 */
void vmx_note_halt(CPUX86State *env)
{
    /* "Guest Non-Register State": the activity state never shows MWAIT. */
    env->vmx.hlt = !env->vmx.mwait;
    env->vmx.hlt_rip = env->eip;
    env->vmx.mwait = false;
    if (env->eflags & TF_MASK) {
        env->vmx.pending_debug |= VMX_PENDING_DEBUG_BS;
        vmx_update_request(env);
    }
}
