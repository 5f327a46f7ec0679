/** @file
  VMCS field encodings: SDM "Field Encoding in VMCS", appendix B. The low bit of an encoding
  selects the high 32 bits of a 64-bit field. Register/Vmx.h includes them.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef REGISTER_VMX_FIELDS_H_
#define REGISTER_VMX_FIELDS_H_

//
// 16-bit fields
//
#define VMCS_VPID                    0x0000
#define VMCS_GUEST_ES_SELECTOR       0x0800
#define VMCS_GUEST_CS_SELECTOR       0x0802
#define VMCS_GUEST_SS_SELECTOR       0x0804
#define VMCS_GUEST_DS_SELECTOR       0x0806
#define VMCS_GUEST_FS_SELECTOR       0x0808
#define VMCS_GUEST_GS_SELECTOR       0x080A
#define VMCS_GUEST_LDTR_SELECTOR     0x080C
#define VMCS_GUEST_TR_SELECTOR       0x080E
#define VMCS_GUEST_INTERRUPT_STATUS  0x0810
#define VMCS_HOST_ES_SELECTOR        0x0C00
#define VMCS_HOST_CS_SELECTOR        0x0C02
#define VMCS_HOST_SS_SELECTOR        0x0C04
#define VMCS_HOST_DS_SELECTOR        0x0C06
#define VMCS_HOST_FS_SELECTOR        0x0C08
#define VMCS_HOST_GS_SELECTOR        0x0C0A
#define VMCS_HOST_TR_SELECTOR        0x0C0C

//
// 64-bit fields
//
#define VMCS_IO_BITMAP_A                  0x2000
#define VMCS_IO_BITMAP_B                  0x2002
#define VMCS_MSR_BITMAP                   0x2004
#define VMCS_EXIT_MSR_STORE_ADDRESS       0x2006
#define VMCS_EXIT_MSR_LOAD_ADDRESS        0x2008
#define VMCS_ENTRY_MSR_LOAD_ADDRESS       0x200A
#define VMCS_EXECUTIVE_VMCS_POINTER       0x200C
#define VMCS_TSC_OFFSET                   0x2010
#define VMCS_VIRTUAL_APIC_ADDRESS         0x2012
#define VMCS_APIC_ACCESS_ADDRESS          0x2014
#define VMCS_EPT_POINTER                  0x201A
#define VMCS_XSS_EXITING_BITMAP           0x202C
#define VMCS_GUEST_PHYSICAL_ADDRESS       0x2400
#define VMCS_LINK_POINTER                 0x2800
#define VMCS_GUEST_IA32_DEBUGCTL          0x2802
#define VMCS_GUEST_IA32_PAT               0x2804
#define VMCS_GUEST_IA32_EFER              0x2806
#define VMCS_GUEST_IA32_PERF_GLOBAL_CTRL  0x2808
#define VMCS_GUEST_PDPTE0                 0x280A
#define VMCS_GUEST_PDPTE1                 0x280C
#define VMCS_GUEST_PDPTE2                 0x280E
#define VMCS_GUEST_PDPTE3                 0x2810
#define VMCS_HOST_IA32_PAT                0x2C00
#define VMCS_HOST_IA32_EFER               0x2C02
#define VMCS_HOST_IA32_PERF_GLOBAL_CTRL   0x2C04

//
// 32-bit fields
//
#define VMCS_PIN_CONTROLS                  0x4000
#define VMCS_PROCESSOR_CONTROLS            0x4002
#define VMCS_EXCEPTION_BITMAP              0x4004
#define VMCS_PAGE_FAULT_ERROR_CODE_MASK    0x4006
#define VMCS_PAGE_FAULT_ERROR_CODE_MATCH   0x4008
#define VMCS_CR3_TARGET_COUNT              0x400A
#define VMCS_EXIT_CONTROLS                 0x400C
#define VMCS_EXIT_MSR_STORE_COUNT          0x400E
#define VMCS_EXIT_MSR_LOAD_COUNT           0x4010
#define VMCS_ENTRY_CONTROLS                0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT          0x4014
#define VMCS_ENTRY_INTERRUPTION_INFO       0x4016
#define VMCS_ENTRY_EXCEPTION_ERROR_CODE    0x4018
#define VMCS_ENTRY_INSTRUCTION_LENGTH      0x401A
#define VMCS_TPR_THRESHOLD                 0x401C
#define VMCS_SECONDARY_CONTROLS            0x401E
#define VMCS_INSTRUCTION_ERROR             0x4400
#define VMCS_EXIT_REASON                   0x4402
#define VMCS_EXIT_INTERRUPTION_INFO        0x4404
#define VMCS_EXIT_INTERRUPTION_ERROR_CODE  0x4406
#define VMCS_IDT_VECTORING_INFO            0x4408
#define VMCS_IDT_VECTORING_ERROR_CODE      0x440A
#define VMCS_EXIT_INSTRUCTION_LENGTH       0x440C
#define VMCS_EXIT_INSTRUCTION_INFO         0x440E
#define VMCS_GUEST_ES_LIMIT                0x4800
#define VMCS_GUEST_CS_LIMIT                0x4802
#define VMCS_GUEST_SS_LIMIT                0x4804
#define VMCS_GUEST_DS_LIMIT                0x4806
#define VMCS_GUEST_FS_LIMIT                0x4808
#define VMCS_GUEST_GS_LIMIT                0x480A
#define VMCS_GUEST_LDTR_LIMIT              0x480C
#define VMCS_GUEST_TR_LIMIT                0x480E
#define VMCS_GUEST_GDTR_LIMIT              0x4810
#define VMCS_GUEST_IDTR_LIMIT              0x4812
#define VMCS_GUEST_ES_ACCESS_RIGHTS        0x4814
#define VMCS_GUEST_CS_ACCESS_RIGHTS        0x4816
#define VMCS_GUEST_SS_ACCESS_RIGHTS        0x4818
#define VMCS_GUEST_DS_ACCESS_RIGHTS        0x481A
#define VMCS_GUEST_FS_ACCESS_RIGHTS        0x481C
#define VMCS_GUEST_GS_ACCESS_RIGHTS        0x481E
#define VMCS_GUEST_LDTR_ACCESS_RIGHTS      0x4820
#define VMCS_GUEST_TR_ACCESS_RIGHTS        0x4822
#define VMCS_GUEST_INTERRUPTIBILITY_STATE  0x4824
#define VMCS_GUEST_ACTIVITY_STATE          0x4826
#define VMCS_GUEST_SMBASE                  0x4828
#define VMCS_GUEST_IA32_SYSENTER_CS        0x482A
#define VMCS_PREEMPTION_TIMER_VALUE        0x482E
#define VMCS_HOST_IA32_SYSENTER_CS         0x4C00

//
// Natural-width fields
//
#define VMCS_CR0_GUEST_HOST_MASK             0x6000
#define VMCS_CR4_GUEST_HOST_MASK             0x6002
#define VMCS_CR0_READ_SHADOW                 0x6004
#define VMCS_CR4_READ_SHADOW                 0x6006
#define VMCS_CR3_TARGET0                     0x6008
#define VMCS_CR3_TARGET1                     0x600A
#define VMCS_CR3_TARGET2                     0x600C
#define VMCS_CR3_TARGET3                     0x600E
#define VMCS_EXIT_QUALIFICATION              0x6400
#define VMCS_IO_RCX                          0x6402
#define VMCS_IO_RSI                          0x6404
#define VMCS_IO_RDI                          0x6406
#define VMCS_IO_RIP                          0x6408
#define VMCS_GUEST_LINEAR_ADDRESS            0x640A
#define VMCS_GUEST_CR0                       0x6800
#define VMCS_GUEST_CR3                       0x6802
#define VMCS_GUEST_CR4                       0x6804
#define VMCS_GUEST_ES_BASE                   0x6806
#define VMCS_GUEST_CS_BASE                   0x6808
#define VMCS_GUEST_SS_BASE                   0x680A
#define VMCS_GUEST_DS_BASE                   0x680C
#define VMCS_GUEST_FS_BASE                   0x680E
#define VMCS_GUEST_GS_BASE                   0x6810
#define VMCS_GUEST_LDTR_BASE                 0x6812
#define VMCS_GUEST_TR_BASE                   0x6814
#define VMCS_GUEST_GDTR_BASE                 0x6816
#define VMCS_GUEST_IDTR_BASE                 0x6818
#define VMCS_GUEST_DR7                       0x681A
#define VMCS_GUEST_RSP                       0x681C
#define VMCS_GUEST_RIP                       0x681E
#define VMCS_GUEST_RFLAGS                    0x6820
#define VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS  0x6822
#define VMCS_GUEST_IA32_SYSENTER_ESP         0x6824
#define VMCS_GUEST_IA32_SYSENTER_EIP         0x6826
#define VMCS_HOST_CR0                        0x6C00
#define VMCS_HOST_CR3                        0x6C02
#define VMCS_HOST_CR4                        0x6C04
#define VMCS_HOST_FS_BASE                    0x6C06
#define VMCS_HOST_GS_BASE                    0x6C08
#define VMCS_HOST_TR_BASE                    0x6C0A
#define VMCS_HOST_GDTR_BASE                  0x6C0C
#define VMCS_HOST_IDTR_BASE                  0x6C0E
#define VMCS_HOST_IA32_SYSENTER_ESP          0x6C10
#define VMCS_HOST_IA32_SYSENTER_EIP          0x6C12
#define VMCS_HOST_RSP                        0x6C14
#define VMCS_HOST_RIP                        0x6C16

#endif
