/*
 * VMX: VM-entry checks on the guest-state area
 *
 * Intel SDM volume 3, "Checks on the Guest State Area".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "vmx-transition.h"

/* Exit qualifications of entry failures due to guest state. */
#define QUAL_OTHER          0
#define QUAL_PDPTE          2
#define QUAL_NMI_STI        3
#define QUAL_LINK_POINTER   4

#define AR_L                (1u << 13)
#define RFLAGS_RESERVED     0xffffffffffc08028ULL

static bool unrestricted(const VMXEntry *entry)
{
    return entry->ctl.proc2 & VMX_CPU2_UNRESTRICTED_GUEST;
}

/* "Checks on Guest Control Registers, Debug Registers, and MSRs" */
static bool check_registers(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    uint64_t cr0 = vmcs_read(v, VMCS_GUEST_CR0);
    uint64_t cr4 = vmcs_read(v, VMCS_GUEST_CR4);

    /* What is said of single bits tells more than that fixed bits are wrong. */
    if ((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-02", GUEST_CR0,
                          "PG = 1 with PE = 1 only");
    }
    if (ia32e && !(cr0 & CR0_PG_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-04", GUEST_CR0,
                          "PG = 1 for an IA-32e mode guest");
    }
    if (ia32e && !(cr4 & CR4_PAE_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-04", GUEST_CR4,
                          "PAE = 1 for an IA-32e mode guest");
    }
    if (!ia32e && (cr4 & CR4_PCIDE_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-05", GUEST_CR4,
                          "PCIDE = 1 for an IA-32e mode guest only");
    }
    if (!vmx_cr0_valid(env, cr0, unrestricted(entry))) {
        return VMX_REFUSE(env, v, "VMX-GST-01", GUEST_CR0,
                          "the fixed bits of IA32_VMX_CR0_FIXED0 and FIXED1");
    }
    if (!vmx_cr4_valid(env, cr4)) {
        return VMX_REFUSE(env, v, "VMX-GST-03", GUEST_CR4,
                          "the fixed bits of IA32_VMX_CR4_FIXED0 and FIXED1");
    }
    if (vmcs_read(v, VMCS_GUEST_CR3) >> env_archcpu(env)->phys_bits) {
        return VMX_REFUSE(env, v, "VMX-GST-06", GUEST_CR3,
                          "within the physical-address width");
    }
    return true;
}

/* MSRs and debug registers, part of the same section. */
static bool check_msrs(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    uint64_t efer = vmcs_read(v, VMCS_GUEST_IA32_EFER);

    if (entry->entry_ctls & VMX_ENTRY_LOAD_DEBUG) {
        if (vmcs_read(v, VMCS_GUEST_IA32_DEBUGCTL) & ~VMX_DEBUGCTL_ALLOWED) {
            return VMX_REFUSE(env, v, "VMX-GST-07", GUEST_IA32_DEBUGCTL,
                              "no reserved bit");
        }
        if (vmcs_read(v, VMCS_GUEST_DR7) >> 32) {
            return VMX_REFUSE(env, v, "VMX-GST-08", GUEST_DR7,
                              "bits 63:32 are 0");
        }
    }
    if (!VMX_CHECK_CANONICAL(env, v, "VMX-GST-09", GUEST_IA32_SYSENTER_ESP) ||
        !VMX_CHECK_CANONICAL(env, v, "VMX-GST-09", GUEST_IA32_SYSENTER_EIP)) {
        return false;
    }
    if ((entry->entry_ctls & VMX_ENTRY_LOAD_PAT) &&
        !vmx_pat_valid(vmcs_read(v, VMCS_GUEST_IA32_PAT))) {
        return VMX_REFUSE(env, v, "VMX-GST-10", GUEST_IA32_PAT,
                          "memory types 0, 1, 4 to 7");
    }
    if ((entry->entry_ctls & VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs_read(v, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL) &
         ~VMX_PERF_GLOBAL_CTRL)) {
        return VMX_REFUSE(env, v, "VMX-GST-65", GUEST_IA32_PERF_GLOBAL_CTRL,
                          "no reserved bit");
    }
    if (!(entry->entry_ctls & VMX_ENTRY_LOAD_EFER)) {
        return true;
    }
    if (efer & ~VMX_EFER_ALLOWED) {
        return VMX_REFUSE(env, v, "VMX-GST-11", GUEST_IA32_EFER,
                          "no reserved bit");
    }
    if (!!(efer & MSR_EFER_LMA) != ia32e) {
        return VMX_REFUSE(env, v, "VMX-GST-12", GUEST_IA32_EFER,
                          "LMA as the control IA-32e mode guest");
    }
    if ((vmcs_read(v, VMCS_GUEST_CR0) & CR0_PG_MASK) &&
        !!(efer & MSR_EFER_LME) != ia32e) {
        return VMX_REFUSE(env, v, "VMX-GST-13", GUEST_IA32_EFER,
                          "LME as LMA with CR0.PG = 1");
    }
    return true;
}

