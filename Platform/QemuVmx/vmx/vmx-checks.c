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
#define CHECK_PAGE(env, v, rule, field)                                  \
    (vmx_pointer_valid(env, vmcs_read(v, VMCS_##field)) ||               \
     VMX_REFUSE(env, v, rule, field,                                     \
                "4-KByte aligned, within the physical-address width"))

/* MSR area: 16-byte alignment, first and last byte within the width. */
#define CHECK_MSR_AREA(env, v, rule, area)                               \
    (vmx_msr_area_valid(env, v, VMCS_##area##_ADDRESS,                   \
                        VMCS_##area##_COUNT) ||                          \
     VMX_REFUSE(env, v, rule, area##_ADDRESS, "16-byte aligned, "        \
                "all entries within the physical-address width"))

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

/* The virtual-APIC page and what is compared with it. */
static bool check_tpr_shadow(CPUX86State *env, const VMXVmcs *v)
{
    X86VMXControls ctl;

    vmx_read_controls(v, &ctl);
    if (!(ctl.proc & VMX_CPU_TPR_SHADOW)) {
        return true;
    }
    if (ctl.tpr_threshold & ~0xfu) {
        return VMX_REFUSE(env, v, "VMX-CTL-09", TPR_THRESHOLD,
                          "bits 31:4 are 0");
    }
    return vmx_tpr_threshold_valid(env, &ctl) ||
           VMX_REFUSE(env, v, "VMX-CTL-10", TPR_THRESHOLD,
                      "not above VTPR[7:4]");
}

static bool check_eptp(CPUX86State *env, const VMXVmcs *v)
{
    uint64_t eptp = vmcs_read(v, VMCS_EPT_POINTER);

    if (vmx_eptp_valid(env, eptp)) {
        return true;
    }
    if (vmx_eptp_valid(env, eptp & ~EPTP_AD_ENABLE)) {
        return VMX_REFUSE(env, v, "VMX-CTL-16", EPT_POINTER,
                          "accessed and dirty flags with "
                          "IA32_VMX_EPT_VPID_CAP[21] only");
    }
    return VMX_REFUSE(env, v, "VMX-CTL-15", EPT_POINTER,
                      "memory type and walk length of IA32_VMX_EPT_VPID_CAP, "
                      "no reserved bit, within the physical-address width");
}

static bool check_vm_functions(CPUX86State *env, const VMXVmcs *v,
                               uint32_t proc2)
{
    uint64_t functions = vmcs_read(v, VMCS_VM_FUNCTION_CONTROLS);

    if (!(proc2 & VMX_CPU2_VMFUNC)) {
        return true;
    }
    if (functions & ~env->features[FEAT_VMX_VMFUNC]) {
        return VMX_REFUSE(env, v, "VMX-CTL-19", VM_FUNCTION_CONTROLS,
                          "no function that IA32_VMX_VMFUNC does not have");
    }
    if (!(functions & MSR_VMX_VMFUNC_EPT_SWITCHING)) {
        return true;
    }
    if (!(proc2 & VMX_CPU2_EPT)) {
        return VMX_REFUSE(env, v, "VMX-CTL-19", VM_FUNCTION_CONTROLS,
                          "EPTP switching with EPT only");
    }
    return CHECK_PAGE(env, v, "VMX-CTL-20", EPTP_LIST_ADDRESS);
}

static bool check_control_words(CPUX86State *env, const VMXVmcs *v)
{
    uint32_t proc = vmcs_read(v, VMCS_PROCESSOR_CONTROLS);

    if (!vmx_pin_controls_allowed(env, vmcs_read(v, VMCS_PIN_CONTROLS))) {
        return VMX_REFUSE(env, v, "VMX-CTL-01", PIN_CONTROLS,
                          "what IA32_VMX_(TRUE_)PINBASED_CTLS allows");
    }
    if (!vmx_proc_controls_allowed(env, proc)) {
        return VMX_REFUSE(env, v, "VMX-CTL-02", PROCESSOR_CONTROLS,
                          "what IA32_VMX_(TRUE_)PROCBASED_CTLS allows");
    }
    if ((proc & VMX_CPU_SECONDARY_CONTROLS) &&
        !vmx_proc2_controls_allowed(env,
                                    vmcs_read(v, VMCS_SECONDARY_CONTROLS))) {
        return VMX_REFUSE(env, v, "VMX-CTL-03", SECONDARY_CONTROLS,
                          "what IA32_VMX_PROCBASED_CTLS2 allows");
    }
    return true;
}

/* "VM-Execution Control Fields" */
bool vmx_check_execution_controls(CPUX86State *env, const VMXVmcs *v)
{
    uint32_t pin = vmcs_read(v, VMCS_PIN_CONTROLS);
    uint32_t proc = vmcs_read(v, VMCS_PROCESSOR_CONTROLS);
    uint32_t proc2 = 0;

    if (!check_control_words(env, v)) {
        return false;
    }
    if (proc & VMX_CPU_SECONDARY_CONTROLS) {
        proc2 = vmcs_read(v, VMCS_SECONDARY_CONTROLS);
    }
    if (vmcs_read(v, VMCS_CR3_TARGET_COUNT) > 4) {
        return VMX_REFUSE(env, v, "VMX-CTL-05", CR3_TARGET_COUNT, "at most 4");
    }
    if ((proc & VMX_CPU_IO_BITMAPS) &&
        (!CHECK_PAGE(env, v, "VMX-CTL-06", IO_BITMAP_A) ||
         !CHECK_PAGE(env, v, "VMX-CTL-06", IO_BITMAP_B))) {
        return false;
    }
    if ((proc & VMX_CPU_MSR_BITMAPS) &&
        !CHECK_PAGE(env, v, "VMX-CTL-07", MSR_BITMAP)) {
        return false;
    }
    if ((pin & VMX_PIN_VIRTUAL_NMIS) && !(pin & VMX_PIN_NMI)) {
        return VMX_REFUSE(env, v, "VMX-CTL-12", PIN_CONTROLS,
                          "virtual NMIs with NMI exiting only");
    }
    if ((proc & VMX_CPU_NMI_WINDOW) && !(pin & VMX_PIN_VIRTUAL_NMIS)) {
        return VMX_REFUSE(env, v, "VMX-CTL-13", PROCESSOR_CONTROLS,
                          "NMI-window exiting with virtual NMIs only");
    }
    if ((proc & VMX_CPU_TPR_SHADOW) &&
        !CHECK_PAGE(env, v, "VMX-CTL-08", VIRTUAL_APIC_ADDRESS)) {
        return false;
    }
    if ((proc2 & VMX_CPU2_APIC_ACCESSES) &&
        !CHECK_PAGE(env, v, "VMX-CTL-14", APIC_ACCESS_ADDRESS)) {
        return false;
    }
    if (!check_tpr_shadow(env, v)) {
        return false;
    }
    if ((proc2 & VMX_CPU2_VPID) && !vmcs_read(v, VMCS_VPID)) {
        return VMX_REFUSE(env, v, "VMX-CTL-17", VPID, "not 0");
    }
    if ((proc2 & VMX_CPU2_EPT) && !check_eptp(env, v)) {
        return false;
    }
    if ((proc2 & VMX_CPU2_UNRESTRICTED_GUEST) && !(proc2 & VMX_CPU2_EPT)) {
        return VMX_REFUSE(env, v, "VMX-CTL-18", SECONDARY_CONTROLS,
                          "unrestricted guest with EPT only");
    }
    return check_vm_functions(env, v, proc2);
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
        return VMX_REFUSE(env, v, "VMX-CTL-22", EXIT_CONTROLS,
                          "saving the preemption timer with the timer only");
    }
    if (!vmx_exit_controls_allowed(env, entry->exit_ctls)) {
        return VMX_REFUSE(env, v, "VMX-CTL-21", EXIT_CONTROLS,
                          "what IA32_VMX_(TRUE_)EXIT_CTLS allows");
    }
    return CHECK_MSR_AREA(env, v, "VMX-CTL-23", EXIT_MSR_STORE) &&
           CHECK_MSR_AREA(env, v, "VMX-CTL-24", EXIT_MSR_LOAD);
}

/* A software event's instruction, which is not executed. */
static bool check_instruction_length(CPUX86State *env, const VMXVmcs *v)
{
    uint32_t length = vmcs_read(v, VMCS_ENTRY_INSTRUCTION_LENGTH);

    if (length > 15 ||
        (!length && !(vmx_misc(env) & MSR_VMX_MISC_ZERO_LEN_INJECT))) {
        return VMX_REFUSE(env, v, "VMX-CTL-33", ENTRY_INSTRUCTION_LENGTH,
                          "1 to 15, or 0 with IA32_VMX_MISC[30]");
    }
    return true;
}

static bool check_error_code(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    bool unrestricted = entry->ctl.proc2 & VMX_CPU2_UNRESTRICTED_GUEST;
    bool protected_mode = vmcs_read(v, VMCS_GUEST_CR0) & CR0_PE_MASK;
    bool want_error = (info & VMX_INTERRUPTION_TYPE_MASK) ==
                      VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION &&
                      exception_has_error_code((uint8_t)info) &&
                      (protected_mode || !unrestricted);

    if (want_error != !!(info & VMX_INTERRUPTION_ERROR_CODE)) {
        return VMX_REFUSE(env, v, "VMX-CTL-30", ENTRY_INTERRUPTION_INFO,
                          "an error code exactly with the exceptions that "
                          "have one");
    }
    if (want_error &&
        vmcs_read(v, VMCS_ENTRY_EXCEPTION_ERROR_CODE) > 0xffff) {
        return VMX_REFUSE(env, v, "VMX-CTL-32", ENTRY_EXCEPTION_ERROR_CODE,
                          "bits 31:16 are 0");
    }
    return true;
}

/* The event to be injected, part of "VM-Entry Control Fields". */
static bool vmx_check_injection(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint32_t type = info & VMX_INTERRUPTION_TYPE_MASK;
    uint8_t vector = info;

    if (!(info & VMX_INTERRUPTION_VALID)) {
        return true;
    }
    if (info & VMX_INTERRUPTION_RESERVED) {
        return VMX_REFUSE(env, v, "VMX-CTL-31", ENTRY_INTERRUPTION_INFO,
                          "bits 30:12 are 0");
    }
    if (type == VMX_INTERRUPTION_TYPE_OTHER) {
        /* A pending MTF VM exit, if the 1-setting of the flag is offered. */
        if (vector || !(env->features[FEAT_VMX_PROCBASED_CTLS] &
                        VMX_CPU_MONITOR_TRAP_FLAG)) {
            return VMX_REFUSE(env, v, "VMX-CTL-27", ENTRY_INTERRUPTION_INFO,
                              "type 7 for a pending MTF VM exit, vector 0");
        }
        return check_error_code(env, entry);
    }
    if (entry->returns_from_smm && entry->to_root) {
        /*
         * Nothing else goes into root operation (DM-RET-18); on vector 0, which
         * the rule leaves open, the same.
         */
        return VMX_REFUSE(env, v, "DM-RET-18", ENTRY_INTERRUPTION_INFO,
                          "nothing but a pending MTF VM exit");
    }

    switch (type) {
    case VMX_INTERRUPTION_TYPE_EXTERNAL:
        break;
    case VMX_INTERRUPTION_TYPE_NMI:
        if (vector != 2) {
            return VMX_REFUSE(env, v, "VMX-CTL-28", ENTRY_INTERRUPTION_INFO,
                              "an NMI has vector 2");
        }
        break;
    case VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION:
        if (vector > 31) {
            return VMX_REFUSE(env, v, "VMX-CTL-29", ENTRY_INTERRUPTION_INFO,
                              "an exception has a vector of at most 31");
        }
        break;
    case VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT:
    case VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION:
    case VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION:
        if (!check_instruction_length(env, v)) {
            return false;
        }
        break;
    default:
        return VMX_REFUSE(env, v, "VMX-CTL-27", ENTRY_INTERRUPTION_INFO,
                          "type 1 is reserved");
    }
    return check_error_code(env, entry);
}

/* "VM-Entry Control Fields" */
static bool vmx_check_entry_controls(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool in_smm = env->hflags & HF_SMM_MASK;

    if (!vmx_entry_controls_allowed(env, entry->entry_ctls)) {
        return VMX_REFUSE(env, v, "VMX-CTL-26", ENTRY_CONTROLS,
                          "what IA32_VMX_(TRUE_)ENTRY_CTLS allows");
    }
    /* Both are for the STM, one at a time. */
    if (!in_smm && (entry->entry_ctls & VMX_ENTRY_TO_SMM)) {
        return VMX_REFUSE(env, v, "DM-CTL-01", ENTRY_CONTROLS,
                          "entry to SMM in SMM only");
    }
    if (!in_smm && (entry->entry_ctls & VMX_ENTRY_DEACTIVATE)) {
        return VMX_REFUSE(env, v, "DM-CTL-02", ENTRY_CONTROLS,
                          "deactivate dual-monitor treatment in SMM only");
    }
    if ((entry->entry_ctls & VMX_ENTRY_TO_SMM) &&
        (entry->entry_ctls & VMX_ENTRY_DEACTIVATE)) {
        return VMX_REFUSE(env, v, "DM-CTL-04", ENTRY_CONTROLS,
                          "not both entry to SMM and deactivate dual-monitor "
                          "treatment");
    }
    return vmx_check_injection(env, entry) &&
           CHECK_MSR_AREA(env, v, "VMX-CTL-34", ENTRY_MSR_LOAD);
}

/* "Checks on Host Control Registers and MSRs" */
static bool check_host_registers(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool host64 = entry->exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
    uint64_t efer = vmcs_read(v, VMCS_HOST_IA32_EFER);

    if (!vmx_cr0_valid(env, vmcs_read(v, VMCS_HOST_CR0), false)) {
        return VMX_REFUSE(env, v, "VMX-HST-01", HOST_CR0,
                          "the fixed bits of IA32_VMX_CR0_FIXED0 and FIXED1");
    }
    if (!vmx_cr4_valid(env, vmcs_read(v, VMCS_HOST_CR4))) {
        return VMX_REFUSE(env, v, "VMX-HST-02", HOST_CR4,
                          "the fixed bits of IA32_VMX_CR4_FIXED0 and FIXED1");
    }
    if (vmx_beyond_phys_width(env, vmcs_read(v, VMCS_HOST_CR3))) {
        return VMX_REFUSE(env, v, "VMX-HST-03", HOST_CR3,
                          "within the physical-address width");
    }
    if (!VMX_CHECK_CANONICAL(env, v, "VMX-HST-04", HOST_IA32_SYSENTER_ESP) ||
        !VMX_CHECK_CANONICAL(env, v, "VMX-HST-04", HOST_IA32_SYSENTER_EIP)) {
        return false;
    }
    if ((entry->exit_ctls & VMX_EXIT_LOAD_PAT) &&
        !vmx_pat_valid(vmcs_read(v, VMCS_HOST_IA32_PAT))) {
        return VMX_REFUSE(env, v, "VMX-HST-05", HOST_IA32_PAT,
                          "memory types 0, 1, 4 to 7");
    }
    if ((entry->exit_ctls & VMX_EXIT_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs_read(v, VMCS_HOST_IA32_PERF_GLOBAL_CTRL) &
         ~VMX_PERF_GLOBAL_CTRL)) {
        return VMX_REFUSE(env, v, "VMX-HST-16", HOST_IA32_PERF_GLOBAL_CTRL,
                          "no reserved bit");
    }
    if (!(entry->exit_ctls & VMX_EXIT_LOAD_EFER)) {
        return true;
    }
    if (efer & ~VMX_EFER_ALLOWED) {
        return VMX_REFUSE(env, v, "VMX-HST-06", HOST_IA32_EFER,
                          "no reserved bit");
    }
    if (!!(efer & MSR_EFER_LMA) != host64 ||
        !!(efer & MSR_EFER_LME) != host64) {
        return VMX_REFUSE(env, v, "VMX-HST-07", HOST_IA32_EFER,
                          "LMA and LME as host address-space size");
    }
    return true;
}

#define CHECK_HOST_SELECTOR(env, v, field)                               \
    (!(vmcs_read(v, VMCS_##field) & 7) ||                                \
     VMX_REFUSE(env, v, "VMX-HST-08", field, "RPL and TI are 0"))

/* "Checks on Host Segment and Descriptor-Table Registers" */
static bool check_host_segments(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool host64 = entry->exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;

    if (!CHECK_HOST_SELECTOR(env, v, HOST_ES_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_CS_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_SS_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_DS_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_FS_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_GS_SELECTOR) ||
        !CHECK_HOST_SELECTOR(env, v, HOST_TR_SELECTOR)) {
        return false;
    }
    if (!vmcs_read(v, VMCS_HOST_CS_SELECTOR)) {
        return VMX_REFUSE(env, v, "VMX-HST-09", HOST_CS_SELECTOR, "not 0");
    }
    if (!vmcs_read(v, VMCS_HOST_TR_SELECTOR)) {
        return VMX_REFUSE(env, v, "VMX-HST-09", HOST_TR_SELECTOR, "not 0");
    }
    if (!host64 && !vmcs_read(v, VMCS_HOST_SS_SELECTOR)) {
        return VMX_REFUSE(env, v, "VMX-HST-10", HOST_SS_SELECTOR,
                          "not 0 for a 32-bit host");
    }
    return VMX_CHECK_CANONICAL(env, v, "VMX-HST-11", HOST_FS_BASE) &&
           VMX_CHECK_CANONICAL(env, v, "VMX-HST-11", HOST_GS_BASE) &&
           VMX_CHECK_CANONICAL(env, v, "VMX-HST-11", HOST_TR_BASE) &&
           VMX_CHECK_CANONICAL(env, v, "VMX-HST-11", HOST_GDTR_BASE) &&
           VMX_CHECK_CANONICAL(env, v, "VMX-HST-11", HOST_IDTR_BASE);
}

/* "Checks Related to Address-Space Size" */
static bool check_address_space(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool host64 = entry->exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
    const bool lma = env->efer & MSR_EFER_LMA;
    uint64_t cr4 = vmcs_read(v, VMCS_HOST_CR4);

    if (lma && !host64) {
        return VMX_REFUSE(env, v, "VMX-HST-12", EXIT_CONTROLS,
                          "host address-space size 1 for an entry in IA-32e "
                          "mode");
    }
    if (!lma && host64) {
        return VMX_REFUSE(env, v, "VMX-HST-13", EXIT_CONTROLS,
                          "host address-space size 0 for an entry outside "
                          "IA-32e mode");
    }
    if (host64) {
        if (!(cr4 & CR4_PAE_MASK)) {
            return VMX_REFUSE(env, v, "VMX-HST-15", HOST_CR4,
                              "PAE = 1 for a 64-bit host");
        }
        return VMX_CHECK_CANONICAL(env, v, "VMX-HST-15", HOST_RIP);
    }
    if (entry->entry_ctls & VMX_ENTRY_IA32E_GUEST) {
        return VMX_REFUSE(env, v, "VMX-HST-13", ENTRY_CONTROLS,
                          "no IA-32e mode guest of a 32-bit host");
    }
    if (cr4 & CR4_PCIDE_MASK) {
        return VMX_REFUSE(env, v, "VMX-HST-14", HOST_CR4,
                          "PCIDE = 0 for a 32-bit host");
    }
    if (vmcs_read(v, VMCS_HOST_RIP) >> 32) {
        return VMX_REFUSE(env, v, "VMX-HST-14", HOST_RIP,
                          "below 4 GBytes for a 32-bit host");
    }
    return true;
}

int vmx_check_entry(CPUX86State *env, const VMXEntry *entry)
{
    /* Returns from SMM check these elsewhere, with error 25. */
    if (!entry->returns_from_smm &&
        !vmx_check_execution_controls(env, entry->guest)) {
        return VMX_ERROR_ENTRY_CONTROLS;
    }
    if (!vmx_check_exit_controls(env, entry) ||
        !vmx_check_entry_controls(env, entry)) {
        return VMX_ERROR_ENTRY_CONTROLS;
    }
    if (!check_host_registers(env, entry) || !check_host_segments(env, entry) ||
        !check_address_space(env, entry)) {
        return VMX_ERROR_ENTRY_HOST_STATE;
    }
    return 0;
}
