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

/* Segment access rights */
#define AR_TYPE(ar)         ((ar) & 0xf)
#define AR_S                (1u << 4)
#define AR_DPL(ar)          (((ar) >> 5) & 3)
#define AR_P                (1u << 7)
#define AR_L                (1u << 13)
#define AR_DB               (1u << 14)
#define AR_G                (1u << 15)
#define AR_RESERVED         0xfffe0f00u

#define RFLAGS_RESERVED     0xffffffffffc08028ULL

typedef struct GuestSegment {
    uint16_t selector;
    uint32_t limit;
    uint32_t ar;
    uint64_t base;
    bool usable;
} GuestSegment;

/* @index: R_ES to R_GS, then 6 for LDTR and 7 for TR. */
static GuestSegment guest_segment(const VMXVmcs *v, int index)
{
    GuestSegment seg = {
        .selector = vmcs_read(v, VMCS_GUEST_ES_SELECTOR + index * 2),
        .limit = vmcs_read(v, VMCS_GUEST_ES_LIMIT + index * 2),
        .ar = vmcs_read(v, VMCS_GUEST_ES_ACCESS_RIGHTS + index * 2),
        .base = vmcs_read(v, VMCS_GUEST_ES_BASE + index * 2),
    };

    seg.usable = !(seg.ar & VMX_ACCESS_UNUSABLE);
    return seg;
}

#define SEG_LDTR 6
#define SEG_TR   7

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
    uint64_t cr3 = vmcs_read(v, VMCS_GUEST_CR3);
    uint64_t cr4 = vmcs_read(v, VMCS_GUEST_CR4);

    if (!vmx_cr0_valid(env, cr0, unrestricted(entry)) ||
        !vmx_cr4_valid(env, cr4)) {
        return false;
    }
    if ((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK)) {
        return false;
    }
    if (ia32e) {
        if (!(cr0 & CR0_PG_MASK) || !(cr4 & CR4_PAE_MASK)) {
            return false;
        }
    } else if (cr4 & CR4_PCIDE_MASK) {
        return false;
    }
    if (cr3 >> env_archcpu(env)->phys_bits) {
        return false;
    }
    if (entry->entry_ctls & VMX_ENTRY_LOAD_DEBUG) {
        if ((vmcs_read(v, VMCS_GUEST_IA32_DEBUGCTL) & ~VMX_DEBUGCTL_ALLOWED) ||
            (vmcs_read(v, VMCS_GUEST_DR7) >> 32)) {
            return false;
        }
    }
    if (!vmx_canonical(vmcs_read(v, VMCS_GUEST_IA32_SYSENTER_ESP)) ||
        !vmx_canonical(vmcs_read(v, VMCS_GUEST_IA32_SYSENTER_EIP))) {
        return false;
    }
    if ((entry->entry_ctls & VMX_ENTRY_LOAD_PAT) &&
        !vmx_pat_valid(vmcs_read(v, VMCS_GUEST_IA32_PAT))) {
        return false;
    }
    if ((entry->entry_ctls & VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs_read(v, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL) &
         ~VMX_PERF_GLOBAL_CTRL)) {
        return false;
    }
    if (entry->entry_ctls & VMX_ENTRY_LOAD_EFER) {
        uint64_t efer = vmcs_read(v, VMCS_GUEST_IA32_EFER);

        if ((efer & ~(uint64_t)(MSR_EFER_SCE | MSR_EFER_LME | MSR_EFER_LMA |
                                MSR_EFER_NXE)) ||
            !!(efer & MSR_EFER_LMA) != ia32e) {
            return false;
        }
        if ((cr0 & CR0_PG_MASK) && !!(efer & MSR_EFER_LME) != ia32e) {
            return false;
        }
    }
    return true;
}

static bool check_limit_granularity(const GuestSegment *seg)
{
    if ((seg->limit & 0xfff) != 0xfff && (seg->ar & AR_G)) {
        return false;
    }
    return !(seg->limit & 0xfff00000) || (seg->ar & AR_G);
}

