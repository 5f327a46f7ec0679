/*
 * VMX: instructions that secondary processor-based VM-execution controls
 * govern - RDRAND, RDSEED, RDPID, INVPCID, XSAVES, XRSTORS, loops of PAUSE
 *
 * Intel SDM volume 3, "Instructions That Cause VM Exits Conditionally" and
 * "Changes to Instruction Behavior in VMX Non-Root Operation".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/tlb-bank.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "tlb.h"
#include "vmx.h"
#include "vmx-parts.h"

/* RDRAND, RDSEED and RDPID in non-root operation. */
void helper_vmx_check_random(CPUX86State *env, uint32_t which)
{
    uintptr_t ra = GETPC();

    switch (which) {
    case VMX_CHECK_RDRAND:
        if (vmx_proc2(env, VMX_CPU2_RDRAND)) {
            vmx_vmexit(env, VMX_REASON_RDRAND, 0, ra);
        }
        break;
    case VMX_CHECK_RDSEED:
        if (vmx_proc2(env, VMX_CPU2_RDSEED)) {
            vmx_vmexit(env, VMX_REASON_RDSEED, 0, ra);
        }
        break;
    default:
        /* RDPID goes with RDTSCP. */
        if (!vmx_proc2(env, VMX_CPU2_RDTSCP)) {
            raise_exception_ra(env, EXCP06_ILLOP, ra);
        }
        break;
    }
}

/* ------------------------------------------------------------------ */
/* INVPCID                                                             */

#define INVPCID_ADDRESS         0
#define INVPCID_SINGLE          1
#define INVPCID_ALL             2
#define INVPCID_ALL_BUT_GLOBAL  3

/* The #UD of a clear control comes before all else. */
static void invpcid_check(CPUX86State *env, uintptr_t ra)
{
    const bool guest = vmx_in_guest(env);

    if (guest && !vmx_proc2(env, VMX_CPU2_INVPCID)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if ((env->hflags & HF_CPL_MASK) || (env->eflags & VM_MASK)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (guest && (env->vmx.ctl.proc & VMX_CPU_INVLPG)) {
        vmx_vmexit(env, VMX_REASON_INVPCID, env->vmx.displacement, ra);
    }
}

void helper_invpcid(CPUX86State *env, target_ulong operand, target_ulong type)
{
    uintptr_t ra = GETPC();
    uint64_t pcid, linear;
    bool valid;

    invpcid_check(env, ra);
    pcid = cpu_ldq_data_ra(env, operand, ra);
    linear = cpu_ldq_data_ra(env, operand + 8, ra);
    if (!(env->hflags & HF_CS64_MASK)) {
        type = (uint32_t)type;
    }

    valid = !(pcid >> 12);
    switch (type) {
    case INVPCID_ADDRESS:
        valid = valid && vmx_canonical(linear);
        /* fall through */
    case INVPCID_SINGLE:
        valid = valid && (!pcid || (env->cr[4] & CR4_PCIDE_MASK));
        break;
    case INVPCID_ALL:
    case INVPCID_ALL_BUT_GLOBAL:
        break;
    default:
        valid = false;
        break;
    }
    if (!valid) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (type == INVPCID_ADDRESS) {
        tlb_flush_page_selected(env_cpu(env), linear);
    } else {
        /* The TLB knows neither PCIDs nor global pages. */
        x86_flush_linear(env);
    }
}

/* ------------------------------------------------------------------ */
/* XSAVES, XRSTORS                                                     */

/*
 * There are no supervisor state components, so that IA32_XSS is 0 and neither
 * instruction exits, whatever the XSS-exiting bitmap says.
 */
void vmx_check_xsaves(CPUX86State *env, uint64_t components, bool save,
                      uintptr_t retaddr)
{
    if (!vmx_proc2(env, VMX_CPU2_XSAVES)) {
        raise_exception_ra(env, EXCP06_ILLOP, retaddr);
    }
    if (components & env->xss & env->vmx.ctl.xss_exiting) {
        vmx_vmexit(env, save ? VMX_REASON_XSAVES : VMX_REASON_XRSTORS,
                   env->vmx.displacement, retaddr);
    }
}

/* ------------------------------------------------------------------ */
/* PAUSE-loop exiting                                                  */

/*
 * The SDM speaks of time at the rate of the time-stamp counter.  A PAUSE that
 * comes more than PLE_Gap after the last one, or is the first after VM entry,
 * begins a loop; one in a loop that began more than PLE_Window ago exits.  An
 * emulated PAUSE takes some thousand cycles, since it leaves the main loop.
 */
bool vmx_pause_loop_exits(CPUX86State *env)
{
    X86VMXPauseLoop *loop = &env->vmx.pause_loop;
    uint64_t now, last;

    if (!vmx_proc2(env, VMX_CPU2_PAUSE_LOOP) ||
        (env->hflags & HF_CPL_MASK)) {
        return false;
    }
    now = cpu_get_tsc(env);
    last = loop->last;
    loop->last = now;
    if (!loop->valid || now - last > env->vmx.ctl.ple_gap) {
        loop->valid = true;
        loop->first = now;
        return false;
    }
    return now - loop->first > env->vmx.ctl.ple_window;
}
