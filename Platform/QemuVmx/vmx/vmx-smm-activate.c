/*
 * VMX: VMCALL in VMX root operation, activation of the dual-monitor treatment
 *
 * Intel SDM volume 3, "Activating the Dual-Monitor Treatment" (34.15.6 in the
 * 2016 edition), and VMCALL in "VMX Instructions".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

/* First 32 bytes of MSEG: what the processor has to know of the STM. */
typedef struct MSEGHeader {
    uint32_t revision;
    uint32_t features;
    uint32_t gdtr_limit;
    uint32_t gdtr_base_offset;
    uint32_t cs_selector;
    uint32_t eip_offset;
    uint32_t esp_offset;
    uint32_t cr3_offset;
} MSEGHeader;

#define MSEG_FEATURE_IA32E      (1u << 0)

/* Access rights as the segment cache has them (descriptor bits 23:8). */
#define MSEG_CODE_FLAGS (DESC_G_MASK | DESC_P_MASK | DESC_S_MASK |      \
                         DESC_CS_MASK | DESC_R_MASK | DESC_A_MASK)
#define MSEG_DATA_FLAGS (DESC_G_MASK | DESC_B_MASK | DESC_P_MASK |      \
                         DESC_S_MASK | DESC_W_MASK | DESC_A_MASK)

static void mseg_read_header(CPUX86State *env, uint32_t base, MSEGHeader *h)
{
    CPUState *cs = env_cpu(env);

    h->revision = x86_ldl_phys(cs, base);
    h->features = x86_ldl_phys(cs, base + 4);
    h->gdtr_limit = x86_ldl_phys(cs, base + 8);
    h->gdtr_base_offset = x86_ldl_phys(cs, base + 12);
    h->cs_selector = x86_ldl_phys(cs, base + 16);
    h->eip_offset = x86_ldl_phys(cs, base + 20);
    h->esp_offset = x86_ldl_phys(cs, base + 24);
    h->cr3_offset = x86_ldl_phys(cs, base + 28);
}

/* A selector that would be null becomes 0008H (DM-ACT-46, DM-ACT-47). */
static uint16_t mseg_selector(uint16_t selector)
{
    return selector ? selector : 8;
}

/*
 * The STM's first state comes from the MSEG header and from constants of the
 * SDM ("Loading Host State" of activation), not from a host-state area: the
 * VMCS is the executive monitor's, whom the STM does not trust.  The rest the
 * STM has to load itself: IDT, TR, a stack for each processor.  All sums with
 * the MSEG base are 32-bit (DM-ACT-57).
 */
static void mseg_load_state(CPUX86State *env, uint32_t base,
                            const MSEGHeader *h)
{
    const bool ia32e = h->features & MSEG_FEATURE_IA32E;
    const uint16_t cs_sel = mseg_selector(h->cs_selector & 0xfff8);
    const uint16_t ds_sel = mseg_selector(cs_sel + 8);
    const bool has_pse = env->features[FEAT_1_EDX] & CPUID_PSE;
    uint64_t cr0, cr3, cr4, efer;
    int i;

    /*
     * Paging as the header says; what else the executive monitor has in CR4
     * stays (DM-ACT-43).  PCIDE is cleared, on which the SDM is silent, since
     * outside IA-32e mode it must not be set.
     */
    cr4 = env->cr[4] & ~(CR4_MCE_MASK | CR4_PGE_MASK | CR4_PAE_MASK |
                         CR4_PSE_MASK | CR4_PCIDE_MASK);
    if (ia32e) {
        cr4 |= CR4_PAE_MASK;
    } else if (has_pse) {
        cr4 |= CR4_PSE_MASK;
    }
    /* CR0, CR3 and IA32_EFER: DM-ACT-41, DM-ACT-42, DM-ACT-62. */
    cr0 = (env->cr[0] & (CR0_CD_MASK | CR0_NW_MASK)) |
          CR0_PG_MASK | CR0_NE_MASK | CR0_ET_MASK | CR0_MP_MASK | CR0_PE_MASK;
    cr3 = ((base + h->cr3_offset) & 0xfffff000u) | (h->cr3_offset & 0x18);
    efer = env->efer & ~(MSR_EFER_LME | MSR_EFER_LMA);
    if (ia32e) {
        efer |= MSR_EFER_LME | MSR_EFER_LMA;
    }
    vmx_load_control_registers(env, cr0, cr3, cr4, efer);

    cpu_x86_update_dr7(env, 0x400);
    env->vmx.debugctl = 0;

    cpu_load_eflags(env, 2, ~(uint32_t)0);
    env->eip = (uint32_t)(base + h->eip_offset);
    env->regs[R_ESP] = (uint32_t)(base + h->esp_offset);

    /*
     * Flat segments (DM-ACT-48 to DM-ACT-50); CS first, because how the others
     * are cached depends on its L bit.
     */
    cpu_x86_load_seg_cache(env, R_CS, cs_sel, 0, 0xffffffff,
                           MSEG_CODE_FLAGS |
                           (ia32e ? DESC_L_MASK : DESC_B_MASK));
    for (i = 0; i < 6; i++) {
        if (i != R_CS) {
            cpu_x86_load_seg_cache(env, i, ds_sel, 0, 0xffffffff,
                                   MSEG_DATA_FLAGS);
        }
    }

    /*
     * No LDT, and an IDT that is too short for any vector (DM-ACT-52 to
     * DM-ACT-55); TR keeps what the executive monitor had.
     */
    env->ldt.selector = 0;
    env->ldt.base = 0;
    env->ldt.limit = 0;
    env->ldt.flags = 0;
    env->gdt.base = (uint32_t)(base + h->gdtr_base_offset);
    env->gdt.limit = h->gdtr_limit & 0xffff;
    env->idt.limit = 0;

    /* No blocking by STI or MOV SS (DM-ACT-59), no monitoring (DM-ACT-68). */
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~HF2_MOV_SS_MASK;
    env->vmx.monitor_armed = false;
}

