/*
 * VMX: which VMCS fields exist, and what they are called
 *
 * Intel SDM volume 3, appendix "Field Encoding in VMCS".  The names are those
 * of vmcs-layout.h.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "cpu.h"
#include "vmcs.h"

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
bool vmcs_field_exists(uint64_t enc)
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
/* Names                                                               */

static const char * const segment_names[] = {
    "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
};
static const char * const target_names[] = { "0", "1", "2", "3" };

#define NAMED(field)    { VMCS_##field, #field }
/* One field for each of @parts, which stands between @before and @after. */
#define FAMILY(field, before, parts, count, after)                       \
    { VMCS_##field, before, parts, count, after }

static const struct {
    uint16_t first;
    const char *name;
    const char * const *parts;
    uint8_t count;
    const char *after;
} vmcs_names[] = {
    NAMED(VPID),
    FAMILY(GUEST_ES_SELECTOR, "GUEST_", segment_names, 8, "_SELECTOR"),
    FAMILY(HOST_ES_SELECTOR, "HOST_", segment_names, 6, "_SELECTOR"),
    NAMED(HOST_TR_SELECTOR),
    NAMED(IO_BITMAP_A),
    NAMED(IO_BITMAP_B),
    NAMED(MSR_BITMAP),
    NAMED(EXIT_MSR_STORE_ADDRESS),
    NAMED(EXIT_MSR_LOAD_ADDRESS),
    NAMED(ENTRY_MSR_LOAD_ADDRESS),
    NAMED(EXECUTIVE_VMCS_POINTER),
    NAMED(TSC_OFFSET),
    NAMED(VIRTUAL_APIC_ADDRESS),
    NAMED(APIC_ACCESS_ADDRESS),
    NAMED(VM_FUNCTION_CONTROLS),
    NAMED(EPT_POINTER),
    NAMED(EPTP_LIST_ADDRESS),
    NAMED(XSS_EXITING_BITMAP),
    NAMED(GUEST_PHYSICAL_ADDRESS),
    NAMED(LINK_POINTER),
    NAMED(GUEST_IA32_DEBUGCTL),
    NAMED(GUEST_IA32_PAT),
    NAMED(GUEST_IA32_EFER),
    NAMED(GUEST_IA32_PERF_GLOBAL_CTRL),
    NAMED(GUEST_PDPTE0),
    NAMED(GUEST_PDPTE1),
    NAMED(GUEST_PDPTE2),
    NAMED(GUEST_PDPTE3),
    NAMED(HOST_IA32_PAT),
    NAMED(HOST_IA32_EFER),
    NAMED(HOST_IA32_PERF_GLOBAL_CTRL),
    NAMED(PIN_CONTROLS),
    NAMED(PROCESSOR_CONTROLS),
    NAMED(EXCEPTION_BITMAP),
    NAMED(PAGE_FAULT_ERROR_CODE_MASK),
    NAMED(PAGE_FAULT_ERROR_CODE_MATCH),
    NAMED(CR3_TARGET_COUNT),
    NAMED(EXIT_CONTROLS),
    NAMED(EXIT_MSR_STORE_COUNT),
    NAMED(EXIT_MSR_LOAD_COUNT),
    NAMED(ENTRY_CONTROLS),
    NAMED(ENTRY_MSR_LOAD_COUNT),
    NAMED(ENTRY_INTERRUPTION_INFO),
    NAMED(ENTRY_EXCEPTION_ERROR_CODE),
    NAMED(ENTRY_INSTRUCTION_LENGTH),
    NAMED(TPR_THRESHOLD),
    NAMED(SECONDARY_CONTROLS),
    NAMED(PLE_GAP),
    NAMED(PLE_WINDOW),
    NAMED(INSTRUCTION_ERROR),
    NAMED(EXIT_REASON),
    NAMED(EXIT_INTERRUPTION_INFO),
    NAMED(EXIT_INTERRUPTION_ERROR_CODE),
    NAMED(IDT_VECTORING_INFO),
    NAMED(IDT_VECTORING_ERROR_CODE),
    NAMED(EXIT_INSTRUCTION_LENGTH),
    NAMED(EXIT_INSTRUCTION_INFO),
    FAMILY(GUEST_ES_LIMIT, "GUEST_", segment_names, 8, "_LIMIT"),
    NAMED(GUEST_GDTR_LIMIT),
    NAMED(GUEST_IDTR_LIMIT),
    FAMILY(GUEST_ES_ACCESS_RIGHTS, "GUEST_", segment_names, 8,
           "_ACCESS_RIGHTS"),
    NAMED(GUEST_INTERRUPTIBILITY_STATE),
    NAMED(GUEST_ACTIVITY_STATE),
    NAMED(GUEST_SMBASE),
    NAMED(GUEST_IA32_SYSENTER_CS),
    NAMED(PREEMPTION_TIMER_VALUE),
    NAMED(HOST_IA32_SYSENTER_CS),
    NAMED(CR0_GUEST_HOST_MASK),
    NAMED(CR4_GUEST_HOST_MASK),
    NAMED(CR0_READ_SHADOW),
    NAMED(CR4_READ_SHADOW),
    FAMILY(CR3_TARGET0, "CR3_TARGET", target_names, 4, ""),
    NAMED(EXIT_QUALIFICATION),
    NAMED(IO_RCX),
    NAMED(IO_RSI),
    NAMED(IO_RDI),
    NAMED(IO_RIP),
    NAMED(GUEST_LINEAR_ADDRESS),
    NAMED(GUEST_CR0),
    NAMED(GUEST_CR3),
    NAMED(GUEST_CR4),
    FAMILY(GUEST_ES_BASE, "GUEST_", segment_names, 8, "_BASE"),
    NAMED(GUEST_GDTR_BASE),
    NAMED(GUEST_IDTR_BASE),
    NAMED(GUEST_DR7),
    NAMED(GUEST_RSP),
    NAMED(GUEST_RIP),
    NAMED(GUEST_RFLAGS),
    NAMED(GUEST_PENDING_DEBUG_EXCEPTIONS),
    NAMED(GUEST_IA32_SYSENTER_ESP),
    NAMED(GUEST_IA32_SYSENTER_EIP),
    NAMED(HOST_CR0),
    NAMED(HOST_CR3),
    NAMED(HOST_CR4),
    NAMED(HOST_FS_BASE),
    NAMED(HOST_GS_BASE),
    NAMED(HOST_TR_BASE),
    NAMED(HOST_GDTR_BASE),
    NAMED(HOST_IDTR_BASE),
    NAMED(HOST_IA32_SYSENTER_ESP),
    NAMED(HOST_IA32_SYSENTER_EIP),
    NAMED(HOST_RSP),
    NAMED(HOST_RIP),
};

#undef NAMED
#undef FAMILY

void vmcs_field_name(unsigned enc, char name[VMX_NAME_SIZE])
{
    int i;

    for (i = 0; i < ARRAY_SIZE(vmcs_names); i++) {
        unsigned index = (enc - vmcs_names[i].first) / 2;

        if (enc < vmcs_names[i].first || index >= MAX(vmcs_names[i].count, 1)) {
            continue;
        }
        if (!vmcs_names[i].parts) {
            pstrcpy(name, VMX_NAME_SIZE, vmcs_names[i].name);
        } else {
            snprintf(name, VMX_NAME_SIZE, "%s%s%s", vmcs_names[i].name,
                     vmcs_names[i].parts[index], vmcs_names[i].after);
        }
        return;
    }
    snprintf(name, VMX_NAME_SIZE, "FIELD_%04XH", enc);
}

void vmcs_for_each_field(void (*visit)(unsigned enc, void *opaque),
                         void *opaque)
{
    unsigned enc;
    int i;

    for (i = 0; i < ARRAY_SIZE(vmcs_fields); i++) {
        for (enc = vmcs_fields[i].first; enc <= vmcs_fields[i].last; enc += 2) {
            visit(enc, opaque);
        }
    }
}
