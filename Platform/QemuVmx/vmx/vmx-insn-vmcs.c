/*
 * VMX: VMCLEAR, VMPTRLD, VMPTRST, VMREAD and VMWRITE
 *
 * Intel SDM volume 3, "VMX Instruction Reference".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "vmx-parts.h"

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
    { VMCS_LINK_POINTER, VMCS_GUEST_PDPTE3 },
    { VMCS_HOST_IA32_PAT, VMCS_HOST_IA32_PERF_GLOBAL_CTRL },
    { VMCS_PIN_CONTROLS, VMCS_PLE_WINDOW },
    { VMCS_INSTRUCTION_ERROR, VMCS_EXIT_INSTRUCTION_INFO },
    { VMCS_GUEST_ES_LIMIT, VMCS_GUEST_IA32_SYSENTER_CS },
    { VMCS_PREEMPTION_TIMER_VALUE, VMCS_PREEMPTION_TIMER_VALUE },
    { VMCS_HOST_IA32_SYSENTER_CS, VMCS_HOST_IA32_SYSENTER_CS },
    { VMCS_CR0_GUEST_HOST_MASK, VMCS_CR3_TARGET0 + 6 },
    { VMCS_EXIT_QUALIFICATION, VMCS_GUEST_LINEAR_ADDRESS },
    { VMCS_GUEST_CR0, VMCS_GUEST_IA32_SYSENTER_EIP },
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

/* ------------------------------------------------------------------ */
/* VMCLEAR, VMPTRLD, VMPTRST                                           */

void helper_vmx_vmclear(CPUX86State *env, target_ulong operand)
{
    uint64_t addr;

    vmx_insn_enter(env, VMX_REASON_VMCLEAR, GETPC());
    addr = cpu_ldq_data_ra(env, operand, GETPC());

    if (!vmx_pointer_valid(env, addr)) {
        vmx_vmfail(env, VMX_ERROR_VMCLEAR_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_vmfail(env, VMX_ERROR_VMCLEAR_VMXON_POINTER);
    } else {
        x86_stl_phys(env_cpu(env), addr + VMCS_OFFSET_LAUNCHED, 0);
        if (addr == env->vmx.current_vmcs) {
            env->vmx.current_vmcs = VMCS_POINTER_NONE;
        }
        vmx_vmsucceed(env);
    }
}

void helper_vmx_vmptrld(CPUX86State *env, target_ulong operand)
{
    uint64_t addr;

    vmx_insn_enter(env, VMX_REASON_VMPTRLD, GETPC());
    addr = cpu_ldq_data_ra(env, operand, GETPC());

    if (!vmx_pointer_valid(env, addr)) {
        vmx_vmfail(env, VMX_ERROR_VMPTRLD_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_vmfail(env, VMX_ERROR_VMPTRLD_VMXON_POINTER);
    } else if (vmx_region_revision(env, addr) != VMX_VMCS_REVISION) {
        /* Shadow VMCSs (bit 31) are not offered and fail alike. */
        vmx_vmfail(env, VMX_ERROR_VMPTRLD_REVISION);
    } else {
        env->vmx.current_vmcs = addr;
        vmx_vmsucceed(env);
    }
}

void helper_vmx_vmptrst(CPUX86State *env, target_ulong operand)
{
    vmx_insn_enter(env, VMX_REASON_VMPTRST, GETPC());
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
    if (env->vmx.current_vmcs == VMCS_POINTER_NONE) {
        vmx_vmfail_invalid(env);
        return false;
    }
    if (!vmcs_field_exists(enc)) {
        vmx_vmfail(env, VMX_ERROR_UNSUPPORTED_COMPONENT);
        return false;
    }
    return true;
}

void helper_vmx_vmread(CPUX86State *env, target_ulong enc, target_ulong addr,
                       uint32_t desc)
{
    const bool code64 = env->hflags & HF_CS64_MASK;
    uint64_t value;

    vmx_insn_enter(env, VMX_REASON_VMREAD, GETPC());
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

    vmx_insn_enter(env, VMX_REASON_VMWRITE, GETPC());
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
        vmx_vmfail(env, VMX_ERROR_READ_ONLY_COMPONENT);
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