/* "Checks on Guest RIP and RFLAGS" */
static bool check_rip_rflags(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint64_t rip = vmcs_read(v, VMCS_GUEST_RIP);
    uint64_t rflags = vmcs_read(v, VMCS_GUEST_RFLAGS);
    bool code64 = ia32e && (vmcs_read(v, VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_L);

    if (!code64 && rip >> 32) {
        return VMX_REFUSE(env, v, "VMX-GST-38", GUEST_RIP,
                          "below 4 GBytes but in 64-bit mode");
    }
    if (code64 && !VMX_CHECK_CANONICAL(env, v, "VMX-GST-39", GUEST_RIP)) {
        return false;
    }
    if ((rflags & RFLAGS_RESERVED) || !(rflags & 2)) {
        return VMX_REFUSE(env, v, "VMX-GST-40", GUEST_RFLAGS,
                          "reserved bits are 0, bit 1 is 1");
    }
    if ((rflags & VM_MASK) &&
        (ia32e || !(vmcs_read(v, VMCS_GUEST_CR0) & CR0_PE_MASK))) {
        return VMX_REFUSE(env, v, "VMX-GST-41", GUEST_RFLAGS,
                          "VM is 0 in an IA-32e mode guest and with "
                          "CR0.PE = 0");
    }
    if ((info & VMX_INTERRUPTION_VALID) &&
        (info & VMX_INTERRUPTION_TYPE_MASK) == VMX_INTERRUPTION_TYPE_EXTERNAL &&
        !(rflags & IF_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-42", GUEST_RFLAGS,
                          "IF is 1 for the injection of an external "
                          "interrupt");
    }
    return true;
}

/* What may be injected into the inactive states. */
static bool check_injection_state(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint32_t activity = vmcs_read(v, VMCS_GUEST_ACTIVITY_STATE);
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint32_t type = info & VMX_INTERRUPTION_TYPE_MASK;
    uint8_t vector = info;
    bool exception = type == VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION;

    if (!(info & VMX_INTERRUPTION_VALID)) {
        return true;
    }
    switch (activity) {
    case VMX_ACTIVITY_HLT:
        return type == VMX_INTERRUPTION_TYPE_EXTERNAL ||
               type == VMX_INTERRUPTION_TYPE_NMI ||
               type == VMX_INTERRUPTION_TYPE_OTHER ||
               (exception &&
                (vector == EXCP01_DB || vector == EXCP12_MCHK)) ||
               VMX_REFUSE(env, v, "VMX-GST-46", ENTRY_INTERRUPTION_INFO,
                          "an interrupt, NMI, #DB, #MC or pending MTF VM exit "
                          "in the HLT state");
    case VMX_ACTIVITY_SHUTDOWN:
        return type == VMX_INTERRUPTION_TYPE_NMI ||
               (exception && vector == EXCP12_MCHK) ||
               VMX_REFUSE(env, v, "VMX-GST-47", ENTRY_INTERRUPTION_INFO,
                          "NMI or #MC in the shutdown state");
    case VMX_ACTIVITY_WAIT_FOR_SIPI:
        return VMX_REFUSE(env, v, "VMX-GST-48", ENTRY_INTERRUPTION_INFO,
                          "nothing in the wait-for-SIPI state");
    default:
        return true;
    }
}

static bool check_activity(CPUX86State *env, const VMXEntry *entry)
{
    static const uint32_t offered[] = {
        [VMX_ACTIVITY_HLT] = MSR_VMX_MISC_ACTIVITY_HLT,
        [VMX_ACTIVITY_SHUTDOWN] = MSR_VMX_MISC_ACTIVITY_SHUTDOWN,
        [VMX_ACTIVITY_WAIT_FOR_SIPI] = MSR_VMX_MISC_ACTIVITY_WAIT_SIPI,
    };
    const VMXVmcs *v = entry->guest;
    uint32_t activity = vmcs_read(v, VMCS_GUEST_ACTIVITY_STATE);
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE);

    if (activity == VMX_ACTIVITY_ACTIVE) {
        return true;
    }
    if (activity >= ARRAY_SIZE(offered) ||
        !(vmx_misc(env) & offered[activity])) {
        return VMX_REFUSE(env, v, "VMX-GST-43", GUEST_ACTIVITY_STATE,
                          "a state that IA32_VMX_MISC[8:6] has");
    }
    if (activity == VMX_ACTIVITY_HLT &&
        VMX_ACCESS_DPL(vmcs_read(v, VMCS_GUEST_SS_ACCESS_RIGHTS)) != 0) {
        return VMX_REFUSE(env, v, "VMX-GST-44", GUEST_SS_ACCESS_RIGHTS,
                          "DPL is 0 in the HLT state");
    }
    if (blocked & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)) {
        return VMX_REFUSE(env, v, "VMX-GST-45",
                          GUEST_INTERRUPTIBILITY_STATE,
                          "blocking by STI or MOV SS in the active state only");
    }
    if (!check_injection_state(env, entry)) {
        return false;
    }
    if (activity == VMX_ACTIVITY_WAIT_FOR_SIPI &&
        (entry->entry_ctls & VMX_ENTRY_TO_SMM)) {
        return VMX_REFUSE(env, v, "DM-CTL-10", GUEST_ACTIVITY_STATE,
                          "not wait-for-SIPI for an entry to SMM");
    }
    if (activity == VMX_ACTIVITY_WAIT_FOR_SIPI &&
        entry->returns_from_smm && entry->to_root) {
        return VMX_REFUSE(env, v, "DM-RET-32", GUEST_ACTIVITY_STATE,
                          "not wait-for-SIPI for a return to root operation");
    }
    return true;
}

