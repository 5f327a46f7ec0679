/*
 * VMX: TPR shadow and APIC-access page
 *
 * Intel SDM volume 3, "APIC Virtualization and Virtual Interrupts", sections
 * "Virtualizing CR8-Based TPR Accesses" and "Virtualizing Memory-Mapped APIC
 * Accesses".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/translation-block.h"
#include "tcg/tcg.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

#define VAPIC_TPR               0x80

/* Exit qualification of APIC accesses: bits 15:12. */
#define APIC_ACCESS_READ        (0u << 12)
#define APIC_ACCESS_WRITE       (1u << 12)
#define APIC_ACCESS_FETCH       (2u << 12)
#define APIC_ACCESS_DELIVERY    (3u << 12)
#define APIC_ACCESS_PHYSICAL    (15u << 12)
#define APIC_ACCESS_PHYSICAL_DELIVERY (10u << 12)

static uint8_t vmx_vtpr(CPUX86State *env)
{
    return x86_ldub_phys(env_cpu(env), env->vmx.ctl.virtual_apic + VAPIC_TPR);
}

bool vmx_tpr_below_threshold(CPUX86State *env)
{
    return (env->vmx.ctl.tpr_threshold & 0xf) > vmx_vtpr(env) >> 4;
}

/* The VM exit comes at the next boundary, which the caller brings about. */
static void vmx_check_tpr_threshold(CPUX86State *env)
{
    env->vmx.tpr_check = true;
    vmx_update_request(env);
}

bool vmx_tpr_shadow(CPUX86State *env)
{
    return vmx_in_guest(env) &&
           (env->vmx.ctl.proc & VMX_CPU_TPR_SHADOW);
}

target_ulong vmx_read_cr8(CPUX86State *env)
{
    return vmx_vtpr(env) >> 4;
}

void vmx_write_cr8(CPUX86State *env, target_ulong value)
{
    x86_stl_phys(env_cpu(env), env->vmx.ctl.virtual_apic + VAPIC_TPR,
                 (value & 0xf) << 4);
    vmx_check_tpr_threshold(env);
}

/* "VMX Controls and Host-State Area": for entries that need the check. */
bool vmx_tpr_threshold_valid(CPUX86State *env, const X86VMXControls *ctl)
{
    uint8_t vtpr;

    if (ctl->proc2 & VMX_CPU2_APIC_ACCESSES) {
        return true;
    }
    vtpr = x86_ldub_phys(env_cpu(env), ctl->virtual_apic + VAPIC_TPR);
    return ctl->tpr_threshold <= vtpr >> 4;
}

/* "VM Exits Induced by the TPR Threshold", after VM entry. */
void vmx_tpr_after_entry(CPUX86State *env)
{
    if (vmx_tpr_shadow(env) &&
        (env->vmx.ctl.proc2 & VMX_CPU2_APIC_ACCESSES)) {
        vmx_check_tpr_threshold(env);
    }
}

/*
 * A store to the TPR is followed by the check against the threshold at once,
 * hence by the end of a block: run the instruction again as a block of its own.
 */
static void vmx_tpr_store(CPUX86State *env, uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    TranslationBlock *tb = retaddr ? tcg_tb_lookup(retaddr) : NULL;

    if (tb && (tb_cflags(tb) & CF_COUNT_MASK) != 1) {
        cs->cflags_next_tb = VMX_ONE_INSN(cs);
        cpu_loop_exit_restore(cs, retaddr);
    }
    vmx_check_tpr_threshold(env);
}

/*
 * A linear access has been translated to the APIC-access page.  With a TPR
 * shadow the TPR itself is in the virtual-APIC page; everything else exits.
 *
 * The translation is good for one access only, so that each comes here.
 */
void vmx_apic_access(CPUX86State *env, MMUAccessType access_type, int size,
                     hwaddr *paddr, uintptr_t retaddr)
{
    const uint32_t offset = *paddr & ~TARGET_PAGE_MASK;
    uint32_t kind = access_type == MMU_DATA_STORE ? APIC_ACCESS_WRITE :
                    access_type == MMU_INST_FETCH ? APIC_ACCESS_FETCH :
                    APIC_ACCESS_READ;

    if (env->vmx.event.info) {
        kind = APIC_ACCESS_DELIVERY;
    } else if (vmx_tpr_shadow(env) && access_type != MMU_INST_FETCH &&
               offset >= VAPIC_TPR && offset + size <= VAPIC_TPR + 4) {
        if (access_type == MMU_DATA_STORE) {
            vmx_tpr_store(env, retaddr);
        }
        *paddr = env->vmx.ctl.virtual_apic + offset;
        return;
    }
    vmx_vmexit(env, VMX_REASON_APIC_ACCESS, kind | offset, retaddr);
}

G_NORETURN void vmx_apic_walk(CPUX86State *env, uintptr_t retaddr)
{
    vmx_vmexit(env, VMX_REASON_APIC_ACCESS, env->vmx.event.info ?
               APIC_ACCESS_PHYSICAL_DELIVERY : APIC_ACCESS_PHYSICAL, retaddr);
}