/* Both return 0, or the number of the VM-instruction error. */
static int vmx_activation_vmcs_check(CPUX86State *env, const VMXVmcs *vmcs)
{
    if (vmcs_launched(vmcs)) {
        /* It has been launched, hence has a guest (DM-ACT-12). */
        vmx_refuse_value(env, "DM-ACT-12", "LAUNCH_STATE", 1, "clear");
        return VMX_ERROR_VMCALL_NOT_CLEAR;
    }
    if (!vmx_exit_controls_allowed(env, vmcs_read(vmcs, VMCS_EXIT_CONTROLS))) {
        /* A setting that is not allowed (DM-ACT-13). */
        VMX_REFUSE(env, vmcs, "DM-ACT-13", EXIT_CONTROLS,
                   "what IA32_VMX_(TRUE_)EXIT_CTLS allows");
        return VMX_ERROR_VMCALL_EXIT_CONTROLS;
    }
    return 0;
}

static int mseg_check_header(CPUX86State *env, const MSEGHeader *h)
{
    const bool ia32e = h->features & MSEG_FEATURE_IA32E;

    if (h->revision != VMX_MSEG_REVISION) {
        /* No STM there, or one for another processor (DM-ACT-15). */
        vmx_refuse_value(env, "DM-ACT-15", "MSEG_REVISION", h->revision,
                         "the MSEG revision identifier of "
                         "IA32_VMX_MISC[63:32]");
        return VMX_ERROR_VMCALL_MSEG_REVISION;
    }
    if (h->features & ~MSEG_FEATURE_IA32E) {
        vmx_refuse_value(env, "DM-ACT-16", "MSEG_FEATURES", h->features,
                         "bits 31:1 are 0");
        return VMX_ERROR_VMCALL_MSEG_FEATURES;
    }
    if (ia32e && !(env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM)) {
        /* A 64-bit STM on a 32-bit processor (DM-ACT-17). */
        vmx_refuse_value(env, "DM-ACT-17", "MSEG_FEATURES", h->features,
                         "IA-32e mode SMM feature bit 0 without Intel 64");
        return VMX_ERROR_VMCALL_MSEG_FEATURES;
    }
    if (!ia32e && (env->hflags & HF_CS64_MASK)) {
        /* A 32-bit STM under a 64-bit monitor (DM-ACT-18). */
        vmx_refuse_value(env, "DM-ACT-18", "MSEG_FEATURES", h->features,
                         "IA-32e mode SMM feature bit 1 for a VMCALL in "
                         "64-bit mode");
        return VMX_ERROR_VMCALL_MSEG_FEATURES;
    }
    return 0;
}

/*
 * Check the current VMCS and the MSEG header, make the VMCS the SMM-transfer
 * VMCS, save the executive monitor's state there as an SMM VM exit does, start
 * the STM.  Returns 0, or the number of the VM-instruction error; a failure
 * changes nothing (DM-ACT-22).
 */
