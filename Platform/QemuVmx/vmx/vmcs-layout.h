/*
 * VMX: VMCS field encodings and the layout of the VMCS region
 *
 * Encodings: Intel SDM volume 3, appendix "Field Encoding in VMCS".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMCS_LAYOUT_H
#define I386_TCG_VMCS_LAYOUT_H

#define VMX_VMCS_REVISION       0x53544d02u
#define VMX_VMCS_SIZE           1024

/* Header of the region; the SDM fixes the first two, the third is ours. */
#define VMCS_OFFSET_REVISION    0
#define VMCS_OFFSET_ABORT       4
#define VMCS_OFFSET_LAUNCHED    8
#define VMCS_OFFSET_FIELDS      64

/* "Structure of VMCS Component Encoding" */
#define VMCS_ENC_HIGH           1u
#define VMCS_ENC_INDEX(enc)     (((enc) >> 1) & 0x1ff)
#define VMCS_ENC_TYPE(enc)      (((enc) >> 10) & 3)
#define VMCS_ENC_WIDTH(enc)     (((enc) >> 13) & 3)

#define VMCS_TYPE_CONTROL       0
#define VMCS_TYPE_READ_ONLY     1
#define VMCS_TYPE_GUEST         2
#define VMCS_TYPE_HOST          3

#define VMCS_WIDTH_16           0
#define VMCS_WIDTH_64           1
#define VMCS_WIDTH_32           2
#define VMCS_WIDTH_NATURAL      3

/*
 * Every field has a little-endian slot: of 8 bytes, or of 4 if it is no wider.
 * The slots of one width and type, a group, are adjacent and ordered by index,
 * so that the offset follows from the encoding.  Each group is as long as its
 * highest index wants it.
 */
enum {
    VMCS_GROUP_64_CONTROL   = VMCS_OFFSET_FIELDS,
    VMCS_GROUP_64_READ_ONLY = VMCS_GROUP_64_CONTROL + 23 * 8,
    VMCS_GROUP_64_GUEST     = VMCS_GROUP_64_READ_ONLY + 1 * 8,
    VMCS_GROUP_64_HOST      = VMCS_GROUP_64_GUEST + 9 * 8,
    VMCS_GROUP_N_CONTROL    = VMCS_GROUP_64_HOST + 3 * 8,
    VMCS_GROUP_N_READ_ONLY  = VMCS_GROUP_N_CONTROL + 8 * 8,
    VMCS_GROUP_N_GUEST      = VMCS_GROUP_N_READ_ONLY + 6 * 8,
    VMCS_GROUP_N_HOST       = VMCS_GROUP_N_GUEST + 20 * 8,
    VMCS_GROUP_32_CONTROL   = VMCS_GROUP_N_HOST + 12 * 8,
    VMCS_GROUP_32_READ_ONLY = VMCS_GROUP_32_CONTROL + 18 * 4,
    VMCS_GROUP_32_GUEST     = VMCS_GROUP_32_READ_ONLY + 8 * 4,
    VMCS_GROUP_32_HOST      = VMCS_GROUP_32_GUEST + 24 * 4,
    VMCS_GROUP_16_CONTROL   = VMCS_GROUP_32_HOST + 1 * 4,
    VMCS_GROUP_16_READ_ONLY = VMCS_GROUP_16_CONTROL + 1 * 4,
    VMCS_GROUP_16_GUEST     = VMCS_GROUP_16_READ_ONLY,
    VMCS_GROUP_16_HOST      = VMCS_GROUP_16_GUEST + 8 * 4,
    VMCS_FIELDS_END         = VMCS_GROUP_16_HOST + 7 * 4,
};

/* Bytes of a field's slot. */
static inline unsigned vmcs_slot_size(unsigned enc)
{
    return VMCS_ENC_WIDTH(enc) & 1 ? 8 : 4;
}

/* Of a field that exists. */
static inline unsigned vmcs_field_offset(unsigned enc)
{
    static const uint16_t groups[] = {
        VMCS_GROUP_16_CONTROL, VMCS_GROUP_16_READ_ONLY,
        VMCS_GROUP_16_GUEST, VMCS_GROUP_16_HOST,
        VMCS_GROUP_64_CONTROL, VMCS_GROUP_64_READ_ONLY,
        VMCS_GROUP_64_GUEST, VMCS_GROUP_64_HOST,
        VMCS_GROUP_32_CONTROL, VMCS_GROUP_32_READ_ONLY,
        VMCS_GROUP_32_GUEST, VMCS_GROUP_32_HOST,
        VMCS_GROUP_N_CONTROL, VMCS_GROUP_N_READ_ONLY,
        VMCS_GROUP_N_GUEST, VMCS_GROUP_N_HOST,
    };

    return groups[VMCS_ENC_WIDTH(enc) * 4 + VMCS_ENC_TYPE(enc)] +
           VMCS_ENC_INDEX(enc) * vmcs_slot_size(enc);
}

