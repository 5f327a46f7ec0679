/*
 * VMX: VM-entry checks on the guest's segment and descriptor-table registers
 *
 * Intel SDM volume 3, "Checks on Guest Segment Registers" and "Checks on Guest
 * Descriptor-Table Registers".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "vmx-transition.h"

#define AR_TYPE(ar)         ((ar) & 0xf)
#define AR_S                (1u << 4)
#define AR_DPL(ar)          VMX_ACCESS_DPL(ar)
#define AR_P                (1u << 7)
#define AR_L                (1u << 13)
#define AR_DB               (1u << 14)
#define AR_G                (1u << 15)
#define AR_RESERVED         0xfffe0f00u

#define SEG_LDTR 6
#define SEG_TR   7

typedef struct GuestSegment {
    int index;                  /* R_ES to R_GS, SEG_LDTR, SEG_TR */
    uint16_t selector;
    uint32_t limit;
    uint32_t ar;
    uint64_t base;
    bool usable;
} GuestSegment;

static GuestSegment guest_segment(const VMXVmcs *v, int index)
{
    GuestSegment seg = {
        .index = index,
        .selector = vmcs_read(v, VMCS_GUEST_ES_SELECTOR + index * 2),
        .limit = vmcs_read(v, VMCS_GUEST_ES_LIMIT + index * 2),
        .ar = vmcs_read(v, VMCS_GUEST_ES_ACCESS_RIGHTS + index * 2),
        .base = vmcs_read(v, VMCS_GUEST_ES_BASE + index * 2),
    };

    seg.usable = !(seg.ar & VMX_ACCESS_UNUSABLE);
    return seg;
}

static bool unrestricted(const VMXEntry *entry)
{
    return entry->ctl.proc2 & VMX_CPU2_UNRESTRICTED_GUEST;
}

#define REFUSE(rule, part, seg, demand)                                  \
    VMX_REFUSE_SEGMENT(env, entry->guest, rule, part, (seg)->index, demand)

static bool check_canonical(CPUX86State *env, const VMXEntry *entry,
                            const GuestSegment *seg)
{
    return vmx_canonical(seg->base) ||
           REFUSE("VMX-GST-19", BASE, seg, "canonical");
}

static bool check_base32(CPUX86State *env, const VMXEntry *entry,
                         const GuestSegment *seg)
{
    return !(seg->base >> 32) ||
           REFUSE("VMX-GST-20", BASE, seg, "bits 63:32 are 0");
}

static bool limit_granular(const GuestSegment *seg)
{
    if ((seg->limit & 0xfff) != 0xfff && (seg->ar & AR_G)) {
        return false;
    }
    return !(seg->limit & 0xfff00000) || (seg->ar & AR_G);
}

/* S, P, reserved bits and G of a segment that is not a system segment. */
static bool check_rights(CPUX86State *env, const VMXEntry *entry,
                         const GuestSegment *seg)
{
    if (!(seg->ar & AR_S)) {
        return REFUSE("VMX-GST-24", ACCESS_RIGHTS, seg, "S is 1");
    }
    if (!(seg->ar & AR_P)) {
        return REFUSE("VMX-GST-28", ACCESS_RIGHTS, seg, "P is 1");
    }
    if (seg->ar & AR_RESERVED) {
        return REFUSE("VMX-GST-29", ACCESS_RIGHTS, seg,
                      "bits 11:8 and 31:17 are 0");
    }
    return limit_granular(seg) ||
           REFUSE("VMX-GST-31", LIMIT, seg,
                  "bits 11:0 all 1 with G = 1, bits 31:20 all 0 with G = 0");
}

/* Segment registers of a virtual-8086 guest. */
static bool check_segments_vm86(CPUX86State *env, const VMXEntry *entry)
{
    int i;

    for (i = R_ES; i <= R_GS; i++) {
        GuestSegment seg = guest_segment(entry->guest, i);

        if (seg.base != (uint64_t)seg.selector << 4) {
            return REFUSE("VMX-GST-16", BASE, &seg,
                          "the selector times 16 in virtual-8086 mode");
        }
        if (seg.limit != 0xffff) {
            return REFUSE("VMX-GST-17", LIMIT, &seg,
                          "FFFFH in virtual-8086 mode");
        }
        if (seg.ar != 0xf3) {
            return REFUSE("VMX-GST-18", ACCESS_RIGHTS, &seg,
                          "F3H in virtual-8086 mode");
        }
    }
    return true;
}

