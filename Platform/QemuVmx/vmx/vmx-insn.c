/*
 * VMX: VMXON, VMXOFF, VMCALL, INVEPT, INVVPID, and checks common to all
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
#include "exec/cputlb.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

/*
 * End of an instruction that finished in its own context: the block was ended
 * without gen_eob(), because it might have switched to another one.
 */
static void vmx_end_instruction(CPUX86State *env, uint32_t length)
{
    env->eip += length;
    if (!(env->hflags & HF_CS64_MASK)) {
        env->eip = (uint32_t)env->eip;
    }
    do_end_instruction(env);
    env->eflags &= ~RF_MASK;
    helper_rechecking_single_step(env);
}

void helper_vmx_vmxon(CPUX86State *env, target_ulong operand)
{
    uintptr_t ra = GETPC();
    uint64_t addr;

    if (!(env->cr[4] & CR4_VMXE_MASK) || !vmx_legal_mode(env)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    if (vmx_in_guest(env)) {
        vmx_vmexit(env, VMX_REASON_VMXON, env->vmx.displacement, ra);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (vmx_in_root(env)) {
        vmx_vmfail(env, VMX_ERROR_VMXON_IN_ROOT);
        return;
    }
    if (!vmx_cr0_valid(env, env->cr[0], false) ||
        !vmx_cr4_valid(env, env->cr[4]) ||
        !(env->msr_ia32_feature_control & FEATURE_CONTROL_LOCKED) ||
        !(env->msr_ia32_feature_control &
          FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX) ||
        env->a20_mask != ~0) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }

    addr = cpu_ldq_data_ra(env, operand, ra);
    /* Bit 31 of the dword has to be 0, as it is in our identifier. */
    if (!vmx_pointer_valid(env, addr) ||
        vmx_region_revision(env, addr) != VMX_VMCS_REVISION) {
        vmx_vmfail_invalid(env);
        return;
    }

    {
        int from = vmx_trace_mode(env);

        env->vmx.vmxon_ptr = addr;
        env->vmx.current_vmcs = VMCS_POINTER_NONE;
        env->vmx.mode = VMX_MODE_ROOT;
        memset(&env->vmx.ctl, 0, sizeof(env->vmx.ctl));
        vmx_refresh_pdptes(env);
        vmx_vmsucceed(env);
        vmx_trace_transition(env, "vmxon", from, 0, 0, env->eip);
    }
}

void helper_vmx_vmxoff(CPUX86State *env)
{
    int from;

    vmx_insn_enter(env, VMX_REASON_VMXOFF, GETPC());

    if (env->vmx.smm.active) {
        vmx_vmfail(env, VMX_ERROR_VMXOFF_DUAL_MONITOR);
        return;
    }
    from = vmx_trace_mode(env);
    env->vmx.mode = VMX_MODE_NONE;
    env->vmx.init_exit = false;
    vmx_drop_sipi(env);
    env->vmx.vmxon_ptr = VMCS_POINTER_NONE;
    env->vmx.current_vmcs = VMCS_POINTER_NONE;
    /* Unless the firmware wants SMIs to stay blocked (DM-DEF-35). */
    if (!(env->vmx.smm_monitor_ctl & SMM_MONITOR_CTL_BLOCK_UNBLOCK)) {
        env->hflags2 &= ~HF2_SMI_BLOCKED_MASK;
    }
    tlb_flush(env_cpu(env));
    vmx_vmsucceed(env);
    vmx_trace_transition(env, "vmxoff", from, 0, 0, env->eip);
}

void helper_vmx_vmcall(CPUX86State *env, uint32_t length)
{
    if (!vmx_in_operation(env)) {
        raise_exception_ra(env, EXCP06_ILLOP, GETPC());
    }
    if (vmx_in_guest(env)) {
        /* From any mode and CPL: it is the guest's call (DM-ACT-02). */
        vmx_vmexit(env, VMX_REASON_VMCALL, 0, GETPC());
    }
    if (!vmx_legal_mode(env)) {
        raise_exception_ra(env, EXCP06_ILLOP, GETPC());
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
    if (!vmx_vmcall_root(env, length)) {
        vmx_end_instruction(env, length);
    }
}

void helper_vmx_enter(CPUX86State *env, uint32_t launch, uint32_t length)
{
    vmx_insn_enter(env, launch ? VMX_REASON_VMLAUNCH : VMX_REASON_VMRESUME,
                   GETPC());
    if (!vmx_vm_entry(env, launch)) {
        vmx_end_instruction(env, length);
    }
}

/* ------------------------------------------------------------------ */
/* Invalidation.  All of it flushes everything, which is permitted.    */

/* Register operands have 32 bits outside 64-bit mode. */
static target_ulong vmx_operand(CPUX86State *env, target_ulong value)
{
    return env->hflags & HF_CS64_MASK ? value : (uint32_t)value;
}

void helper_vmx_invept(CPUX86State *env, target_ulong operand,
                       target_ulong type)
{
    uintptr_t ra = GETPC();
    uint64_t eptp, reserved;
    bool valid;

    if (!(env->features[FEAT_VMX_EPT_VPID_CAPS] & MSR_VMX_EPT_INVEPT)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    vmx_insn_enter(env, VMX_REASON_INVEPT, ra);
    type = vmx_operand(env, type);
    eptp = cpu_ldq_data_ra(env, operand, ra);
    reserved = cpu_ldq_data_ra(env, operand + 8, ra);

    switch (type) {
    case 1:
        valid = !reserved && vmx_eptp_valid(env, eptp);
        break;
    case 2:
        valid = true;
        break;
    default:
        valid = false;
        break;
    }
    if (!valid) {
        vmx_vmfail(env, VMX_ERROR_INVALIDATION_OPERAND);
        return;
    }
    tlb_flush(env_cpu(env));
    vmx_vmsucceed(env);
}

void helper_vmx_invvpid(CPUX86State *env, target_ulong operand,
                        target_ulong type)
{
    uintptr_t ra = GETPC();
    uint64_t vpid, addr;
    bool valid;

    if (!(env->features[FEAT_VMX_EPT_VPID_CAPS] & MSR_VMX_EPT_INVVPID)) {
        raise_exception_ra(env, EXCP06_ILLOP, ra);
    }
    vmx_insn_enter(env, VMX_REASON_INVVPID, ra);
    type = vmx_operand(env, type);
    vpid = cpu_ldq_data_ra(env, operand, ra);
    addr = cpu_ldq_data_ra(env, operand + 8, ra);

    switch (type) {
    case 0:
        valid = !(vpid >> 16) && vpid && vmx_canonical(addr);
        break;
    case 1:
    case 3:
        valid = !(vpid >> 16) && vpid;
        break;
    case 2:
        valid = !(vpid >> 16);
        break;
    default:
        valid = false;
        break;
    }
    if (!valid) {
        vmx_vmfail(env, VMX_ERROR_INVALIDATION_OPERAND);
        return;
    }
    tlb_flush(env_cpu(env));
    vmx_vmsucceed(env);
}