/* Injection into the shadow of STI or MOV SS, and into blocking by NMI. */
static bool check_injection_blocking(CPUX86State *env, const VMXEntry *entry,
                                     uint64_t *qual)
{
    const VMXVmcs *v = entry->guest;
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE);
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);

    if (!(info & VMX_INTERRUPTION_VALID)) {
        return true;
    }
    switch (info & VMX_INTERRUPTION_TYPE_MASK) {
    case VMX_INTERRUPTION_TYPE_EXTERNAL:
        if (blocked & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)) {
            return VMX_REFUSE(env, v, "VMX-GST-52",
                              GUEST_INTERRUPTIBILITY_STATE,
                              "no blocking by STI or MOV SS for the injection "
                              "of an external interrupt");
        }
        return true;
    case VMX_INTERRUPTION_TYPE_NMI:
        if (blocked & VMX_BLOCKING_BY_MOV_SS) {
            return VMX_REFUSE(env, v, "VMX-GST-53",
                              GUEST_INTERRUPTIBILITY_STATE,
                              "no blocking by MOV SS for the injection of an "
                              "NMI");
        }
        if (blocked & VMX_BLOCKING_BY_STI) {
            *qual = QUAL_NMI_STI;
            return VMX_REFUSE(env, v, "VMX-GST-54",
                              GUEST_INTERRUPTIBILITY_STATE,
                              "no blocking by STI for the injection of an NMI");
        }
        /* Blocking by NMI is then that of virtual NMIs (DM-RET-28). */
        if ((entry->ctl.pin & VMX_PIN_VIRTUAL_NMIS) &&
            (blocked & VMX_BLOCKING_BY_NMI)) {
            return VMX_REFUSE(env, v, "VMX-GST-55",
                              GUEST_INTERRUPTIBILITY_STATE,
                              "no blocking by NMI for the injection of an NMI "
                              "with virtual NMIs");
        }
        return true;
    default:
        return true;
    }
}

static bool check_interruptibility(CPUX86State *env, const VMXEntry *entry,
                                   uint64_t *qual)
{
    const VMXVmcs *v = entry->guest;
    const bool in_smm = env->hflags & HF_SMM_MASK;
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE);
    uint64_t rflags = vmcs_read(v, VMCS_GUEST_RFLAGS);

    if (blocked & ~0xfu) {
        return VMX_REFUSE(env, v, "VMX-GST-49", GUEST_INTERRUPTIBILITY_STATE,
                          "bits 31:4 are 0");
    }
    if ((blocked & VMX_BLOCKING_BY_STI) && (blocked & VMX_BLOCKING_BY_MOV_SS)) {
        return VMX_REFUSE(env, v, "VMX-GST-50", GUEST_INTERRUPTIBILITY_STATE,
                          "not both blocking by STI and by MOV SS");
    }
    if ((blocked & VMX_BLOCKING_BY_STI) && !(rflags & IF_MASK)) {
        return VMX_REFUSE(env, v, "VMX-GST-51", GUEST_INTERRUPTIBILITY_STATE,
                          "blocking by STI with RFLAGS.IF = 1 only");
    }
    if (!check_injection_blocking(env, entry, qual)) {
        return false;
    }
    /* A return from SMM has the choice (DM-RET-34). */
    if ((blocked & VMX_BLOCKING_BY_SMI) && !in_smm) {
        return VMX_REFUSE(env, v, "VMX-GST-56", GUEST_INTERRUPTIBILITY_STATE,
                          "no blocking by SMI outside SMM");
    }
    if (!(blocked & VMX_BLOCKING_BY_SMI) &&
        (entry->entry_ctls & VMX_ENTRY_TO_SMM)) {
        return VMX_REFUSE(env, v, "DM-CTL-09", GUEST_INTERRUPTIBILITY_STATE,
                          "blocking by SMI for an entry to SMM");
    }
    return true;
}