static bool check_cs(CPUX86State *env, const VMXEntry *entry,
                     const GuestSegment *cs, const GuestSegment *ss)
{
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;

    if (!cs->usable) {
        return REFUSE("VMX-GST-28", ACCESS_RIGHTS, cs, "usable, P is 1");
    }
    switch (AR_TYPE(cs->ar)) {
    case 3:
        if (!unrestricted(entry)) {
            return REFUSE("VMX-GST-21", ACCESS_RIGHTS, cs,
                          "accessed code, or type 3 in an unrestricted guest");
        }
        if (AR_DPL(cs->ar) != 0) {
            return REFUSE("VMX-GST-25", ACCESS_RIGHTS, cs,
                          "DPL is 0 with type 3");
        }
        break;
    case 9:
    case 11:
        if (AR_DPL(cs->ar) != AR_DPL(ss->ar)) {
            return REFUSE("VMX-GST-25", ACCESS_RIGHTS, cs,
                          "DPL of non-conforming code is that of SS");
        }
        break;
    case 13:
    case 15:
        if (AR_DPL(cs->ar) > AR_DPL(ss->ar)) {
            return REFUSE("VMX-GST-25", ACCESS_RIGHTS, cs,
                          "DPL of conforming code is not above that of SS");
        }
        break;
    default:
        return REFUSE("VMX-GST-21", ACCESS_RIGHTS, cs,
                      "accessed code, or type 3 in an unrestricted guest");
    }
    if (!check_rights(env, entry, cs) || !check_base32(env, entry, cs)) {
        return false;
    }
    if (ia32e && (cs->ar & AR_L) && (cs->ar & AR_DB)) {
        return REFUSE("VMX-GST-30", ACCESS_RIGHTS, cs,
                      "D is 0 with L = 1 in an IA-32e mode guest");
    }
    return true;
}

static bool check_ss(CPUX86State *env, const VMXEntry *entry,
                     const GuestSegment *cs, const GuestSegment *ss)
{
    bool real = !(vmcs_read(entry->guest, VMCS_GUEST_CR0) & CR0_PE_MASK);

    if (!unrestricted(entry) && (ss->selector & 3) != (cs->selector & 3)) {
        return REFUSE("VMX-GST-15", SELECTOR, ss, "RPL is that of CS");
    }
    if (!unrestricted(entry) && AR_DPL(ss->ar) != (ss->selector & 3)) {
        return REFUSE("VMX-GST-26", ACCESS_RIGHTS, ss, "DPL is the RPL");
    }
    if ((AR_TYPE(cs->ar) == 3 || real) && AR_DPL(ss->ar) != 0) {
        return REFUSE("VMX-GST-26", ACCESS_RIGHTS, ss,
                      "DPL is 0 with CS of type 3 or CR0.PE = 0");
    }
    if (!ss->usable) {
        return true;
    }
    if (AR_TYPE(ss->ar) != 3 && AR_TYPE(ss->ar) != 7) {
        return REFUSE("VMX-GST-22", ACCESS_RIGHTS, ss, "type 3 or 7");
    }
    return check_rights(env, entry, ss) && check_base32(env, entry, ss);
}

static bool check_data_segment(CPUX86State *env, const VMXEntry *entry,
                               int index)
{
    GuestSegment seg = guest_segment(entry->guest, index);
    const bool fs_gs = index == R_FS || index == R_GS;

    if (fs_gs && !check_canonical(env, entry, &seg)) {
        return false;
    }
    if (!seg.usable) {
        return true;
    }
    if (!(seg.ar & 1) || ((seg.ar & 8) && !(seg.ar & 2))) {
        return REFUSE("VMX-GST-23", ACCESS_RIGHTS, &seg,
                      "accessed, and readable if it is code");
    }
    if (!check_rights(env, entry, &seg)) {
        return false;
    }
    if (!unrestricted(entry) && AR_TYPE(seg.ar) <= 11 &&
        AR_DPL(seg.ar) < (seg.selector & 3)) {
        return REFUSE("VMX-GST-27", ACCESS_RIGHTS, &seg,
                      "DPL is at least the RPL");
    }
    return fs_gs || check_base32(env, entry, &seg);
}

