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

#define POINTER_DEMAND                                                   \
    "4-KByte aligned, within the physical-address width"

/* ------------------------------------------------------------------ */
/* VMCLEAR, VMPTRLD, VMPTRST                                           */

void helper_vmx_vmclear(CPUX86State *env, target_ulong operand)
{
    uint64_t addr;

    vmx_insn_enter(env, VMX_REASON_VMCLEAR, GETPC());
    addr = cpu_ldq_data_ra(env, operand, GETPC());

    if (!vmx_pointer_valid(env, addr)) {
        vmx_refuse_value(env, "VMX-INS-19", "OPERAND", addr, POINTER_DEMAND);
        vmx_vmfail(env, VMX_REASON_VMCLEAR, VMX_ERROR_VMCLEAR_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_refuse_value(env, "VMX-INS-20", "OPERAND", addr,
                         "not the VMXON pointer");
        vmx_vmfail(env, VMX_REASON_VMCLEAR, VMX_ERROR_VMCLEAR_VMXON_POINTER);
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
        vmx_refuse_value(env, "VMX-INS-23", "OPERAND", addr, POINTER_DEMAND);
        vmx_vmfail(env, VMX_REASON_VMPTRLD, VMX_ERROR_VMPTRLD_ADDRESS);
    } else if (addr == env->vmx.vmxon_ptr) {
        vmx_refuse_value(env, "VMX-INS-24", "OPERAND", addr,
                         "not the VMXON pointer");
        vmx_vmfail(env, VMX_REASON_VMPTRLD, VMX_ERROR_VMPTRLD_VMXON_POINTER);
    } else if (vmx_region_revision(env, addr) != VMX_VMCS_REVISION) {
        /* Shadow VMCSs (bit 31) are not offered and fail alike. */
        vmx_refuse_value(env, "VMX-INS-25", "REVISION_IDENTIFIER",
                         vmx_region_revision(env, addr),
                         "that of IA32_VMX_BASIC, no shadow VMCS");
        vmx_vmfail(env, VMX_REASON_VMPTRLD, VMX_ERROR_VMPTRLD_REVISION);
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

/* VMREAD or VMWRITE of what does not exist. */
static void fail_unsupported(CPUX86State *env, uint32_t instruction,
                             uint64_t enc)
{
    const bool read = instruction == VMX_REASON_VMREAD;

    if (read && enc > UINT32_MAX) {
        vmx_refuse_value(env, "VMX-INS-30", "FIELD_ENCODING", enc,
                         "bits 63:32 are 0");
    } else if (enc <= UINT16_MAX && (enc & VMCS_ENC_HIGH) &&
               VMCS_ENC_WIDTH(enc) != VMCS_WIDTH_64) {
        vmx_refuse_value(env, "VMX-INS-36", "FIELD_ENCODING", enc,
                         "the high access type of a 64-bit field only");
    } else {
        vmx_refuse_value(env, read ? "VMX-INS-29" : "VMX-INS-33",
                         "FIELD_ENCODING", enc,
                         "a field that this processor has");
    }
    vmx_vmfail(env, instruction, VMX_ERROR_UNSUPPORTED_COMPONENT);
}

/* Common checks; false after a VMfail. */
static bool vmx_rw_check(CPUX86State *env, uint32_t instruction, uint64_t enc)
{
    if (env->vmx.current_vmcs == VMCS_POINTER_NONE) {
        vmx_refuse_value(env, instruction == VMX_REASON_VMREAD ?
                         "VMX-INS-28" : "VMX-INS-32", "CURRENT_VMCS",
                         VMCS_POINTER_NONE, "a current VMCS");
        vmx_vmfail_invalid(env, instruction);
        return false;
    }
    if (!vmcs_field_exists(enc)) {
        fail_unsupported(env, instruction, enc);
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
    if (!vmx_rw_check(env, VMX_REASON_VMREAD, enc)) {
        return;
    }
    value = vmx_region_ldq(env, env->vmx.current_vmcs +
                           vmcs_field_offset(enc));
    if (enc & VMCS_ENC_HIGH) {
        value >>= 32;
    } else if (vmcs_slot_size(enc) == 4) {
        value = (uint32_t)value;
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
    if (!vmx_rw_check(env, VMX_REASON_VMWRITE, enc)) {
        return;
    }
    if (VMCS_ENC_TYPE(enc) == VMCS_TYPE_READ_ONLY &&
        !(vmx_misc(env) & MSR_VMX_MISC_VMWRITE_VMEXIT)) {
        vmx_refuse_value(env, "VMX-INS-34", "FIELD_ENCODING", enc,
                         "no exit-information field without "
                         "IA32_VMX_MISC[29]");
        vmx_vmfail(env, VMX_REASON_VMWRITE, VMX_ERROR_READ_ONLY_COMPONENT);
        return;
    }
    field = env->vmx.current_vmcs + vmcs_field_offset(enc);
    if (enc & VMCS_ENC_HIGH) {
        vmx_region_stl(env, field + 4, value);
    } else if (vmcs_slot_size(enc) == 4) {
        vmx_region_stl(env, field, value & vmcs_field_mask(enc));
    } else {
        /* A 32-bit VMWRITE of a 64-bit field clears its high half. */
        vmx_region_stq(env, field, value & vmcs_field_mask(enc));
    }
    vmx_vmsucceed(env);
}
