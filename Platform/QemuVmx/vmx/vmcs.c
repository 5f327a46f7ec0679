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
#include "vmcs.h"

QEMU_BUILD_BUG_ON(VMCS_OFFSET_FIELDS + 16 * VMCS_GROUP_SLOTS * 8 >
                  VMX_VMCS_SIZE);

/* Bits of a field that VMWRITE can change. */
uint64_t vmcs_field_mask(unsigned enc)
{
    switch (VMCS_ENC_WIDTH(enc)) {
    case VMCS_WIDTH_16:
        return UINT16_MAX;
    case VMCS_WIDTH_32:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

static AddressSpace *vmx_address_space(CPUX86State *env, MemTxAttrs *attrs)
{
    *attrs = cpu_get_mem_attrs(env);
    return cpu_addressspace(env_cpu(env), *attrs);
}

VMXVmcs *vmx_vmcs_map(CPUX86State *env, uint64_t addr)
{
    VMXVmcs *vmcs = g_new(VMXVmcs, 1);
    MemTxAttrs attrs;
    AddressSpace *as = vmx_address_space(env, &attrs);

    vmcs->addr = addr;
    vmcs->dirty_first = VMX_VMCS_SIZE;
    vmcs->dirty_end = 0;
    if (address_space_read(as, addr, attrs, vmcs->data, VMX_VMCS_SIZE) !=
        MEMTX_OK) {
        /* No memory there: what a bus without a responder returns. */
        memset(vmcs->data, 0xff, VMX_VMCS_SIZE);
    }
    return vmcs;
}

void vmx_vmcs_unmap(CPUX86State *env, VMXVmcs *vmcs)
{
    if (vmcs && vmcs->dirty_end > vmcs->dirty_first) {
        MemTxAttrs attrs;
        AddressSpace *as = vmx_address_space(env, &attrs);

        address_space_write(as, vmcs->addr + vmcs->dirty_first, attrs,
                            vmcs->data + vmcs->dirty_first,
                            vmcs->dirty_end - vmcs->dirty_first);
    }
    g_free(vmcs);
}

static void vmcs_mark_dirty(VMXVmcs *vmcs, unsigned offset, unsigned size)
{
    vmcs->dirty_first = MIN(vmcs->dirty_first, offset);
    vmcs->dirty_end = MAX(vmcs->dirty_end, offset + size);
}

void vmcs_write(VMXVmcs *vmcs, unsigned field, uint64_t value)
{
    unsigned offset = vmcs_field_offset(field);

    stq_le_p(vmcs->data + offset, value & vmcs_field_mask(field));
    vmcs_mark_dirty(vmcs, offset, 8);
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