/* Segment registers of a virtual-8086 guest. */
static bool check_segments_vm86(const VMXVmcs *v)
{
    int i;

    for (i = R_ES; i <= R_GS; i++) {
        GuestSegment seg = guest_segment(v, i);

        if (seg.base != (uint64_t)seg.selector << 4 || seg.limit != 0xffff ||
            seg.ar != 0xf3) {
            return false;
        }
    }
    return true;
}

static bool check_cs(const VMXEntry *entry, const GuestSegment *cs,
                     const GuestSegment *ss)
{
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;

    if (!cs->usable || (cs->ar & AR_RESERVED) || !(cs->ar & AR_S) ||
        !(cs->ar & AR_P) || (cs->base >> 32) ||
        !check_limit_granularity(cs)) {
        return false;
    }
    switch (AR_TYPE(cs->ar)) {
    case 3:
        if (!unrestricted(entry) || AR_DPL(cs->ar) != 0) {
            return false;
        }
        break;
    case 9:
    case 11:
        if (AR_DPL(cs->ar) != AR_DPL(ss->ar)) {
            return false;
        }
        break;
    case 13:
    case 15:
        if (AR_DPL(cs->ar) > AR_DPL(ss->ar)) {
            return false;
        }
        break;
    default:
        return false;
    }
    return !(ia32e && (cs->ar & AR_L) && (cs->ar & AR_DB));
}

static bool check_ss(const VMXEntry *entry, const GuestSegment *cs,
                     const GuestSegment *ss)
{
    bool real = !(vmcs_read(entry->guest, VMCS_GUEST_CR0) & CR0_PE_MASK);

    if (!unrestricted(entry) && (ss->selector & 3) != (cs->selector & 3)) {
        return false;
    }
    if (!unrestricted(entry) && AR_DPL(ss->ar) != (ss->selector & 3)) {
        return false;
    }
    if ((AR_TYPE(cs->ar) == 3 || real) && AR_DPL(ss->ar) != 0) {
        return false;
    }
    if (!ss->usable) {
        return true;
    }
    return (AR_TYPE(ss->ar) == 3 || AR_TYPE(ss->ar) == 7) &&
           (ss->ar & AR_S) && (ss->ar & AR_P) && !(ss->ar & AR_RESERVED) &&
           !(ss->base >> 32) && check_limit_granularity(ss);
}

static bool check_data_segment(const VMXEntry *entry, int index)
{
    GuestSegment seg = guest_segment(entry->guest, index);

    if ((index == R_FS || index == R_GS) && !vmx_canonical(seg.base)) {
        return false;
    }
    if (!seg.usable) {
        return true;
    }
    if (!(seg.ar & 1) || ((seg.ar & 8) && !(seg.ar & 2)) ||
        !(seg.ar & AR_S) || !(seg.ar & AR_P) || (seg.ar & AR_RESERVED) ||
        !check_limit_granularity(&seg)) {
        return false;
    }
    if (!unrestricted(entry) && AR_TYPE(seg.ar) <= 11 &&
        AR_DPL(seg.ar) < (seg.selector & 3)) {
        return false;
    }
    return index == R_FS || index == R_GS || !(seg.base >> 32);
}

