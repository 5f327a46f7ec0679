/*
 * VMX: system-management range registers (IA32_SMRR_PHYSBASE and _PHYSMASK)
 *
 * Intel SDM volume 3, "System-Management Range Register Interface" (11.11.2.4).
 * Outside SMM, what the processor reads in the range is all ones and what it
 * writes there is lost, whatever the chipset would do: its own memory hides
 * behind a region of this processor's address space.  DMA does not pass here.
 *
 * With the CPU property vmx-smrr-tseg the range is the chipset's TSEG, as if
 * firmware had set it, until firmware does.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "exec/address-spaces.h"
#include "hw/pci-host/q35.h"
#include "system/reset.h"
#include "system/system.h"
#include "vmx.h"
#include "vmx-parts.h"

#define MSR_IA32_SMRR_PHYSBASE  0x1f2
#define MSR_IA32_SMRR_PHYSMASK  0x1f3

#define MTRRCAP_SMRR            (1u << 11)
#define SMRR_PAGES              0xfffff000u
#define SMRR_TYPE               0xffu
#define SMRR_WRITE_BACK         6u
#define SMRR_VALID              (1u << 11)

static uint64_t smrr_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

static void smrr_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
}

static const MemoryRegionOps smrr_ops = {
    .read = smrr_read,
    .write = smrr_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};

/* Bring the range in force, or take it away: after a write, a reset, a load. */
void vmx_smrr_update(CPUX86State *env)
{
    Object *range = object_resolve_path_component(OBJECT(env_cpu(env)),
                                                  "smrr[0]");
    const uint32_t mask = env->vmx.smrr_mask & SMRR_PAGES;
    const uint32_t size = mask & -mask;

    if (!range) {
        return;                 /* not yet realized */
    }
    BQL_LOCK_GUARD();
    memory_region_transaction_begin();
    memory_region_set_enabled(MEMORY_REGION(range),
                              (env->vmx.smrr_mask & SMRR_VALID) && size);
    if (size) {
        memory_region_set_size(MEMORY_REGION(range), size);
        memory_region_set_address(MEMORY_REGION(range),
                                  env->vmx.smrr_base & mask);
    }
    memory_region_transaction_commit();
}

/* They come with the dual-monitor treatment, whose STM asks for them. */
static bool has_smrr(CPUX86State *env)
{
    return vmx_dual_monitor_offered(env) &&
           (env->features[FEAT_1_EDX] & CPUID_MTRR);
}

/* TSEG is a power of two in size and aligned to it; no SMRR holds another. */
static void smrr_follow(CPUX86State *env, uint64_t base, uint64_t size)
{
    const bool valid = size && is_power_of_2(size) && !(base & (size - 1)) &&
                       base + size <= 4 * GiB;

    env->vmx.smrr_base = valid ? base | SMRR_WRITE_BACK : 0;
    env->vmx.smrr_mask = valid ? (uint32_t)-size | SMRR_VALID : 0;
    vmx_smrr_update(env);
}

static void tseg_changed(Notifier *notifier, void *data)
{
    MCHPCIState *mch = data;
    MemoryRegion *tseg = &mch->tseg_window;
    const uint64_t size = tseg->enabled ? memory_region_size(tseg) : 0;
    CPUState *cs;

    CPU_FOREACH(cs) {
        CPUX86State *env = cpu_env(cs);

        if (env_archcpu(env)->vmx_config.smrr_tseg && has_smrr(env) &&
            !env->vmx.smrr_written) {
            smrr_follow(env, tseg->addr, size);
        }
    }
}

/* The chipset is there once the machine is. */
static void listen_to_chipset(Notifier *notifier, void *data)
{
    static Notifier tseg = { .notify = tseg_changed };
    Object *mch = object_resolve_path_type("", TYPE_MCH_PCI_DEVICE, NULL);

    if (mch) {
        notifier_list_add(&MCH_PCI_DEVICE(mch)->tseg_notifiers, &tseg);
    }
}

/* RESET: nothing is hidden; INIT leaves the range in force. */
static void smrr_reset(void *opaque)
{
    CPUX86State *env = cpu_env(opaque);

    env->vmx.smrr_base = 0;
    env->vmx.smrr_mask = 0;
    env->vmx.smrr_written = false;
    env->vmx.smm_feature = 0;
    vmx_smrr_update(env);
}

/* What the processor sees outside SMM: memory, and the range over it. */
MemoryRegion *vmx_smrr_root(CPUState *cs)
{
    static Notifier machine_done;
    MemoryRegion *root = g_new0(MemoryRegion, 1);
    MemoryRegion *memory = g_new0(MemoryRegion, 1);
    MemoryRegion *range = g_new0(MemoryRegion, 1);

    memory_region_init(root, OBJECT(cs), "smrr-root", UINT64_MAX);
    memory_region_init_alias(memory, OBJECT(cs), "smrr-memory", cs->memory, 0,
                             UINT64_MAX);
    memory_region_add_subregion_overlap(root, 0, memory, 0);
    memory_region_init_io(range, OBJECT(cs), &smrr_ops, NULL, "smrr",
                          SMRR_PAGES);
    memory_region_set_enabled(range, false);
    memory_region_add_subregion_overlap(root, 0, range, 1);
    qemu_register_reset(smrr_reset, cs);
    if (!machine_done.notify) {
        machine_done.notify = listen_to_chipset;
        qemu_add_machine_init_done_notifier(&machine_done);
    }
    return root;
}

int vmx_smrr_rdmsr(CPUX86State *env, uint32_t index, uint64_t *value)
{
    if (!has_smrr(env)) {
        return 1;
    }
    switch (index) {
    case MSR_MTRRcap:
        *value = MSR_MTRRcap_VCNT | MSR_MTRRcap_FIXRANGE_SUPPORT |
                 MSR_MTRRcap_WC_SUPPORTED | MTRRCAP_SMRR;
        return 0;
    case MSR_IA32_SMRR_PHYSBASE:
        *value = env->vmx.smrr_base;
        return 0;
    case MSR_IA32_SMRR_PHYSMASK:
        *value = env->vmx.smrr_mask;
        return 0;
    default:
        return 1;
    }
}

/* Uncacheable, write-combining, write-through, write-protected, write-back. */
static bool memory_type_valid(uint32_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

int vmx_smrr_wrmsr(CPUX86State *env, uint32_t index, uint64_t value)
{
    const bool smm = env->hflags & HF_SMM_MASK;

    if (!has_smrr(env)) {
        return 1;
    }
    switch (index) {
    case MSR_IA32_SMRR_PHYSBASE:
        if (!smm || (value & ~(uint64_t)(SMRR_PAGES | SMRR_TYPE)) ||
            !memory_type_valid(value & SMRR_TYPE)) {
            return -1;          /* writable in SMM only (DM-INT-37) */
        }
        env->vmx.smrr_base = value;
        break;
    case MSR_IA32_SMRR_PHYSMASK:
        if (!smm || (value & ~(uint64_t)(SMRR_PAGES | SMRR_VALID))) {
            return -1;
        }
        env->vmx.smrr_mask = value;
        break;
    default:
        return 1;
    }
    env->vmx.smrr_written = true;
    vmx_smrr_update(env);
    return 0;
}
