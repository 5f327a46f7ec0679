/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Encodings: VMCS fields, controls, exit reasons, VM-instruction errors, MSRs
 * (SDM Vol. 3 Appendix A to C, "VM-Instruction Error Numbers"). */
#ifndef MACHINE_TEST_VMCS_H
#define MACHINE_TEST_VMCS_H

/* MSRs */
#define MSR_FEATURE_CONTROL     0x3A
#define MSR_SMM_MONITOR_CTL     0x9B
#define MSR_SMBASE              0x9E
#define MSR_SYSENTER_CS         0x174
#define MSR_SYSENTER_ESP        0x175
#define MSR_SYSENTER_EIP        0x176
#define MSR_DEBUGCTL            0x1D9
#define MSR_PAT                 0x277
#define MSR_VMX_BASIC           0x480
#define MSR_VMX_PIN             0x481
#define MSR_VMX_PROC            0x482
#define MSR_VMX_EXIT            0x483
#define MSR_VMX_ENTRY           0x484
#define MSR_VMX_MISC            0x485
#define MSR_VMX_CR0_FIXED0      0x486
#define MSR_VMX_CR0_FIXED1      0x487
#define MSR_VMX_CR4_FIXED0      0x488
#define MSR_VMX_CR4_FIXED1      0x489
#define MSR_VMX_VMCS_ENUM       0x48A
#define MSR_VMX_PROC2           0x48B
#define MSR_VMX_EPT_VPID        0x48C
#define MSR_VMX_TRUE_PIN        0x48D
#define MSR_VMX_TRUE_PROC       0x48E
#define MSR_VMX_TRUE_EXIT       0x48F
#define MSR_VMX_TRUE_ENTRY      0x490
#define MSR_EFER                0xC0000080
#define MSR_STAR                0xC0000081
#define MSR_LSTAR               0xC0000082
#define MSR_FS_BASE             0xC0000100
#define MSR_GS_BASE             0xC0000101
#define MSR_KERNEL_GS_BASE      0xC0000102

#define EFER_SCE                (1u << 0)
#define EFER_LME                (1u << 8)
#define EFER_LMA                (1u << 10)
#define EFER_NXE                (1u << 11)
#define CR0_PE                  (1u << 0)
#define CR0_MP                  (1u << 1)
#define CR0_TS                  (1u << 3)
#define CR0_ET                  (1u << 4)
#define CR0_NE                  (1u << 5)
#define CR0_WP                  (1u << 16)
#define CR0_AM                  (1u << 18)
#define CR0_NW                  (1u << 29)
#define CR0_CD                  (1u << 30)
#define CR0_PG                  (1u << 31)
#define CR4_DE                  (1u << 3)
#define CR4_PSE                 (1u << 4)
#define CR4_PAE                 (1u << 5)
#define CR4_MCE                 (1u << 6)
#define CR4_PGE                 (1u << 7)
#define CR4_OSFXSR              (1u << 9)
#define CR4_VMXE                (1u << 13)
#define RFLAGS_CF               (1u << 0)
#define RFLAGS_ZF               (1u << 6)
#define RFLAGS_TF               (1u << 8)
#define RFLAGS_IF               (1u << 9)
#define RFLAGS_DF               (1u << 10)
#define RFLAGS_AC               (1u << 18)
#define RFLAGS_ARITHMETIC       0x8D5u