/* "Checks on Guest Segment Registers" and on descriptor-table registers */
static bool check_segments(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    const bool vm86 = vmcs_read(v, VMCS_GUEST_RFLAGS) & VM_MASK;
    GuestSegment tr = guest_segment(v, SEG_TR);
    GuestSegment ldtr = guest_segment(v, SEG_LDTR);

    if (vm86) {
        if (!check_segments_vm86(v)) {
            return false;
        }
    } else {
        GuestSegment cs = guest_segment(v, R_CS);
        GuestSegment ss = guest_segment(v, R_SS);

        if (!check_cs(entry, &cs, &ss) || !check_ss(entry, &cs, &ss) ||
            !check_data_segment(entry, R_DS) ||
            !check_data_segment(entry, R_ES) ||
            !check_data_segment(entry, R_FS) ||
            !check_data_segment(entry, R_GS)) {
            return false;
        }
    }

    if (!tr.usable || (tr.selector & 4) || !vmx_canonical(tr.base) ||
        (tr.ar & (AR_S | AR_RESERVED)) || !(tr.ar & AR_P) ||
        !check_limit_granularity(&tr)) {
        return false;
    }
    if (AR_TYPE(tr.ar) != 11 && (AR_TYPE(tr.ar) != 3 || ia32e)) {
        return false;
    }
    if (ldtr.usable &&
        ((ldtr.selector & 4) || !vmx_canonical(ldtr.base) ||
         AR_TYPE(ldtr.ar) != 2 || (ldtr.ar & (AR_S | AR_RESERVED)) ||
         !(ldtr.ar & AR_P) || !check_limit_granularity(&ldtr))) {
        return false;
    }

    return vmx_canonical(vmcs_read(v, VMCS_GUEST_GDTR_BASE)) &&
           vmx_canonical(vmcs_read(v, VMCS_GUEST_IDTR_BASE)) &&
           vmcs_read(v, VMCS_GUEST_GDTR_LIMIT) <= 0xffff &&
           vmcs_read(v, VMCS_GUEST_IDTR_LIMIT) <= 0xffff;
}

/* "Checks on Guest RIP and RFLAGS" */
static bool check_rip_rflags(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint64_t rip = vmcs_read(v, VMCS_GUEST_RIP);
    uint64_t rflags = vmcs_read(v, VMCS_GUEST_RFLAGS);
    GuestSegment cs = guest_segment(v, R_CS);

    if (!ia32e || !(cs.ar & AR_L)) {
        if (rip >> 32) {
            return false;
        }
    } else if (!vmx_canonical(rip)) {
        return false;
    }
    if ((rflags & RFLAGS_RESERVED) || !(rflags & 2)) {
        return false;
    }
    if ((rflags & VM_MASK) &&
        (ia32e || !(vmcs_read(v, VMCS_GUEST_CR0) & CR0_PE_MASK))) {
        return false;
    }
    if ((info & VMX_INTERRUPTION_VALID) &&
        (info & VMX_INTERRUPTION_TYPE_MASK) == VMX_INTERRUPTION_TYPE_EXTERNAL &&
        !(rflags & IF_MASK)) {
        return false;
    }
    return true;
}