static bool check_tr(CPUX86State *env, const VMXEntry *entry)
{
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    GuestSegment tr = guest_segment(entry->guest, SEG_TR);

    if (tr.selector & 4) {
        return REFUSE("VMX-GST-14", SELECTOR, &tr, "TI is 0");
    }
    if (!check_canonical(env, entry, &tr)) {
        return false;
    }
    if (AR_TYPE(tr.ar) != 11 && (AR_TYPE(tr.ar) != 3 || ia32e)) {
        return REFUSE("VMX-GST-32", ACCESS_RIGHTS, &tr,
                      "a busy TSS, 32-bit in an IA-32e mode guest");
    }
    if (!tr.usable || (tr.ar & (AR_S | AR_RESERVED)) || !(tr.ar & AR_P)) {
        return REFUSE("VMX-GST-33", ACCESS_RIGHTS, &tr,
                      "usable, P is 1, S and reserved bits are 0");
    }
    return limit_granular(&tr) ||
           REFUSE("VMX-GST-33", LIMIT, &tr,
                  "bits 11:0 all 1 with G = 1, bits 31:20 all 0 with G = 0");
}

static bool check_ldtr(CPUX86State *env, const VMXEntry *entry)
{
    GuestSegment ldtr = guest_segment(entry->guest, SEG_LDTR);

    if (!ldtr.usable) {
        return true;
    }
    if (ldtr.selector & 4) {
        return REFUSE("VMX-GST-14", SELECTOR, &ldtr, "TI is 0");
    }
    if (!check_canonical(env, entry, &ldtr)) {
        return false;
    }
    if (AR_TYPE(ldtr.ar) != 2 || (ldtr.ar & (AR_S | AR_RESERVED)) ||
        !(ldtr.ar & AR_P)) {
        return REFUSE("VMX-GST-34", ACCESS_RIGHTS, &ldtr,
                      "type 2, P is 1, S and reserved bits are 0");
    }
    return limit_granular(&ldtr) ||
           REFUSE("VMX-GST-34", LIMIT, &ldtr,
                  "bits 11:0 all 1 with G = 1, bits 31:20 all 0 with G = 0");
}

/* "Checks on Guest Descriptor-Table Registers" */
static bool check_tables(CPUX86State *env, const VMXVmcs *v)
{
    if (!VMX_CHECK_CANONICAL(env, v, "VMX-GST-36", GUEST_GDTR_BASE) ||
        !VMX_CHECK_CANONICAL(env, v, "VMX-GST-36", GUEST_IDTR_BASE)) {
        return false;
    }
    if (vmcs_read(v, VMCS_GUEST_GDTR_LIMIT) > 0xffff) {
        return VMX_REFUSE(env, v, "VMX-GST-37", GUEST_GDTR_LIMIT,
                          "bits 31:16 are 0");
    }
    if (vmcs_read(v, VMCS_GUEST_IDTR_LIMIT) > 0xffff) {
        return VMX_REFUSE(env, v, "VMX-GST-37", GUEST_IDTR_LIMIT,
                          "bits 31:16 are 0");
    }
    return true;
}

bool vmx_check_guest_segments(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;

    if (vmcs_read(v, VMCS_GUEST_RFLAGS) & VM_MASK) {
        if (!check_segments_vm86(env, entry)) {
            return false;
        }
    } else {
        GuestSegment cs = guest_segment(v, R_CS);
        GuestSegment ss = guest_segment(v, R_SS);

        if (!check_cs(env, entry, &cs, &ss) ||
            !check_ss(env, entry, &cs, &ss) ||
            !check_data_segment(env, entry, R_DS) ||
            !check_data_segment(env, entry, R_ES) ||
            !check_data_segment(env, entry, R_FS) ||
            !check_data_segment(env, entry, R_GS)) {
            return false;
        }
    }
    return check_tr(env, entry) && check_ldtr(env, entry) &&
           check_tables(env, v);
}
