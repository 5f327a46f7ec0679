/*
 * VMX: VM-entry checks on control fields and on the host-state area
 *
 * Intel SDM volume 3, "Checks on VMX Controls and Host-State Area".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx-transition.h"

static bool vmx_beyond_phys_width(CPUX86State *env, uint64_t addr)
{
    return addr >> env_archcpu(env)->phys_bits;
}

/* Address of a bitmap page, or of another page-sized structure. */
static bool vmx_page_valid(CPUX86State *env, const VMXVmcs *v, unsigned field)
{
    return vmx_pointer_valid(env, vmcs_read(v, field));
}

/* MSR area: 16-byte alignment, first and last byte within the width. */
static bool vmx_msr_area_valid(CPUX86State *env, const VMXVmcs *v,
                               unsigned addr_field, unsigned count_field)
{
    uint64_t addr = vmcs_read(v, addr_field);
    uint64_t count = vmcs_read(v, count_field);

    if (!count) {
        return true;
    }
    return !(addr & 15) && !vmx_beyond_phys_width(env, addr) &&
           !vmx_beyond_phys_width(env, addr + count * 16 - 1);
}

/* "VM-Execution Control Fields" */
bool vmx_check_execution_controls(CPUX86State *env, const VMXVmcs *v)
{
    uint32_t pin = vmcs_read(v, VMCS_PIN_CONTROLS);
    uint32_t proc = vmcs_read(v, VMCS_PROCESSOR_CONTROLS);
    uint32_t proc2 = 0;

    if (!vmx_pin_controls_allowed(env, pin) ||
        !vmx_proc_controls_allowed(env, proc)) {
        return false;
    }
    if (proc & VMX_CPU_SECONDARY_CONTROLS) {
        proc2 = vmcs_read(v, VMCS_SECONDARY_CONTROLS);
        if (!vmx_proc2_controls_allowed(env, proc2)) {
            return false;
        }
    }
    if (vmcs_read(v, VMCS_CR3_TARGET_COUNT) > 4) {
        return false;
    }
    if ((proc & VMX_CPU_IO_BITMAPS) &&
        (!vmx_page_valid(env, v, VMCS_IO_BITMAP_A) ||
         !vmx_page_valid(env, v, VMCS_IO_BITMAP_B))) {
        return false;
    }
    if ((proc & VMX_CPU_MSR_BITMAPS) &&
        !vmx_page_valid(env, v, VMCS_MSR_BITMAP)) {
        return false;
    }
    if ((pin & VMX_PIN_VIRTUAL_NMIS) &&
        !(pin & VMX_PIN_NMI)) {
        return false;
    }
    if ((proc & VMX_CPU_NMI_WINDOW) &&
        !(pin & VMX_PIN_VIRTUAL_NMIS)) {
        return false;
    }
    if ((proc & VMX_CPU_TPR_SHADOW) &&
        !vmx_page_valid(env, v, VMCS_VIRTUAL_APIC_ADDRESS)) {
        return false;
    }
    if ((proc2 & VMX_CPU2_APIC_ACCESSES) &&
        !vmx_page_valid(env, v, VMCS_APIC_ACCESS_ADDRESS)) {
        return false;
    }
    if (proc & VMX_CPU_TPR_SHADOW) {
        X86VMXControls ctl;

        vmx_read_controls(v, &ctl);
        if (!vmx_tpr_threshold_valid(env, &ctl)) {
            return false;
        }
    }
    if ((proc2 & VMX_CPU2_VPID) && !vmcs_read(v, VMCS_VPID)) {
        return false;
    }
    if ((proc2 & VMX_CPU2_EPT) &&
        !vmx_eptp_valid(env, vmcs_read(v, VMCS_EPT_POINTER))) {
        return false;
    }
    if ((proc2 & VMX_CPU2_UNRESTRICTED_GUEST) &&
        !(proc2 & VMX_CPU2_EPT)) {
        return false;
    }
    return vmx_vmfunc_controls_valid(env, v, proc2);
}