/* Activity and interruptibility state, pending debug exceptions. */
static bool check_non_register(CPUX86State *env, const VMXEntry *entry,
                               uint64_t *qual)
{
    const VMXVmcs *v = entry->guest;
    const bool in_smm = env->hflags & HF_SMM_MASK;
    const bool smm_entry = entry->entry_ctls & VMX_ENTRY_TO_SMM;
    uint32_t activity = vmcs_read(v, VMCS_GUEST_ACTIVITY_STATE);
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE);
    uint32_t info = vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO);
    uint32_t type = info & VMX_INTERRUPTION_TYPE_MASK;
    uint64_t pending = vmcs_read(v, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
    uint64_t rflags = vmcs_read(v, VMCS_GUEST_RFLAGS);
    bool injecting = info & VMX_INTERRUPTION_VALID;
    bool shadow = blocked & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS);

    switch (activity) {
    case VMX_ACTIVITY_ACTIVE:
        break;
    case VMX_ACTIVITY_HLT:
        if (!(vmx_misc(env) & MSR_VMX_MISC_ACTIVITY_HLT) ||
            AR_DPL(guest_segment(v, R_SS).ar) != 0 || shadow) {
            return false;
        }
        /* Injected events that HLT cannot be in when they are delivered. */
        if (injecting && type != VMX_INTERRUPTION_TYPE_EXTERNAL &&
            type != VMX_INTERRUPTION_TYPE_NMI &&
            type != VMX_INTERRUPTION_TYPE_OTHER &&
            !(type == VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION &&
              ((uint8_t)info == EXCP01_DB || (uint8_t)info == EXCP12_MCHK))) {
            return false;
        }
        break;
    case VMX_ACTIVITY_SHUTDOWN:
        if (!(vmx_misc(env) & MSR_VMX_MISC_ACTIVITY_SHUTDOWN) || shadow) {
            return false;
        }
        if (injecting && type != VMX_INTERRUPTION_TYPE_NMI &&
            !(type == VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION &&
              (uint8_t)info == EXCP12_MCHK)) {
            return false;
        }
        break;
    case VMX_ACTIVITY_WAIT_FOR_SIPI:
        /* For no SMI handler (DM-CTL-10), no root operation (DM-RET-32). */
        if (!(vmx_misc(env) & MSR_VMX_MISC_ACTIVITY_WAIT_SIPI) || shadow ||
            injecting || smm_entry ||
            (entry->returns_from_smm && entry->to_root)) {
            return false;
        }
        break;
    default:
        return false;
    }

    if ((blocked & ~0xfu) || (blocked & 3) == 3 ||
        ((blocked & VMX_BLOCKING_BY_STI) && !(rflags & IF_MASK))) {
        return false;
    }
    if (injecting && type == VMX_INTERRUPTION_TYPE_EXTERNAL && shadow) {
        return false;
    }
    if (injecting && type == VMX_INTERRUPTION_TYPE_NMI) {
        if (blocked & VMX_BLOCKING_BY_MOV_SS) {
            return false;
        }
        if (blocked & VMX_BLOCKING_BY_STI) {
            *qual = QUAL_NMI_STI;
            return false;
        }
        /* Blocking by NMI is then that of virtual NMIs (DM-RET-28). */
        if ((entry->ctl.pin & VMX_PIN_VIRTUAL_NMIS) &&
            (blocked & VMX_BLOCKING_BY_NMI)) {
            return false;
        }
    }
    /*
     * An entry outside SMM cannot block SMIs (DM-CTL-11), one to SMM must
     * (DM-CTL-09), a return from SMM has the choice (DM-RET-34).
     */
    if ((blocked & VMX_BLOCKING_BY_SMI) ? !in_smm : smm_entry) {
        return false;
    }

    if (pending & ~(VMX_PENDING_DEBUG_BP | VMX_PENDING_DEBUG_ENABLED |
                    VMX_PENDING_DEBUG_BS)) {
        return false;
    }
    if (shadow || activity == VMX_ACTIVITY_HLT) {
        bool btf = vmcs_read(v, VMCS_GUEST_IA32_DEBUGCTL) & VMX_DEBUGCTL_BTF;
        bool bs = pending & VMX_PENDING_DEBUG_BS;

        if (bs != ((rflags & TF_MASK) && !btf)) {
            return false;
        }
    }
    return true;
}

/*
 * The VMCS link pointer is all ones or names a VMCS, but not the one that will
 * be in use: there are no shadow VMCSs (DM-CTL-12, DM-RET-29 to DM-RET-31).
 */
static bool check_link_pointer(CPUX86State *env, const VMXEntry *entry)
{
    uint64_t link = vmcs_read(entry->guest, VMCS_LINK_POINTER);

    if (link == VMCS_POINTER_NONE) {
        return true;
    }
    if (!vmx_pointer_valid(env, link) ||
        vmx_region_revision(env, link) != VMX_VMCS_REVISION) {
        return false;
    }
    return link != (entry->returns_from_smm ? entry->executive :
                                              env->vmx.current_vmcs);
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
    } else {
        vmx_read_pdptes(env, vmcs_read(v, VMCS_GUEST_CR3), pdpte);
    }
    return vmx_pdptes_valid(env, pdpte);
}

bool vmx_check_guest_state(CPUX86State *env, const VMXEntry *entry,
                           uint64_t *qualification)
{
    *qualification = QUAL_OTHER;
    if (!check_registers(env, entry) || !check_segments(env, entry) ||
        !check_rip_rflags(env, entry) ||
        !check_non_register(env, entry, qualification)) {
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