enum {
    /* 16-bit */
    VMCS_VPID                           = 0x0000,
    VMCS_GUEST_ES_SELECTOR              = 0x0800,   /* +2 per register */
    VMCS_GUEST_CS_SELECTOR              = 0x0802,
    VMCS_GUEST_SS_SELECTOR              = 0x0804,
    VMCS_GUEST_DS_SELECTOR              = 0x0806,
    VMCS_GUEST_FS_SELECTOR              = 0x0808,
    VMCS_GUEST_GS_SELECTOR              = 0x080a,
    VMCS_GUEST_LDTR_SELECTOR            = 0x080c,
    VMCS_GUEST_TR_SELECTOR              = 0x080e,
    VMCS_HOST_ES_SELECTOR               = 0x0c00,   /* +2 per register */
    VMCS_HOST_CS_SELECTOR               = 0x0c02,
    VMCS_HOST_SS_SELECTOR               = 0x0c04,
    VMCS_HOST_DS_SELECTOR               = 0x0c06,
    VMCS_HOST_FS_SELECTOR               = 0x0c08,
    VMCS_HOST_GS_SELECTOR               = 0x0c0a,
    VMCS_HOST_TR_SELECTOR               = 0x0c0c,

    /* 64-bit */
    VMCS_IO_BITMAP_A                    = 0x2000,
    VMCS_IO_BITMAP_B                    = 0x2002,
    VMCS_MSR_BITMAP                     = 0x2004,
    VMCS_EXIT_MSR_STORE_ADDRESS         = 0x2006,
    VMCS_EXIT_MSR_LOAD_ADDRESS          = 0x2008,
    VMCS_ENTRY_MSR_LOAD_ADDRESS         = 0x200a,
    VMCS_EXECUTIVE_VMCS_POINTER         = 0x200c,
    VMCS_TSC_OFFSET                     = 0x2010,
    VMCS_VIRTUAL_APIC_ADDRESS           = 0x2012,
    VMCS_APIC_ACCESS_ADDRESS            = 0x2014,
    VMCS_VM_FUNCTION_CONTROLS           = 0x2018,
    VMCS_EPT_POINTER                    = 0x201a,
    VMCS_EPTP_LIST_ADDRESS              = 0x2024,
    VMCS_XSS_EXITING_BITMAP             = 0x202c,
    VMCS_GUEST_PHYSICAL_ADDRESS         = 0x2400,
    VMCS_LINK_POINTER                   = 0x2800,
    VMCS_GUEST_IA32_DEBUGCTL            = 0x2802,
    VMCS_GUEST_IA32_PAT                 = 0x2804,
    VMCS_GUEST_IA32_EFER                = 0x2806,
    VMCS_GUEST_IA32_PERF_GLOBAL_CTRL    = 0x2808,
    VMCS_GUEST_PDPTE0                   = 0x280a,
    VMCS_GUEST_PDPTE1                   = 0x280c,
    VMCS_GUEST_PDPTE2                   = 0x280e,
    VMCS_GUEST_PDPTE3                   = 0x2810,
    VMCS_HOST_IA32_PAT                  = 0x2c00,
    VMCS_HOST_IA32_EFER                 = 0x2c02,
    VMCS_HOST_IA32_PERF_GLOBAL_CTRL     = 0x2c04,

