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

/* What #GP(0) depends on. */
static bool vmxon_allowed(CPUX86State *env)
{
    const uint64_t control = env->msr_ia32_feature_control;

    if (!vmx_cr0_valid(env, env->cr[0], false)) {
        return vmx_refuse_value(env, "VMX-INS-09", "CR0", env->cr[0],
                                "the fixed bits of IA32_VMX_CR0_FIXED0 and "
                                "FIXED1");
    }
    if (!vmx_cr4_valid(env, env->cr[4])) {
        return vmx_refuse_value(env, "VMX-INS-09", "CR4", env->cr[4],
                                "the fixed bits of IA32_VMX_CR4_FIXED0 and "
                                "FIXED1");
    }
    if (!(control & FEATURE_CONTROL_LOCKED) ||
        !(control & FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX)) {
        return vmx_refuse_value(env, "VMX-INS-02", "IA32_FEATURE_CONTROL",
                                control, "lock bit (0) and VMXON outside SMX "
                                "operation (2) are 1");
    }
    if (env->a20_mask != ~0) {
        return vmx_refuse_value(env, "DM-INT-05", "A20M", 1,
                                "not in A20M mode");
    }
    return true;
}

static bool vmxon_region_valid(CPUX86State *env, uint64_t addr)
{
    if (!vmx_pointer_valid(env, addr)) {
        return vmx_refuse_value(env, "VMX-INS-04", "OPERAND", addr,
                                "4-KByte aligned, within the "
                                "physical-address width");
    }
    /* Bit 31 of the dword has to be 0, as it is in our identifier. */
    if (vmx_region_revision(env, addr) != VMX_VMCS_REVISION) {
        return vmx_refuse_value(env, "VMX-INS-05", "REVISION_IDENTIFIER",
                                vmx_region_revision(env, addr),
                                "that of IA32_VMX_BASIC, bit 31 is 0");
    }
    return true;
}