/* "VM-Exit Control Fields" */
static bool vmx_check_exit_controls(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;

    /*
     * Returns from SMM do without (DM-RET-15): the timer is a control of the
     * executive VMCS, its value a field of the SMM-transfer VMCS.
     */
    if (!entry->returns_from_smm &&
        (entry->exit_ctls & VMX_EXIT_SAVE_PREEMPTION_TIMER) &&
        !(entry->ctl.pin & VMX_PIN_PREEMPTION_TIMER)) {
        return false;
    }
    return vmx_exit_controls_allowed(env, entry->exit_ctls) &&
           vmx_msr_area_valid(env, v, VMCS_EXIT_MSR_STORE_ADDRESS,
                              VMCS_EXIT_MSR_STORE_COUNT) &&
           vmx_msr_area_valid(env, v, VMCS_EXIT_MSR_LOAD_ADDRESS,
                              VMCS_EXIT_MSR_LOAD_COUNT);
}

/* The event to be injected, part of "VM-Entry Control Fields". */
static bool vmx_check_injection(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint32_t length = vmcs_read(v, VMCS_ENTRY_INSTRUCTION_LENGTH);
    uint32_t type = info & VMX_INTERRUPTION_TYPE_MASK;
    uint8_t vector = info;
    bool unrestricted = entry->ctl.proc2 &
                        VMX_CPU2_UNRESTRICTED_GUEST;
    bool protected_mode = vmcs_read(v, VMCS_GUEST_CR0) & CR0_PE_MASK;
    bool want_error;

    if (!(info & VMX_INTERRUPTION_VALID)) {
        return true;
    }
    if (info & VMX_INTERRUPTION_RESERVED) {
        return false;
    }
    if (type == VMX_INTERRUPTION_TYPE_OTHER) {
        /* A pending MTF VM exit, if the 1-setting of the flag is offered. */
        return !vector && !(info & VMX_INTERRUPTION_ERROR_CODE) &&
               (env->features[FEAT_VMX_PROCBASED_CTLS] &
                VMX_CPU_MONITOR_TRAP_FLAG);
    }
    if (entry->returns_from_smm && entry->to_root) {
        /*
         * Nothing else goes into root operation (DM-RET-18); on vector 0, which
         * the rule leaves open, the same.
         */
        return false;
    }

    switch (type) {
    case VMX_INTERRUPTION_TYPE_EXTERNAL:
        break;
    case VMX_INTERRUPTION_TYPE_NMI:
        if (vector != 2) {
            return false;
        }
        break;
    case VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION:
        if (vector > 31) {
            return false;
        }
        break;
    case VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT:
    case VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION:
    case VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION:
        if (length > 15 ||
            (!length && !(vmx_misc(env) & MSR_VMX_MISC_ZERO_LEN_INJECT))) {
            return false;
        }
        break;
    default:
        return false;
    }

    want_error = type == VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION &&
                 exception_has_error_code(vector) &&
                 (protected_mode || !unrestricted);
    if (want_error != !!(info & VMX_INTERRUPTION_ERROR_CODE)) {
        return false;
    }
    return !want_error ||
           vmcs_read(v, VMCS_ENTRY_EXCEPTION_ERROR_CODE) <= 0xffff;
}

/* "VM-Entry Control Fields" */
static bool vmx_check_entry_controls(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool in_smm = env->hflags & HF_SMM_MASK;

    if (!vmx_entry_controls_allowed(env, entry->entry_ctls)) {
        return false;
    }
    /*
     * "Entry to SMM" and "deactivate dual-monitor treatment" are for the STM,
     * one at a time (DM-CTL-01, DM-CTL-02, DM-CTL-04).
     */
    if (!in_smm && (entry->entry_ctls & (VMX_ENTRY_TO_SMM |
                                         VMX_ENTRY_DEACTIVATE))) {
        return false;
    }
    if ((entry->entry_ctls & VMX_ENTRY_TO_SMM) &&
        (entry->entry_ctls & VMX_ENTRY_DEACTIVATE)) {
        return false;
    }
    return vmx_check_injection(env, entry) &&
           vmx_msr_area_valid(env, v, VMCS_ENTRY_MSR_LOAD_ADDRESS,
                              VMCS_ENTRY_MSR_LOAD_COUNT);
}