/* 16-bit guest and host state */
#define VMCS_VPID                              0x0000
#define VMCS_GUEST_ES_SELECTOR                 0x0800
#define VMCS_GUEST_CS_SELECTOR                 0x0802
#define VMCS_GUEST_SS_SELECTOR                 0x0804
#define VMCS_GUEST_DS_SELECTOR                 0x0806
#define VMCS_GUEST_FS_SELECTOR                 0x0808
#define VMCS_GUEST_GS_SELECTOR                 0x080A
#define VMCS_GUEST_LDTR_SELECTOR               0x080C
#define VMCS_GUEST_TR_SELECTOR                 0x080E
#define VMCS_HOST_ES_SELECTOR                  0x0C00
#define VMCS_HOST_CS_SELECTOR                  0x0C02
#define VMCS_HOST_SS_SELECTOR                  0x0C04
#define VMCS_HOST_DS_SELECTOR                  0x0C06
#define VMCS_HOST_FS_SELECTOR                  0x0C08
#define VMCS_HOST_GS_SELECTOR                  0x0C0A
#define VMCS_HOST_TR_SELECTOR                  0x0C0C
/* 64-bit */
#define VMCS_IO_BITMAP_A                       0x2000
#define VMCS_IO_BITMAP_B                       0x2002
#define VMCS_MSR_BITMAP                        0x2004
#define VMCS_EXIT_MSR_STORE_ADDRESS            0x2006
#define VMCS_EXIT_MSR_LOAD_ADDRESS             0x2008
#define VMCS_ENTRY_MSR_LOAD_ADDRESS            0x200A
#define VMCS_EXECUTIVE_VMCS_POINTER            0x200C
#define VMCS_TSC_OFFSET                        0x2010
#define VMCS_VIRTUAL_APIC_ADDRESS              0x2012
#define VMCS_APIC_ACCESS_ADDRESS               0x2014
#define VMCS_VM_FUNCTION_CONTROLS              0x2018
#define VMCS_EPT_POINTER                       0x201A
#define VMCS_EPTP_LIST_ADDRESS                 0x2024
#define VMCS_XSS_EXITING_BITMAP                0x202C
#define VMCS_GUEST_PHYSICAL_ADDRESS            0x2400
#define VMCS_LINK_POINTER                      0x2800
#define VMCS_GUEST_IA32_DEBUGCTL               0x2802
#define VMCS_GUEST_IA32_PAT                    0x2804
#define VMCS_GUEST_IA32_EFER                   0x2806
#define VMCS_GUEST_IA32_PERF_GLOBAL_CTRL       0x2808
#define VMCS_GUEST_PDPTE(n)                    (0x280A + 2 * (n))
#define VMCS_HOST_IA32_PAT                     0x2C00
#define VMCS_HOST_IA32_EFER                    0x2C02
#define VMCS_HOST_IA32_PERF_GLOBAL_CTRL        0x2C04
/* 32-bit control */
#define VMCS_PIN_CONTROLS                      0x4000
#define VMCS_PROCESSOR_CONTROLS                0x4002
#define VMCS_EXCEPTION_BITMAP                  0x4004
#define VMCS_PAGE_FAULT_ERROR_CODE_MASK        0x4006
#define VMCS_PAGE_FAULT_ERROR_CODE_MATCH       0x4008
#define VMCS_CR3_TARGET_COUNT                  0x400A
#define VMCS_EXIT_CONTROLS                     0x400C
#define VMCS_EXIT_MSR_STORE_COUNT              0x400E
#define VMCS_EXIT_MSR_LOAD_COUNT               0x4010
#define VMCS_ENTRY_CONTROLS                    0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT              0x4014
#define VMCS_ENTRY_INTERRUPTION_INFO           0x4016
#define VMCS_ENTRY_EXCEPTION_ERROR_CODE        0x4018
#define VMCS_ENTRY_INSTRUCTION_LENGTH          0x401A
#define VMCS_TPR_THRESHOLD                     0x401C
#define VMCS_SECONDARY_CONTROLS                0x401E
#define VMCS_PLE_GAP                           0x4020
#define VMCS_PLE_WINDOW                        0x4022
/* 32-bit exit information */
#define VMCS_INSTRUCTION_ERROR                 0x4400
#define VMCS_EXIT_REASON                       0x4402
#define VMCS_EXIT_INTERRUPTION_INFO            0x4404
#define VMCS_EXIT_INTERRUPTION_ERROR_CODE      0x4406
#define VMCS_IDT_VECTORING_INFO                0x4408
#define VMCS_IDT_VECTORING_ERROR_CODE          0x440A
#define VMCS_EXIT_INSTRUCTION_LENGTH           0x440C
#define VMCS_EXIT_INSTRUCTION_INFO             0x440E
/* 32-bit guest and host state */
#define VMCS_GUEST_LIMIT(seg)                  (0x4800 + 2 * (seg)) /* ES CS SS DS FS GS LDTR TR */
#define VMCS_GUEST_GDTR_LIMIT                  0x4810
#define VMCS_GUEST_IDTR_LIMIT                  0x4812
#define VMCS_GUEST_ACCESS_RIGHTS(seg)          (0x4814 + 2 * (seg))
#define VMCS_GUEST_INTERRUPTIBILITY_STATE      0x4824
#define VMCS_GUEST_ACTIVITY_STATE              0x4826
#define VMCS_GUEST_SMBASE                      0x4828
#define VMCS_GUEST_IA32_SYSENTER_CS            0x482A
#define VMCS_PREEMPTION_TIMER_VALUE            0x482E
#define VMCS_HOST_IA32_SYSENTER_CS             0x4C00
/* natural width */
#define VMCS_CR0_GUEST_HOST_MASK               0x6000
#define VMCS_CR4_GUEST_HOST_MASK               0x6002
#define VMCS_CR0_READ_SHADOW                   0x6004
#define VMCS_CR4_READ_SHADOW                   0x6006
#define VMCS_EXIT_QUALIFICATION                0x6400
#define VMCS_IO_RCX                            0x6402
#define VMCS_IO_RSI                            0x6404
#define VMCS_IO_RDI                            0x6406
#define VMCS_IO_RIP                            0x6408
#define VMCS_GUEST_LINEAR_ADDRESS              0x640A
#define VMCS_GUEST_CR0                         0x6800
#define VMCS_GUEST_CR3                         0x6802
#define VMCS_GUEST_CR4                         0x6804
#define VMCS_GUEST_BASE(seg)                   (0x6806 + 2 * (seg))
#define VMCS_GUEST_GDTR_BASE                   0x6816
#define VMCS_GUEST_IDTR_BASE                   0x6818
#define VMCS_GUEST_DR7                         0x681A
#define VMCS_GUEST_RSP                         0x681C
#define VMCS_GUEST_RIP                         0x681E
#define VMCS_GUEST_RFLAGS                      0x6820
#define VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS    0x6822
#define VMCS_GUEST_IA32_SYSENTER_ESP           0x6824
#define VMCS_GUEST_IA32_SYSENTER_EIP           0x6826
#define VMCS_HOST_CR0                          0x6C00
#define VMCS_HOST_CR3                          0x6C02
#define VMCS_HOST_CR4                          0x6C04
#define VMCS_HOST_FS_BASE                      0x6C06
#define VMCS_HOST_GS_BASE                      0x6C08
#define VMCS_HOST_TR_BASE                      0x6C0A
#define VMCS_HOST_GDTR_BASE                    0x6C0C
#define VMCS_HOST_IDTR_BASE                    0x6C0E
#define VMCS_HOST_IA32_SYSENTER_ESP            0x6C10
#define VMCS_HOST_IA32_SYSENTER_EIP            0x6C12
#define VMCS_HOST_RSP                          0x6C14
#define VMCS_HOST_RIP                          0x6C16

enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

/* controls */
#define VMX_PIN_EXTERNAL_INTERRUPT             (1u << 0)
#define VMX_PIN_NMI                            (1u << 3)
#define VMX_PIN_VIRTUAL_NMIS                   (1u << 5)
#define VMX_PIN_PREEMPTION_TIMER               (1u << 6)
#define VMX_CPU_INTERRUPT_WINDOW               (1u << 2)
#define VMX_CPU_TSC_OFFSETTING                 (1u << 3)
#define VMX_CPU_HLT                            (1u << 7)
#define VMX_CPU_INVLPG                         (1u << 9)
#define VMX_CPU_MWAIT                          (1u << 10)
#define VMX_CPU_RDPMC                          (1u << 11)
#define VMX_CPU_CR3_LOAD                       (1u << 15)
#define VMX_CPU_CR3_STORE                      (1u << 16)
#define VMX_CPU_CR8_LOAD                       (1u << 19)
#define VMX_CPU_CR8_STORE                      (1u << 20)
#define VMX_CPU_TPR_SHADOW                     (1u << 21)
#define VMX_CPU_NMI_WINDOW                     (1u << 22)
#define VMX_CPU_MOV_DR                         (1u << 23)
#define VMX_CPU_UNCONDITIONAL_IO               (1u << 24)
#define VMX_CPU_IO_BITMAPS                     (1u << 25)
#define VMX_CPU_MONITOR_TRAP_FLAG              (1u << 27)
#define VMX_CPU_MSR_BITMAPS                    (1u << 28)
#define VMX_CPU_MONITOR                        (1u << 29)
#define VMX_CPU_PAUSE                          (1u << 30)
#define VMX_CPU_SECONDARY_CONTROLS             (1u << 31)
#define VMX_CPU2_APIC_ACCESSES                 (1u << 0)
#define VMX_CPU2_EPT                           (1u << 1)
#define VMX_CPU2_DESCRIPTOR_TABLE              (1u << 2)
#define VMX_CPU2_RDTSCP                        (1u << 3)
#define VMX_CPU2_X2APIC                        (1u << 4)
#define VMX_CPU2_VPID                          (1u << 5)
#define VMX_CPU2_WBINVD                        (1u << 6)
#define VMX_CPU2_UNRESTRICTED_GUEST            (1u << 7)
#define VMX_CPU2_PAUSE_LOOP                    (1u << 10)
#define VMX_CPU2_RDRAND                        (1u << 11)
#define VMX_CPU2_INVPCID                       (1u << 12)
#define VMX_CPU2_VMFUNC                        (1u << 13)
#define VMX_CPU2_RDSEED                        (1u << 16)
#define VMX_CPU2_XSAVES                        (1u << 20)
#define VMX_EXIT_SAVE_DEBUG                    (1u << 2)
#define VMX_EXIT_HOST_ADDRESS_SPACE_SIZE                   (1u << 9)
#define VMX_EXIT_LOAD_PERF_GLOBAL_CTRL              (1u << 12)
#define VMX_EXIT_ACKNOWLEDGE_INTERRUPT         (1u << 15)
#define VMX_EXIT_SAVE_PAT                      (1u << 18)
#define VMX_EXIT_LOAD_PAT                      (1u << 19)
#define VMX_EXIT_SAVE_EFER                     (1u << 20)
#define VMX_EXIT_LOAD_EFER                     (1u << 21)
#define VMX_EXIT_SAVE_PREEMPTION_TIMER         (1u << 22)
#define VMX_ENTRY_LOAD_DEBUG                   (1u << 2)
#define VMX_ENTRY_IA32E_GUEST                  (1u << 9)
#define VMX_ENTRY_TO_SMM                       (1u << 10)
#define VMX_ENTRY_DEACTIVATE                   (1u << 11)
#define VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL             (1u << 13)
#define VMX_ENTRY_LOAD_PAT                     (1u << 14)
#define VMX_ENTRY_LOAD_EFER                    (1u << 15)