static int vmx_activate(CPUX86State *env, uint32_t length)
{
    X86VMXSmmState *smm = &env->vmx.smm;
    const uint64_t current = env->vmx.current_vmcs;
    const uint32_t base = env->vmx.smm_monitor_ctl & SMM_MONITOR_CTL_BASE;
    const bool outside_smm = !(env->hflags & HF_SMM_MASK);
    const int from = vmx_trace_mode(env);
    const uint64_t rip = env->eip;
    const uint32_t reason = VMX_REASON_VMCALL | VMX_REASON_FROM_ROOT;
    MSEGHeader header;
    VMXVmcs *vmcs;
    int error;

    vmx_tlb_leave(env);
    vmcs = vmx_vmcs_map(env, current);
    error = vmx_activation_vmcs_check(env, vmcs);
    if (error) {
        vmx_vmcs_unmap(env, vmcs);
        return error;
    }

    /*
     * The header is read in SMM, since MSEG is normally closed to software
     * outside it (DM-ENA-38); a failure leaves SMM again (DM-ACT-21).  No
     * instruction runs and no TLB entry is filled in between.
     */
    env->hflags |= HF_SMM_MASK;
    mseg_read_header(env, base, &header);
    error = mseg_check_header(env, &header);
    if (error) {
        assert(outside_smm);
        env->hflags &= ~HF_SMM_MASK;
        vmx_vmcs_unmap(env, vmcs);
        return error;
    }

    /*
     * The treatment is active from here on, with the VMCS of the VMCALL as its
     * SMM-transfer VMCS, which stays current (DM-ACT-24 to DM-ACT-26).
     */
    smm->transfer_vmcs = current;
    smm->active = true;
    smm->io.valid = false;
    vmcs_write(vmcs, VMCS_EXECUTIVE_VMCS_POINTER, env->vmx.vmxon_ptr);

    /*
     * Exit information and guest state are those of an SMM VM exit from root
     * operation due to VMCALL (DM-ACT-28 to DM-ACT-37), so that the STM returns
     * from activation as from any other exit.
     */
    vmcs_write(vmcs, VMCS_EXIT_REASON, reason);
    vmcs_write(vmcs, VMCS_EXIT_QUALIFICATION, 0);
    vmcs_write(vmcs, VMCS_EXIT_INTERRUPTION_INFO, 0);
    vmcs_write(vmcs, VMCS_IDT_VECTORING_INFO, 0);
    vmcs_write(vmcs, VMCS_EXIT_INSTRUCTION_LENGTH, length);
    env->eflags &= ~RF_MASK;
    vmx_exit_save_state(env, vmcs);
    /* As vmx_smm_exit() does: the executive monitor's current VMCS. */
    vmcs_write(vmcs, VMCS_LINK_POINTER, current);
    vmcs_write(vmcs, VMCS_GUEST_SMBASE, env->smbase);
    vmx_vmcs_unmap(env, vmcs);

    /* Neither MSR areas nor the host-state area (DM-ACT-38 to DM-ACT-40). */
    mseg_load_state(env, base, &header);
    /* NMIs and SMIs are blocked in the STM (DM-ACT-60). */
    env->hflags2 |= HF2_NMI_MASK | HF2_SMI_BLOCKED_MASK;
    /* As an SMM VM exit does (DM-EXI-58). */
    vmx_tlb_flush_vpid0(env);
    vmx_tlb_enter(env);

    vmx_trace_transition(env, "activate", from, reason, 0, rip);
    return 0;
}

/*
 * VMCALL is not for the STM itself, and not unless the firmware has named an
 * STM (DM-ACT-05 to DM-ACT-08), even if one is active already (DM-EXI-04).
 */
static bool vmx_stm_callable(CPUX86State *env)
{
    if (env->hflags & HF_SMM_MASK) {
        return vmx_refuse_value(env, "DM-ACT-05", "SMM", 1, "outside SMM");
    }
    if (!vmx_dual_monitor_offered(env)) {
        return vmx_refuse_value(env, "DM-ACT-06", "IA32_VMX_BASIC",
                                env->features[FEAT_VMX_BASIC],
                                "bit 49 is 1 (dual-monitor treatment)");
    }
    if (!(env->vmx.smm_monitor_ctl & SMM_MONITOR_CTL_VALID)) {
        return vmx_refuse_value(env, "DM-ACT-07", "IA32_SMM_MONITOR_CTL",
                                env->vmx.smm_monitor_ctl,
                                "valid bit (0) is 1");
    }
    return true;
}

/*
 * VMCALL in VMX root operation; mode and privilege have been checked.
 *
 * Returns true if the processor is now in the STM, with all state switched.
 * Returns false after a VMfail, with RFLAGS set and RIP still at the VMCALL.
 */
bool vmx_vmcall_root(CPUX86State *env, uint32_t length)
{
    int error;

    if (!vmx_stm_callable(env)) {
        vmx_vmfail(env, VMX_REASON_VMCALL, VMX_ERROR_VMCALL_IN_ROOT);
        return false;
    }
    if (env->vmx.smm.active) {
        /* A call to the STM rather than its activation (DM-ACT-09). */
        vmx_smm_exit(env, VMX_REASON_VMCALL, 0, length);
        return true;
    }
    if (env->vmx.current_vmcs == VMCS_POINTER_NONE) {
        /* Nothing to become the SMM-transfer VMCS (DM-ACT-10). */
        vmx_refuse_value(env, "DM-ACT-10", "CURRENT_VMCS", VMCS_POINTER_NONE,
                         "a current VMCS");
        vmx_vmfail_invalid(env, VMX_REASON_VMCALL);
        return false;
    }
    error = vmx_activate(env, length);
    if (error) {
        vmx_vmfail(env, VMX_REASON_VMCALL, error);
        return false;
    }
    return true;
}
