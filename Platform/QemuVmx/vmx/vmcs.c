/*
 * VMX: VMCS regions in guest memory and the instructions on them
 *
 * Intel SDM volume 3, "Virtual-Machine Control Structures" and "VMX
 * Instruction Reference".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "trace/trace-target_i386.h"
#include "vmx.h"
#include "vmx-internal.h"

QEMU_BUILD_BUG_ON(VMCS_OFFSET_FIELDS + 16 * VMCS_GROUP_SLOTS * 8 >
                  VMX_VMCS_SIZE);

/* Ranges of consecutive field encodings (step 2) that exist. */
static const struct {
    uint16_t first;
    uint16_t last;
} vmcs_fields[] = {
    { VMCS_VPID, VMCS_VPID },
    { VMCS_GUEST_ES_SELECTOR, VMCS_GUEST_TR_SELECTOR },
    { VMCS_HOST_ES_SELECTOR, VMCS_HOST_TR_SELECTOR },
    { VMCS_IO_BITMAP_A, VMCS_EXECUTIVE_VMCS_POINTER },
    { VMCS_TSC_OFFSET, VMCS_APIC_ACCESS_ADDRESS },
    { VMCS_VM_FUNCTION_CONTROLS, VMCS_EPT_POINTER },
    { VMCS_EPTP_LIST_ADDRESS, VMCS_EPTP_LIST_ADDRESS },
    { VMCS_XSS_EXITING_BITMAP, VMCS_XSS_EXITING_BITMAP },
    { VMCS_GUEST_PHYSICAL_ADDRESS, VMCS_GUEST_PHYSICAL_ADDRESS },
    { VMCS_VMCS_LINK_POINTER, VMCS_GUEST_EFER },
    { VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3 },
    { VMCS_HOST_PAT, VMCS_HOST_EFER },
    { VMCS_PIN_CONTROLS, VMCS_PLE_WINDOW },
    { VMCS_INSTRUCTION_ERROR, VMCS_EXIT_INSTRUCTION_INFO },
    { VMCS_GUEST_ES_LIMIT, VMCS_GUEST_SYSENTER_CS },
    { VMCS_PREEMPTION_TIMER_VALUE, VMCS_PREEMPTION_TIMER_VALUE },
    { VMCS_HOST_SYSENTER_CS, VMCS_HOST_SYSENTER_CS },
    { VMCS_CR0_MASK, VMCS_CR3_TARGET0 + 6 },
    { VMCS_EXIT_QUALIFICATION, VMCS_GUEST_LINEAR_ADDRESS },
    { VMCS_GUEST_CR0, VMCS_GUEST_SYSENTER_EIP },
    { VMCS_HOST_CR0, VMCS_HOST_RIP },
};

/* The high half (bit 0 set) exists for 64-bit fields only. */
static bool vmcs_field_exists(uint64_t enc)
{
    int i;

    if (enc > UINT16_MAX ||
        ((enc & VMCS_ENC_HIGH) && VMCS_ENC_WIDTH(enc) != VMCS_WIDTH_64)) {
        return false;
    }
    enc &= ~(uint64_t)VMCS_ENC_HIGH;
    for (i = 0; i < ARRAY_SIZE(vmcs_fields); i++) {
        if (enc >= vmcs_fields[i].first && enc <= vmcs_fields[i].last) {
            return true;
        }
    }
    return false;
}

/* Bits of a field that VMWRITE can change. */
static uint64_t vmcs_field_mask(unsigned enc)
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

/* ------------------------------------------------------------------ */
/* Results of VMX instructions                                         */

static void vmx_set_flags(CPUX86State *env, uint32_t flags)
{
    CC_SRC = flags;
    CC_DST = 0;
    CC_OP = CC_OP_EFLAGS;
}

void vmx_vmsucceed(CPUX86State *env)
{
    vmx_set_flags(env, 0);
}

void vmx_vmfail_invalid(CPUX86State *env)
{
    trace_vmx_vmfail(env_cpu(env)->cpu_index, vmx_trace_time(env), env->eip,
                     0);
    vmx_set_flags(env, CC_C);
}

void vmx_vmfail(CPUX86State *env, uint32_t error)
{
    if (env->vmx.current_vmcs == VMX_NO_POINTER) {
        vmx_vmfail_invalid(env);
        return;
    }
    trace_vmx_vmfail(env_cpu(env)->cpu_index, vmx_trace_time(env), env->eip,
                     error);
    x86_stq_phys(env_cpu(env), env->vmx.current_vmcs +
                 vmcs_field_offset(VMCS_INSTRUCTION_ERROR), error);
    vmx_set_flags(env, CC_Z);
}

/* ------------------------------------------------------------------ */
/* VMCLEAR, VMPTRLD, VMPTRST                                           */

