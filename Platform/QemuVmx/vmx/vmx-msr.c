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

/* The rules of each area, by what of an entry they are about. */
static const struct {
    const char *name;
    const char *index_rule;
    const char *value_rule;
    const char *monitor_ctl_rule;
} areas[] = {
    [VMX_ENTRY_MSR_LOAD] = { "ENTRY_MSR_LOAD", "VMX-ENT-16", "VMX-ENT-17",
                             "DM-ENA-16" },
    [VMX_EXIT_MSR_LOAD] = { "EXIT_MSR_LOAD", "VMX-EXI-30", "VMX-EXI-30",
                            "DM-ENA-15" },
    [VMX_EXIT_MSR_STORE] = { "EXIT_MSR_STORE", "VMX-EXI-30", "VMX-EXI-30" },
};

/* Refuse entry @i, counted from 0, for its @part. */
static bool refuse_entry(CPUX86State *env, VMXMsrArea area, uint32_t i,
                         const char *rule, const char *part, uint64_t value,
                         const char *demand)
{
    char name[VMX_NAME_SIZE];

    snprintf(name, sizeof(name), "%s[%u].%s", areas[area].name, i + 1, part);
    return vmx_refuse_value(env, rule, name, value, demand);
}

/* What WRMSR or RDMSR would refuse: the MSR's number and the value written. */
static bool refuse_msr(CPUX86State *env, VMXMsrArea area, uint32_t i,
                       const MSREntry *e, const char *demand)
{
    char part[16];

    snprintf(part, sizeof(part), "MSR_%X", e->index);
    return refuse_entry(env, area, i, areas[area].value_rule, part, e->value,
                        demand);
}

/* Checks of loads and stores; @i as above. */
static bool entry_valid(CPUX86State *env, VMXMsrArea area, uint32_t i,
                        const MSREntry *e)
{
    if (i >= MSR_LIST_LIMIT) {
        return refuse_entry(env, area, i, areas[area].index_rule, "INDEX",
                            e->index, "at most 512 entries");
    }
    if (e->reserved) {
        return refuse_entry(env, area, i, areas[area].value_rule, "RESERVED",
                            e->reserved, "0");
    }
    if ((e->index & ~0xffu) == MSR_X2APIC_RANGE) {
        return refuse_entry(env, area, i, areas[area].index_rule, "INDEX",
                            e->index, "no MSR of the x2APIC");
    }
    return true;
}

static bool msr_load(CPUX86State *env, VMXMsrArea area, uint32_t i,
                     const MSREntry *e, bool smm)
{
    if (!entry_valid(env, area, i, e)) {
        return false;
    }
    if (e->index == MSR_FSBASE || e->index == MSR_GSBASE) {
        return refuse_entry(env, area, i, areas[area].index_rule, "INDEX",
                            e->index, "not IA32_FS_BASE or IA32_GS_BASE");
    }
    /*
     * IA32_SMM_MONITOR_CTL is for lists of transitions that begin or end in SMM
     * (DM-ENA-15, DM-ENA-16), IA32_SMBASE is read-only (DM-ENA-31).
     */
    if (e->index == MSR_IA32_SMM_MONITOR_CTL && !smm) {
        return refuse_entry(env, area, i, areas[area].monitor_ctl_rule,
                            "INDEX", e->index,
                            "IA32_SMM_MONITOR_CTL by transitions that begin "
                            "or end in SMM only");
    }
    if (e->index == MSR_IA32_SMBASE) {
        return refuse_entry(env, area, i, "DM-ENA-31", "INDEX", e->index,
                            "not IA32_SMBASE");
    }
    if (e->index == MSR_EFER && (env->cr[0] & CR0_PG_MASK) &&
        ((e->value ^ env->efer) & MSR_EFER_LME)) {
        return refuse_msr(env, area, i, e, "LME as it is, with CR0.PG = 1");
    }
    return cpu_x86_wrmsr(env, e->index, e->value) ||
           refuse_msr(env, area, i, e, "an MSR and value for WRMSR");
}

unsigned vmx_load_msr_area(CPUX86State *env, VMXMsrArea area, uint64_t addr,
                           uint32_t count, bool smm)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        MSREntry e = msr_entry(env, addr + (uint64_t)i * 16);

        if (!msr_load(env, area, i, &e, smm)) {
            return i + 1;
        }
    }
    return 0;
}

static bool msr_store(CPUX86State *env, uint32_t i, const MSREntry *e,
                      bool smm, uint64_t *value)
{
    if (!entry_valid(env, VMX_EXIT_MSR_STORE, i, e)) {
        return false;
    }
    /* IA32_SMBASE only by exits that end in SMM (DM-ENA-32, -33). */
    if (e->index == MSR_IA32_SMBASE && !smm) {
        return refuse_entry(env, VMX_EXIT_MSR_STORE, i, "DM-ENA-32", "INDEX",
                            e->index,
                            "IA32_SMBASE by exits that end in SMM only");
    }
    return cpu_x86_rdmsr(env, e->index, value) ||
           refuse_msr(env, VMX_EXIT_MSR_STORE, i, e, "an MSR for RDMSR");
}

unsigned vmx_store_msr_area(CPUX86State *env, uint64_t addr, uint32_t count,
                            bool smm)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint64_t slot = addr + (uint64_t)i * 16;
        MSREntry e = msr_entry(env, slot);
        uint64_t value;

        if (!msr_store(env, i, &e, smm, &value)) {
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