void helper_vmx_vmxon(CPUX86State *env, target_ulong operand)
{
    uintptr_t ra = GETPC();
    uint64_t addr;

    if (!(env->cr[4] & CR4_VMXE_MASK)) {
        vmx_refuse_value(env, "VMX-INS-01", "CR4", env->cr[4], "VMXE = 1");
        vmx_raise_ud(env, VMX_REASON_VMXON, ra);
    }
    vmx_require_mode(env, VMX_REASON_VMXON, ra);
    if (vmx_in_guest(env)) {
        vmx_vmexit(env, VMX_REASON_VMXON, env->vmx.displacement, ra);
    }
    vmx_require_cpl0(env, "VMX-INS-03", VMX_REASON_VMXON, ra);
    if (vmx_in_root(env)) {
        vmx_refuse_value(env, "VMX-INS-07", "VMX_OPERATION", 1,
                         "outside VMX operation");
        vmx_vmfail(env, VMX_REASON_VMXON, VMX_ERROR_VMXON_IN_ROOT);
        return;
    }
    if (!vmxon_allowed(env)) {
        vmx_raise_gp(env, VMX_REASON_VMXON, ra);
    }

    addr = cpu_ldq_data_ra(env, operand, ra);
    if (!vmxon_region_valid(env, addr)) {
        vmx_vmfail_invalid(env, VMX_REASON_VMXON);
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
        vmx_refuse_value(env, "DM-DEA-19", "DUAL_MONITOR_TREATMENT", 1,
                         "not active");
        vmx_vmfail(env, VMX_REASON_VMXOFF, VMX_ERROR_VMXOFF_DUAL_MONITOR);
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
    x86_cpu_init_unblocked(env_cpu(env));
    tlb_flush(env_cpu(env));
    vmx_vmsucceed(env);
    vmx_trace_transition(env, "vmxoff", from, 0, 0, env->eip);
}

void helper_vmx_vmcall(CPUX86State *env, uint32_t length)
{
    if (!vmx_in_operation(env)) {
        vmx_refuse_value(env, "DM-ACT-01", "VMX_OPERATION", 0,
                         "VMX operation");
        vmx_raise_ud(env, VMX_REASON_VMCALL, GETPC());
    }
    if (vmx_in_guest(env)) {
        /* From any mode and CPL: it is the guest's call (DM-ACT-02). */
        vmx_vmexit(env, VMX_REASON_VMCALL, 0, GETPC());
    }
    vmx_require_mode(env, VMX_REASON_VMCALL, GETPC());
    vmx_require_cpl0(env, "DM-ACT-04", VMX_REASON_VMCALL, GETPC());
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
/* Invalidation.  More than is asked for may go.                       */

/* Register operands have 32 bits outside 64-bit mode. */
static target_ulong vmx_operand(CPUX86State *env, target_ulong value)
{
    return env->hflags & HF_CS64_MASK ? value : (uint32_t)value;
}

/* #UD without the capability, before all other checks. */
static void require_capability(CPUX86State *env, uint64_t capability,
                               const char *rule, uint32_t instruction,
                               uintptr_t retaddr)
{
    const uint64_t offered = env->features[FEAT_VMX_EPT_VPID_CAPS];

    if (!(offered & capability)) {
        vmx_refuse_value(env, rule, "IA32_VMX_EPT_VPID_CAP", offered,
                         "the instruction (bit 20 INVEPT, 32 INVVPID)");
        vmx_raise_ud(env, instruction, retaddr);
    }
}

static bool invept_valid(CPUX86State *env, uint64_t type, uint64_t eptp,
                         uint64_t reserved)
{
    if (type != 1 && type != 2) {
        return vmx_refuse_value(env, "VMX-INS-43", "TYPE", type, "1 or 2");
    }
    if (type == 1 && !vmx_eptp_valid(env, eptp)) {
        return vmx_refuse_value(env, "VMX-INS-44", "EPTP", eptp,
                                "an EPTP that VM entry would accept");
    }
    if (type == 1 && reserved) {
        return vmx_refuse_value(env, "VMX-INS-44", "DESCRIPTOR", reserved,
                                "bits 127:64 are 0");
    }
    return true;
}

void helper_vmx_invept(CPUX86State *env, target_ulong operand,
                       target_ulong type)
{
    uintptr_t ra = GETPC();
    uint64_t eptp, reserved;

    require_capability(env, MSR_VMX_EPT_INVEPT, "VMX-INS-45",
                       VMX_REASON_INVEPT, ra);
    vmx_insn_enter(env, VMX_REASON_INVEPT, ra);
    eptp = cpu_ldq_data_ra(env, operand, ra);
    reserved = cpu_ldq_data_ra(env, operand + 8, ra);
    if (!invept_valid(env, vmx_operand(env, type), eptp, reserved)) {
        vmx_vmfail(env, VMX_REASON_INVEPT, VMX_ERROR_INVALIDATION_OPERAND);
        return;
    }
    vmx_tlb_flush_ept(env);
    vmx_vmsucceed(env);
}

/* Type of INVVPID; the others name a VPID. */
#define INVVPID_ALL     2

static bool invvpid_valid(CPUX86State *env, uint64_t type, uint64_t vpid,
                          uint64_t addr)
{
    if (type > 3) {
        return vmx_refuse_value(env, "VMX-INS-46", "TYPE", type, "0 to 3");
    }
    if (vpid >> 16) {
        return vmx_refuse_value(env, "VMX-INS-47", "DESCRIPTOR", vpid,
                                "bits 63:16 are 0");
    }
    if (type != 2 && !vpid) {
        return vmx_refuse_value(env, "VMX-INS-48", "VPID", vpid, "not 0");
    }
    if (type == 0 && !vmx_canonical(addr)) {
        return vmx_refuse_value(env, "VMX-INS-49", "LINEAR_ADDRESS", addr,
                                "canonical");
    }
    return true;
}

void helper_vmx_invvpid(CPUX86State *env, target_ulong operand,
                        target_ulong type)
{
    uintptr_t ra = GETPC();
    uint64_t vpid, addr;

    require_capability(env, MSR_VMX_EPT_INVVPID, "VMX-INS-50",
                       VMX_REASON_INVVPID, ra);
    vmx_insn_enter(env, VMX_REASON_INVVPID, ra);
    vpid = cpu_ldq_data_ra(env, operand, ra);
    addr = cpu_ldq_data_ra(env, operand + 8, ra);
    if (!invvpid_valid(env, vmx_operand(env, type), vpid, addr)) {
        vmx_vmfail(env, VMX_REASON_INVVPID, VMX_ERROR_INVALIDATION_OPERAND);
        return;
    }
    if (vmx_operand(env, type) == INVVPID_ALL) {
        vmx_tlb_flush_vpids(env);
    } else {
        vmx_tlb_flush_vpid(env, vpid);
    }
    vmx_vmsucceed(env);
}
