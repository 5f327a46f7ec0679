/*
 * VMX: VMCS regions in guest memory
 *
 * Intel SDM volume 3, "Virtual-Machine Control Structures".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/exec-all.h"
#include "vmx-base.h"

QEMU_BUILD_BUG_ON(VMCS_FIELDS_END > VMX_VMCS_SIZE);

static AddressSpace *vmx_address_space(CPUX86State *env, MemTxAttrs *attrs)
{
    *attrs = cpu_get_mem_attrs(env);
    return cpu_addressspace(env_cpu(env), *attrs);
}

/*
 * Where the region is in the host's memory, by the TLB entry of its physical
 * address; NULL if it is no RAM, or if it cannot be told in this thread.
 */
static void *vmx_region_host(CPUX86State *env, uint64_t addr, unsigned size,
                             MMUAccessType access_type)
{
    void *host;

    if (current_cpu != env_cpu(env) || !vmx_tlb_physical(env)) {
        return NULL;
    }
    probe_access_full_mmu(env, addr, size, access_type, MMU_PHYS_IDX, &host,
                          NULL);
    return host;
}

uint64_t vmx_region_ldq(CPUX86State *env, uint64_t addr)
{
    const void *host = vmx_region_host(env, addr, 8, MMU_DATA_LOAD);

    return likely(host) ? ldq_le_p(host) : x86_ldq_phys(env_cpu(env), addr);
}

void vmx_region_stl(CPUX86State *env, uint64_t addr, uint32_t value)
{
    void *host = vmx_region_host(env, addr, 4, MMU_DATA_STORE);

    if (likely(host)) {
        stl_le_p(host, value);
    } else {
        x86_stl_phys(env_cpu(env), addr, value);
    }
}

void vmx_region_stq(CPUX86State *env, uint64_t addr, uint64_t value)
{
    void *host = vmx_region_host(env, addr, 8, MMU_DATA_STORE);

    if (likely(host)) {
        stq_le_p(host, value);
    } else {
        x86_stq_phys(env_cpu(env), addr, value);
    }
}

/* The working copy that was given back last. */
static __thread VMXVmcs *spare;

VMXVmcs *vmx_vmcs_map(CPUX86State *env, uint64_t addr)
{
    VMXVmcs *vmcs = spare ? spare : g_new(VMXVmcs, 1);
    const void *host = vmx_region_host(env, addr, VMX_VMCS_SIZE,
                                       MMU_DATA_LOAD);

    spare = NULL;
    vmcs->addr = addr;
    vmcs->dirty_first = VMX_VMCS_SIZE;
    vmcs->dirty_end = 0;
    if (likely(host)) {
        memcpy(vmcs->data, host, VMX_VMCS_SIZE);
    } else {
        MemTxAttrs attrs;
        AddressSpace *as = vmx_address_space(env, &attrs);

        if (address_space_read(as, addr, attrs, vmcs->data, VMX_VMCS_SIZE) !=
            MEMTX_OK) {
            /* No memory there: what a bus without a responder returns. */
            memset(vmcs->data, 0xff, VMX_VMCS_SIZE);
        }
    }
    return vmcs;
}

void vmx_vmcs_unmap(CPUX86State *env, VMXVmcs *vmcs)
{
    if (vmcs && vmcs->dirty_end > vmcs->dirty_first) {
        const uint64_t addr = vmcs->addr + vmcs->dirty_first;
        const unsigned size = vmcs->dirty_end - vmcs->dirty_first;
        void *host = vmx_region_host(env, addr, size, MMU_DATA_STORE);

        if (likely(host)) {
            memcpy(host, vmcs->data + vmcs->dirty_first, size);
        } else {
            MemTxAttrs attrs;
            AddressSpace *as = vmx_address_space(env, &attrs);

            address_space_write(as, addr, attrs,
                                vmcs->data + vmcs->dirty_first, size);
        }
    }
    if (spare) {
        g_free(vmcs);
    } else {
        spare = vmcs;
    }
}

bool vmcs_launched(const VMXVmcs *vmcs)
{
    return ldl_le_p(vmcs->data + VMCS_OFFSET_LAUNCHED) != 0;
}

void vmcs_set_launched(VMXVmcs *vmcs, bool launched)
{
    stl_le_p(vmcs->data + VMCS_OFFSET_LAUNCHED, launched);
    vmcs_mark_dirty(vmcs, VMCS_OFFSET_LAUNCHED, 4);
}

void vmcs_set_abort(VMXVmcs *vmcs, uint32_t indicator)
{
    stl_le_p(vmcs->data + VMCS_OFFSET_ABORT, indicator);
    vmcs_mark_dirty(vmcs, VMCS_OFFSET_ABORT, 4);
}

bool vmx_pointer_valid(CPUX86State *env, uint64_t addr)
{
    return !(addr & 0xfff) && !(addr >> env_archcpu(env)->phys_bits);
}

uint32_t vmx_region_revision(CPUX86State *env, uint64_t addr)
{
    return x86_ldl_phys(env_cpu(env), addr + VMCS_OFFSET_REVISION);
}