static bool check_pending_debug(CPUX86State *env, const VMXVmcs *v)
{
    uint64_t pending = vmcs_read(v, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
    bool btf = vmcs_read(v, VMCS_GUEST_IA32_DEBUGCTL) & VMX_DEBUGCTL_BTF;
    bool tf = vmcs_read(v, VMCS_GUEST_RFLAGS) & TF_MASK;
    bool shadow = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE) &
                  (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS);

    if (pending & ~(VMX_PENDING_DEBUG_BP | VMX_PENDING_DEBUG_ENABLED |
                    VMX_PENDING_DEBUG_BS)) {
        return VMX_REFUSE(env, v, "VMX-GST-57",
                          GUEST_PENDING_DEBUG_EXCEPTIONS, "no reserved bit");
    }
    if ((shadow ||
         vmcs_read(v, VMCS_GUEST_ACTIVITY_STATE) == VMX_ACTIVITY_HLT) &&
        !!(pending & VMX_PENDING_DEBUG_BS) != (tf && !btf)) {
        return VMX_REFUSE(env, v, "VMX-GST-58",
                          GUEST_PENDING_DEBUG_EXCEPTIONS,
                          "BS exactly with RFLAGS.TF = 1 and "
                          "IA32_DEBUGCTL.BTF = 0");
    }
    return true;
}

/*
 * The VMCS link pointer is all ones or names a VMCS, but not the one that will
 * be in use: there are no shadow VMCSs (DM-CTL-12, DM-RET-29 to DM-RET-31).
 */
static bool check_link_pointer(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint64_t link = vmcs_read(v, VMCS_LINK_POINTER);

    if (link == VMCS_POINTER_NONE) {
        return true;
    }
    if (!vmx_pointer_valid(env, link)) {
        return VMX_REFUSE(env, v, "VMX-GST-59", LINK_POINTER,
                          "all ones, or 4-KByte aligned and within the "
                          "physical-address width");
    }
    if (vmx_region_revision(env, link) != VMX_VMCS_REVISION) {
        return VMX_REFUSE(env, v, "VMX-GST-60", LINK_POINTER,
                          "a region with the revision identifier");
    }
    if (entry->returns_from_smm && link == entry->executive) {
        return VMX_REFUSE(env, v, "DM-RET-31", LINK_POINTER,
                          "not the executive-VMCS pointer");
    }
    if (!entry->returns_from_smm && link == env->vmx.current_vmcs) {
        return VMX_REFUSE(env, v, "VMX-GST-61", LINK_POINTER,
                          "not the current-VMCS pointer");
    }
    return true;
}

/* PDPTEs of a guest that uses PAE paging. */
static bool check_pdptes(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    uint64_t pdpte[4];
    int i;

    if (!(vmcs_read(v, VMCS_GUEST_CR0) & CR0_PG_MASK) ||
        !(vmcs_read(v, VMCS_GUEST_CR4) & CR4_PAE_MASK) ||
        (entry->entry_ctls & VMX_ENTRY_IA32E_GUEST)) {
        return true;
    }
    if (entry->ctl.proc2 & VMX_CPU2_EPT) {
        for (i = 0; i < 4; i++) {
            pdpte[i] = vmcs_read(v, VMCS_GUEST_PDPTE0 + i * 2);
        }
        return vmx_pdptes_valid(env, pdpte) ||
               VMX_REFUSE(env, v, "VMX-GST-63", GUEST_PDPTE0,
                          "no reserved bit in a present one of the four");
    }
    vmx_read_pdptes(env, vmcs_read(v, VMCS_GUEST_CR3), pdpte);
    return vmx_pdptes_valid(env, pdpte) ||
           VMX_REFUSE(env, v, "VMX-GST-62", GUEST_CR3,
                      "no reserved bit in a present PDPTE there");
}

bool vmx_check_guest_state(CPUX86State *env, const VMXEntry *entry,
                           uint64_t *qualification)
{
    *qualification = QUAL_OTHER;
    if (!check_registers(env, entry) || !check_msrs(env, entry) ||
        !check_rip_rflags(env, entry) || !check_activity(env, entry) ||
        !vmx_check_guest_segments(env, entry) ||
        !check_interruptibility(env, entry, qualification) ||
        !check_pending_debug(env, entry->guest)) {
        return false;
    }
    if (!check_link_pointer(env, entry)) {
        *qualification = QUAL_LINK_POINTER;
        return false;
    }
    if (!check_pdptes(env, entry)) {
        *qualification = QUAL_PDPTE;
        return false;
    }
    return true;
}