void helper_vmx_vmclear(CPUX86State *env, target_ulong operand)
{
    uint64_t addr;

    vmx_insn_enter(env, VMX_EXIT_VMCLEAR, GETPC());
    addr = cpu_ldq_data_ra(env, operand, GETPC());

    if (!vmx_pointer_valid(env, addr)) {
        vmx_vmfail(env, VMX_ERR_VMCLEAR_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_vmfail(env, VMX_ERR_VMCLEAR_VMXON);
    } else {
        x86_stl_phys(env_cpu(env), addr + VMCS_OFFSET_LAUNCHED, 0);
        if (addr == env->vmx.current_vmcs) {
            env->vmx.current_vmcs = VMX_NO_POINTER;
        }
        vmx_vmsucceed(env);
    }
}

void helper_vmx_vmptrld(CPUX86State *env, target_ulong operand)
{
    uint64_t addr;

    vmx_insn_enter(env, VMX_EXIT_VMPTRLD, GETPC());
    addr = cpu_ldq_data_ra(env, operand, GETPC());

    if (!vmx_pointer_valid(env, addr)) {
        vmx_vmfail(env, VMX_ERR_VMPTRLD_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_vmfail(env, VMX_ERR_VMPTRLD_VMXON);
    } else if (vmx_region_revision(env, addr) != VMX_VMCS_REVISION) {
        /* Shadow VMCSs (bit 31) are not offered and fail alike. */
        vmx_vmfail(env, VMX_ERR_VMPTRLD_REVISION);
    } else {
        env->vmx.current_vmcs = addr;
        vmx_vmsucceed(env);
    }
}

void helper_vmx_vmptrst(CPUX86State *env, target_ulong operand)
{
    vmx_insn_enter(env, VMX_EXIT_VMPTRST, GETPC());
    cpu_stq_data_ra(env, operand, env->vmx.current_vmcs, GETPC());
    vmx_vmsucceed(env);
}

/* ------------------------------------------------------------------ */
/* VMREAD, VMWRITE                                                     */

#define RW_DESC_MEMORY      (1u << 8)
#define RW_DESC_REG(desc)   ((desc) & 0x1f)

/* Common checks; false after a VMfail. */
static bool vmx_rw_check(CPUX86State *env, uint64_t enc)
{
    if (env->vmx.current_vmcs == VMX_NO_POINTER) {
        vmx_vmfail_invalid(env);
        return false;
    }
    if (!vmcs_field_exists(enc)) {
        vmx_vmfail(env, VMX_ERR_UNSUPPORTED_FIELD);
        return false;
    }
    return true;
}

void helper_vmx_vmread(CPUX86State *env, target_ulong enc, target_ulong addr,
                       uint32_t desc)
{
    const bool code64 = env->hflags & HF_CS64_MASK;
    uint64_t value;

    vmx_insn_enter(env, VMX_EXIT_VMREAD, GETPC());
    if (!code64) {
        enc = (uint32_t)enc;
    }
    if (!vmx_rw_check(env, enc)) {
        return;
    }
    value = x86_ldq_phys(env_cpu(env), env->vmx.current_vmcs +
                         vmcs_field_offset(enc));
    if (enc & VMCS_ENC_HIGH) {
        value >>= 32;
    }
    if (!code64) {
        value = (uint32_t)value;
    }
    if (!(desc & RW_DESC_MEMORY)) {
        env->regs[RW_DESC_REG(desc)] = value;
    } else if (code64) {
        cpu_stq_data_ra(env, addr, value, GETPC());
    } else {
        cpu_stl_data_ra(env, addr, value, GETPC());
    }
    vmx_vmsucceed(env);
}

void helper_vmx_vmwrite(CPUX86State *env, target_ulong enc, target_ulong addr,
                        uint32_t desc)
{
    const bool code64 = env->hflags & HF_CS64_MASK;
    CPUState *cs = env_cpu(env);
    uint64_t value;
    hwaddr field;

    vmx_insn_enter(env, VMX_EXIT_VMWRITE, GETPC());
    if (!(desc & RW_DESC_MEMORY)) {
        value = env->regs[RW_DESC_REG(desc)];
    } else if (code64) {
        value = cpu_ldq_data_ra(env, addr, GETPC());
    } else {
        value = cpu_ldl_data_ra(env, addr, GETPC());
    }
    if (!code64) {
        value = (uint32_t)value;
        enc = (uint32_t)enc;
    }
    if (!vmx_rw_check(env, enc)) {
        return;
    }
    if (VMCS_ENC_TYPE(enc) == VMCS_TYPE_READ_ONLY &&
        !(vmx_misc(env) & MSR_VMX_MISC_VMWRITE_VMEXIT)) {
        vmx_vmfail(env, VMX_ERR_READ_ONLY_FIELD);
        return;
    }
    field = env->vmx.current_vmcs + vmcs_field_offset(enc);
    if (enc & VMCS_ENC_HIGH) {
        x86_stl_phys(cs, field + 4, value);
    } else {
        /* A 32-bit VMWRITE of a 64-bit field clears its high half. */
        x86_stq_phys(cs, field, value & vmcs_field_mask(enc));
    }
    vmx_vmsucceed(env);
}