    /* 32-bit */
    VMCS_PIN_CONTROLS                   = 0x4000,
    VMCS_PROCESSOR_CONTROLS             = 0x4002,
    VMCS_EXCEPTION_BITMAP               = 0x4004,
    VMCS_PAGE_FAULT_ERROR_CODE_MASK     = 0x4006,
    VMCS_PAGE_FAULT_ERROR_CODE_MATCH    = 0x4008,
    VMCS_CR3_TARGET_COUNT               = 0x400a,
    VMCS_EXIT_CONTROLS                  = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT           = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT            = 0x4010,
    VMCS_ENTRY_CONTROLS                 = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT           = 0x4014,
    VMCS_ENTRY_INTERRUPTION_INFO        = 0x4016,
    VMCS_ENTRY_EXCEPTION_ERROR_CODE     = 0x4018,
    VMCS_ENTRY_INSTRUCTION_LENGTH       = 0x401a,
    VMCS_TPR_THRESHOLD                  = 0x401c,
    VMCS_SECONDARY_CONTROLS             = 0x401e,
    VMCS_PLE_GAP                        = 0x4020,
    VMCS_PLE_WINDOW                     = 0x4022,
    VMCS_INSTRUCTION_ERROR              = 0x4400,
    VMCS_EXIT_REASON                    = 0x4402,
    VMCS_EXIT_INTERRUPTION_INFO         = 0x4404,
    VMCS_EXIT_INTERRUPTION_ERROR_CODE   = 0x4406,
    VMCS_IDT_VECTORING_INFO             = 0x4408,
    VMCS_IDT_VECTORING_ERROR_CODE       = 0x440a,
    VMCS_EXIT_INSTRUCTION_LENGTH        = 0x440c,
    VMCS_EXIT_INSTRUCTION_INFO          = 0x440e,
    VMCS_GUEST_ES_LIMIT                 = 0x4800,   /* +2 per register */
    VMCS_GUEST_LDTR_LIMIT               = 0x480c,
    VMCS_GUEST_TR_LIMIT                 = 0x480e,
    VMCS_GUEST_GDTR_LIMIT               = 0x4810,
    VMCS_GUEST_IDTR_LIMIT               = 0x4812,
    VMCS_GUEST_ES_ACCESS_RIGHTS         = 0x4814,   /* +2 per register */
    VMCS_GUEST_CS_ACCESS_RIGHTS         = 0x4816,
    VMCS_GUEST_SS_ACCESS_RIGHTS         = 0x4818,
    VMCS_GUEST_LDTR_ACCESS_RIGHTS       = 0x4820,
    VMCS_GUEST_TR_ACCESS_RIGHTS         = 0x4822,
    VMCS_GUEST_INTERRUPTIBILITY_STATE         = 0x4824,
    VMCS_GUEST_ACTIVITY_STATE           = 0x4826,
    VMCS_GUEST_SMBASE                   = 0x4828,
    VMCS_GUEST_IA32_SYSENTER_CS              = 0x482a,
    VMCS_PREEMPTION_TIMER_VALUE         = 0x482e,
    VMCS_HOST_IA32_SYSENTER_CS               = 0x4c00,

    /* natural width */
    VMCS_CR0_GUEST_HOST_MASK                       = 0x6000,
    VMCS_CR4_GUEST_HOST_MASK                       = 0x6002,
    VMCS_CR0_READ_SHADOW                = 0x6004,
    VMCS_CR4_READ_SHADOW                = 0x6006,
    VMCS_CR3_TARGET0                    = 0x6008,   /* +2 per target */
    VMCS_EXIT_QUALIFICATION             = 0x6400,
    VMCS_IO_RCX                         = 0x6402,
    VMCS_IO_RSI                         = 0x6404,
    VMCS_IO_RDI                         = 0x6406,
    VMCS_IO_RIP                         = 0x6408,
    VMCS_GUEST_LINEAR_ADDRESS           = 0x640a,
    VMCS_GUEST_CR0                      = 0x6800,
    VMCS_GUEST_CR3                      = 0x6802,
    VMCS_GUEST_CR4                      = 0x6804,
    VMCS_GUEST_ES_BASE                  = 0x6806,   /* +2 per register */
    VMCS_GUEST_LDTR_BASE                = 0x6812,
    VMCS_GUEST_TR_BASE                  = 0x6814,
    VMCS_GUEST_GDTR_BASE                = 0x6816,
    VMCS_GUEST_IDTR_BASE                = 0x6818,
    VMCS_GUEST_DR7                      = 0x681a,
    VMCS_GUEST_RSP                      = 0x681c,
    VMCS_GUEST_RIP                      = 0x681e,
    VMCS_GUEST_RFLAGS                   = 0x6820,
    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS            = 0x6822,
    VMCS_GUEST_IA32_SYSENTER_ESP             = 0x6824,
    VMCS_GUEST_IA32_SYSENTER_EIP             = 0x6826,
    VMCS_HOST_CR0                       = 0x6c00,
    VMCS_HOST_CR3                       = 0x6c02,
    VMCS_HOST_CR4                       = 0x6c04,
    VMCS_HOST_FS_BASE                   = 0x6c06,
    VMCS_HOST_GS_BASE                   = 0x6c08,
    VMCS_HOST_TR_BASE                   = 0x6c0a,
    VMCS_HOST_GDTR_BASE                 = 0x6c0c,
    VMCS_HOST_IDTR_BASE                 = 0x6c0e,
    VMCS_HOST_IA32_SYSENTER_ESP              = 0x6c10,
    VMCS_HOST_IA32_SYSENTER_EIP              = 0x6c12,
    VMCS_HOST_RSP                       = 0x6c14,
    VMCS_HOST_RIP                       = 0x6c16,
};

/* Highest index of any field above, reported in IA32_VMX_VMCS_ENUM. */
#define VMCS_HIGHEST_INDEX              0x17

#endif
