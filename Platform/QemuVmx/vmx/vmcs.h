/*
 * VMX: VMCS regions in guest memory
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMCS_H
#define I386_TCG_VMCS_H

#include "vmcs-layout.h"

/* Working copy of a VMCS region. */
typedef struct VMXVmcs {
    uint64_t addr;
    unsigned dirty_first;
    unsigned dirty_end;
    uint8_t data[VMX_VMCS_SIZE];
} VMXVmcs;

/*
 * Copy the region at physical address @addr, with the memory attributes of
 * this moment (HF_SMM_MASK).  No call that may longjmp is allowed between map
 * and unmap; unmap writes back what has changed.
 */
VMXVmcs *vmx_vmcs_map(CPUX86State *env, uint64_t addr);
void vmx_vmcs_unmap(CPUX86State *env, VMXVmcs *vmcs);

static inline uint64_t vmcs_read(const VMXVmcs *vmcs, unsigned field)
{
    const uint8_t *slot = vmcs->data + vmcs_field_offset(field);

    return vmcs_slot_size(field) == 8 ? ldq_le_p(slot)
                                      : (uint32_t)ldl_le_p(slot);
}

/* Bits of a field that VMWRITE can change. */
static inline uint64_t vmcs_field_mask(unsigned enc)
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

static inline void vmcs_mark_dirty(VMXVmcs *vmcs, unsigned offset,
                                   unsigned size)
{
    vmcs->dirty_first = MIN(vmcs->dirty_first, offset);
    vmcs->dirty_end = MAX(vmcs->dirty_end, offset + size);
}

static inline void vmcs_write(VMXVmcs *vmcs, unsigned field, uint64_t value)
{
    unsigned offset = vmcs_field_offset(field);
    unsigned size = vmcs_slot_size(field);

    value &= vmcs_field_mask(field);
    if (size == 8) {
        stq_le_p(vmcs->data + offset, value);
    } else {
        stl_le_p(vmcs->data + offset, value);
    }
    vmcs_mark_dirty(vmcs, offset, size);
}

bool vmcs_launched(const VMXVmcs *vmcs);
void vmcs_set_launched(VMXVmcs *vmcs, bool launched);
void vmcs_set_abort(VMXVmcs *vmcs, uint32_t indicator);

/*
 * vmcs-fields.c: which fields exist, and what they are called.  The name of a
 * field that does not exist is made of its encoding.
 */
#define VMX_NAME_SIZE          48

bool vmcs_field_exists(uint64_t enc);
void vmcs_field_name(unsigned enc, char name[VMX_NAME_SIZE]);
/* All fields, each once: of 64-bit ones the full access type. */
void vmcs_for_each_field(void (*visit)(unsigned enc, void *opaque),
                         void *opaque);

/* A field in memory, by its address; it lies in one page. */
uint64_t vmx_region_ldq(CPUX86State *env, uint64_t addr);
void vmx_region_stl(CPUX86State *env, uint64_t addr, uint32_t value);
void vmx_region_stq(CPUX86State *env, uint64_t addr, uint64_t value);

/* 4-KByte aligned and within the physical-address width. */
bool vmx_pointer_valid(CPUX86State *env, uint64_t addr);
/* Revision identifier of the region at @addr, including bit 31. */
uint32_t vmx_region_revision(CPUX86State *env, uint64_t addr);

#endif
