/*
 * VMX: VMX-preemption timer
 *
 * Intel SDM volume 3, "VMX-Preemption Timer".  The timer counts with the TSC.
 * QEMU does not say how fast that is, so that a timer of the virtual clock is
 * set too early on purpose and set again until the TSC has got there.  The
 * big lock protects the fields that its callback shares with the processor.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "cpu.h"
#include "system/cpu-timers.h"
#include "tcg/helper-tcg.h"
#include "vmx-parts.h"

/* No TSC is faster than this many ticks per nanosecond. */
#define MAX_TICKS_PER_NS    6
/* Nearer than this, look again after the shortest sensible time. */
#define SHORTEST_NS         500

static void vmx_timer_set(CPUX86State *env, uint64_t now)
{
    uint64_t ns = env->vmx.timer_deadline - now;

    if (!icount_enabled()) {
        ns = MAX(ns / MAX_TICKS_PER_NS, SHORTEST_NS);
    }
    timer_mod(env->vmx_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
              MIN(ns, INT64_MAX / 2));
}

/* In the main thread, with the big lock. */
static void vmx_timer_fired(void *opaque)
{
    CPUX86State *env = opaque;
    uint64_t now = cpu_get_tsc(env);

    if (!env->vmx.timer_running) {
        return;
    }
    if (now < env->vmx.timer_deadline) {
        vmx_timer_set(env, now);
        return;
    }
    env->vmx.timer_running = false;
    env->vmx.timer_expired = true;
    cpu_interrupt(env_cpu(env), CPU_INTERRUPT_VMX);
}

void vmx_timer_start(CPUX86State *env, uint32_t value)
{
    BQL_LOCK_GUARD();

    env->vmx.timer_deadline = cpu_get_tsc(env) +
                              ((uint64_t)value << VMX_TIMER_RATE);
    env->vmx.timer_expired = value == 0;
    env->vmx.timer_running = value != 0;
    if (env->vmx.timer_running) {
        vmx_timer_resume(env);
    }
}

void vmx_timer_resume(CPUX86State *env)
{
    if (!env->vmx_timer) {
        env->vmx_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, vmx_timer_fired,
                                      env);
    }
    vmx_timer_set(env, MIN(cpu_get_tsc(env), env->vmx.timer_deadline));
}

uint32_t vmx_timer_value(CPUX86State *env)
{
    uint64_t now;

    if (env->vmx.timer_expired) {
        return 0;
    }
    now = cpu_get_tsc(env);
    if (now >= env->vmx.timer_deadline) {
        return 0;
    }
    return (env->vmx.timer_deadline - now) >> VMX_TIMER_RATE;
}

bool vmx_timer_catch_up(CPUX86State *env)
{
    if (!env->vmx.timer_running ||
        cpu_get_tsc(env) < env->vmx.timer_deadline) {
        return false;
    }

    BQL_LOCK_GUARD();

    env->vmx.timer_running = false;
    env->vmx.timer_expired = true;
    vmx_update_request(env);
    return true;
}

/*
 * The guest is about to read the time-stamp counter: it must not find that the
 * timer should have expired.
 */
void vmx_timer_check(CPUX86State *env, uintptr_t retaddr)
{
    if (vmx_timer_catch_up(env)) {
        cpu_loop_exit_restore(env_cpu(env), retaddr);
    }
}

void vmx_timer_stop(CPUX86State *env)
{
    BQL_LOCK_GUARD();

    if (env->vmx.timer_running) {
        timer_del(env->vmx_timer);
    }
    env->vmx.timer_running = false;
    env->vmx.timer_expired = false;
}
