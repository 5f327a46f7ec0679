/*
 * VMX: MSR areas of VM entries and VM exits
 *
 * Intel SDM volume 3, "Loading MSRs" and "Saving MSRs".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "vmx-parts.h"

#define MSR_X2APIC_RANGE    0x800

/* IA32_VMX_MISC[27:25] = 0: lists of up to 512 entries are recommended. */
#define MSR_LIST_LIMIT      512

typedef struct MSREntry {
    uint32_t index;
    uint32_t reserved;
    uint64_t value;
} MSREntry;

static MSREntry msr_entry(CPUX86State *env, uint64_t addr)
{
    CPUState *cs = env_cpu(env);

    return (MSREntry) {
        .index = x86_ldl_phys(cs, addr),
        .reserved = x86_ldl_phys(cs, addr + 4),
        .value = x86_ldq_phys(cs, addr + 8),
    };
}

static bool msr_load(CPUX86State *env, const MSREntry *e, bool smm)
{
    if (e->reserved || e->index == MSR_FSBASE || e->index == MSR_GSBASE ||
        (e->index & ~0xffu) == MSR_X2APIC_RANGE) {
        return false;
    }
    /*
     * IA32_SMM_MONITOR_CTL is for lists of transitions that begin or end in SMM
     * (DM-ENA-15, DM-ENA-16), IA32_SMBASE is read-only (DM-ENA-31).
     */
    if ((e->index == MSR_IA32_SMM_MONITOR_CTL && !smm) ||
        e->index == MSR_IA32_SMBASE) {
        return false;
    }
    if (e->index == MSR_EFER && (env->cr[0] & CR0_PG_MASK) &&
        ((e->value ^ env->efer) & MSR_EFER_LME)) {
        return false;
    }
    return cpu_x86_wrmsr(env, e->index, e->value);
}

unsigned vmx_load_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                           bool smm)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        MSREntry e = msr_entry(env, addr + (uint64_t)i * 16);

        if (i >= MSR_LIST_LIMIT || !msr_load(env, &e, smm)) {
            return i + 1;
        }
    }
    return 0;
}

unsigned vmx_store_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                            bool smm)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint64_t slot = addr + (uint64_t)i * 16;
        MSREntry e = msr_entry(env, slot);
        uint64_t value;

        /* IA32_SMBASE only by exits that end in SMM (DM-ENA-32, -33). */
        if (i >= MSR_LIST_LIMIT || e.reserved ||
            (e.index & ~0xffu) == MSR_X2APIC_RANGE ||
            (e.index == MSR_IA32_SMBASE && !smm) ||
            !cpu_x86_rdmsr(env, e.index, &value)) {
            return i + 1;
        }
        if (e.index == MSR_IA32_TSC) {
            /* "TSC offsetting" is for the guest's own reads. */
            value -= env->tsc_offset;
        }
        x86_stq_phys(env_cpu(env), slot + 8, value);
    }
    return 0;
}