/* interruptibility, activity */
#define VMX_BLOCKING_BY_STI                    (1u << 0)
#define VMX_BLOCKING_BY_MOV_SS                 (1u << 1)
#define VMX_BLOCKING_BY_SMI                    (1u << 2)
#define VMX_BLOCKING_BY_NMI                    (1u << 3)
#define VMX_ACTIVITY_HLT                       1
#define VMX_ACTIVITY_SHUTDOWN                  2

/* exit reasons */
#define VMX_REASON_EXCEPTION_NMI               0
#define VMX_REASON_EXTERNAL_INTERRUPT          1
#define VMX_REASON_TRIPLE_FAULT                2
#define VMX_REASON_INIT                        3
#define VMX_REASON_SIPI                        4
#define VMX_REASON_IO_SMI                      5
#define VMX_REASON_OTHER_SMI                   6
#define VMX_REASON_INTERRUPT_WINDOW            7
#define VMX_REASON_NMI_WINDOW                  8
#define VMX_REASON_TASK_SWITCH                 9
#define VMX_REASON_CPUID                       10
#define VMX_REASON_HLT                         12
#define VMX_REASON_INVLPG                      14
#define VMX_REASON_RDPMC                       15
#define VMX_REASON_RDTSC                       16
#define VMX_REASON_RSM                         17
#define VMX_REASON_VMCALL                      18
#define VMX_REASON_VMLAUNCH                    20
#define VMX_REASON_CR_ACCESS                   28
#define VMX_REASON_MOV_DR                      29
#define VMX_REASON_IO                          30
#define VMX_REASON_RDMSR                       31
#define VMX_REASON_WRMSR                       32
#define VMX_REASON_MONITOR_TRAP_FLAG           37
#define VMX_REASON_PAUSE                       40
#define VMX_REASON_TPR_BELOW_THRESHOLD         43
#define VMX_REASON_APIC_ACCESS                 44
#define VMX_REASON_EPT_VIOLATION               48
#define VMX_REASON_EPT_MISCONFIGURATION        49
#define VMX_REASON_PREEMPTION_TIMER            52
#define VMX_REASON_RDRAND                      57
#define VMX_REASON_INVPCID                     58
#define VMX_REASON_VMFUNC                      59
#define VMX_REASON_RDSEED                      61
#define VMX_REASON_FROM_ROOT                   0x20000000u
#define REASON_BAD_GUEST        0x80000021u
#define REASON_BAD_MSR          0x80000022u