/* "Checks on Host Control Registers and MSRs" and on host segments */
static bool vmx_check_host(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool host64 = entry->exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
    uint64_t cr4 = vmcs_read(v, VMCS_HOST_CR4);
    uint64_t rip = vmcs_read(v, VMCS_HOST_RIP);
    unsigned i;

    if (!vmx_cr0_valid(env, vmcs_read(v, VMCS_HOST_CR0), false) ||
        !vmx_cr4_valid(env, cr4) ||
        vmx_beyond_phys_width(env, vmcs_read(v, VMCS_HOST_CR3)) ||
        !vmx_canonical(vmcs_read(v, VMCS_HOST_IA32_SYSENTER_ESP)) ||
        !vmx_canonical(vmcs_read(v, VMCS_HOST_IA32_SYSENTER_EIP))) {
        return false;
    }
    if ((entry->exit_ctls & VMX_EXIT_LOAD_PAT) &&
        !vmx_pat_valid(vmcs_read(v, VMCS_HOST_IA32_PAT))) {
        return false;
    }
    if ((entry->exit_ctls & VMX_EXIT_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs_read(v, VMCS_HOST_IA32_PERF_GLOBAL_CTRL) &
         ~VMX_PERF_GLOBAL_CTRL)) {
        return false;
    }
    if (entry->exit_ctls & VMX_EXIT_LOAD_EFER) {
        uint64_t efer = vmcs_read(v, VMCS_HOST_IA32_EFER);

        if ((efer & ~(uint64_t)(MSR_EFER_SCE | MSR_EFER_LME | MSR_EFER_LMA |
                                MSR_EFER_NXE)) ||
            !!(efer & MSR_EFER_LMA) != host64 ||
            !!(efer & MSR_EFER_LME) != host64) {
            return false;
        }
    }

    for (i = VMCS_HOST_ES_SELECTOR; i <= VMCS_HOST_TR_SELECTOR; i += 2) {
        if (vmcs_read(v, i) & 7) {
            return false;
        }
    }
    if (!vmcs_read(v, VMCS_HOST_CS_SELECTOR) ||
        !vmcs_read(v, VMCS_HOST_TR_SELECTOR) ||
        (!host64 && !vmcs_read(v, VMCS_HOST_SS_SELECTOR))) {
        return false;
    }
    for (i = VMCS_HOST_FS_BASE; i <= VMCS_HOST_IDTR_BASE; i += 2) {
        if (!vmx_canonical(vmcs_read(v, i))) {
            return false;
        }
    }

    /* "Checks Related to Address-Space Size" */
    if (host64) {
        return (cr4 & CR4_PAE_MASK) && vmx_canonical(rip);
    }
    return !(cr4 & CR4_PCIDE_MASK) && !(rip >> 32) &&
           !(entry->entry_ctls & VMX_ENTRY_IA32E_GUEST);
}

int vmx_check_entry(CPUX86State *env, const VMXEntry *entry)
{
    const bool lma = env->efer & MSR_EFER_LMA;

    /* Returns from SMM check these elsewhere, with error 25. */
    if (!entry->returns_from_smm &&
        !vmx_check_execution_controls(env, entry->guest)) {
        return VMX_ERROR_ENTRY_CONTROLS;
    }
    if (!vmx_check_exit_controls(env, entry) ||
        !vmx_check_entry_controls(env, entry)) {
        return VMX_ERROR_ENTRY_CONTROLS;
    }
    if (!vmx_check_host(env, entry)) {
        return VMX_ERROR_ENTRY_HOST_STATE;
    }
    if (lma != !!(entry->exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE)) {
        return VMX_ERROR_ENTRY_HOST_STATE;
    }
    return 0;
}