/* VM-instruction errors */
#define VMX_ERROR_VMCALL_IN_ROOT               1
#define VMX_ERROR_VMCLEAR_ADDRESS              2
#define VMX_ERROR_VMCLEAR_VMXON_POINTER        3
#define VMX_ERROR_VMLAUNCH_NOT_CLEAR           4
#define VMX_ERROR_VMRESUME_NOT_LAUNCHED        5
#define VMX_ERROR_ENTRY_CONTROLS               7
#define VMX_ERROR_ENTRY_HOST_STATE             8
#define VMX_ERROR_VMPTRLD_ADDRESS              9
#define VMX_ERROR_VMPTRLD_VMXON_POINTER        10
#define VMX_ERROR_VMPTRLD_REVISION             11
#define VMX_ERROR_UNSUPPORTED_COMPONENT        12
#define VMX_ERROR_READ_ONLY_COMPONENT          13
#define VMX_ERROR_VMXON_IN_ROOT                15
#define VMX_ERROR_EXECUTIVE_POINTER            16
#define VMX_ERROR_EXECUTIVE_NOT_LAUNCHED       17
#define VMX_ERROR_EXECUTIVE_NOT_VMXON          18
#define VMX_ERROR_VMCALL_NOT_CLEAR             19
#define VMX_ERROR_VMCALL_EXIT_CONTROLS         20
#define VMX_ERROR_VMCALL_MSEG_REVISION         22
#define VMX_ERROR_VMXOFF_DUAL_MONITOR          23
#define VMX_ERROR_VMCALL_MSEG_FEATURES         24
#define VMX_ERROR_EXECUTIVE_CONTROLS           25
#define VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS      26

#endif
