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
#define F_VPID                  0x0000
#define F_GUEST_ES              0x0800
#define F_GUEST_CS              0x0802
#define F_GUEST_SS              0x0804
#define F_GUEST_DS              0x0806
#define F_GUEST_FS              0x0808
#define F_GUEST_GS              0x080A
#define F_GUEST_LDTR            0x080C
#define F_GUEST_TR              0x080E
#define F_HOST_ES               0x0C00
#define F_HOST_CS               0x0C02
#define F_HOST_SS               0x0C04
#define F_HOST_DS               0x0C06
#define F_HOST_FS               0x0C08
#define F_HOST_GS               0x0C0A
#define F_HOST_TR               0x0C0C
/* 64-bit */
#define F_IO_BITMAP_A           0x2000
#define F_IO_BITMAP_B           0x2002
#define F_MSR_BITMAP            0x2004
#define F_EXIT_MSR_STORE        0x2006
#define F_EXIT_MSR_LOAD         0x2008
#define F_ENTRY_MSR_LOAD        0x200A
#define F_EXECUTIVE_VMCS        0x200C
#define F_TSC_OFFSET            0x2010
#define F_EPTP                  0x201A
#define F_GUEST_PHYSICAL        0x2400
#define F_LINK                  0x2800
#define F_GUEST_DEBUGCTL        0x2802
#define F_GUEST_PAT             0x2804
#define F_GUEST_EFER            0x2806
#define F_HOST_PAT              0x2C00
#define F_HOST_EFER             0x2C02
/* 32-bit control */
#define F_PIN                   0x4000
#define F_PROC                  0x4002
#define F_EXCEPTION_BITMAP      0x4004
#define F_PF_MASK               0x4006
#define F_PF_MATCH              0x4008
#define F_CR3_TARGETS           0x400A
#define F_EXIT                  0x400C
#define F_EXIT_STORE_COUNT      0x400E
#define F_EXIT_LOAD_COUNT       0x4010
#define F_ENTRY                 0x4012
#define F_ENTRY_LOAD_COUNT      0x4014
#define F_ENTRY_INTR            0x4016
#define F_ENTRY_ERROR           0x4018
#define F_ENTRY_LENGTH          0x401A
#define F_PROC2                 0x401E
/* 32-bit exit information */
#define F_INSTRUCTION_ERROR     0x4400
#define F_REASON                0x4402
#define F_EXIT_INTR             0x4404
#define F_EXIT_ERROR            0x4406
#define F_VECTORING             0x4408
#define F_VECTORING_ERROR       0x440A
#define F_LENGTH                0x440C
#define F_INSTRUCTION_INFO      0x440E
/* 32-bit guest and host state */
#define F_LIMIT(seg)            (0x4800 + 2 * (seg)) /* ES CS SS DS FS GS LDTR TR */
#define F_GUEST_GDTR_LIMIT      0x4810
#define F_GUEST_IDTR_LIMIT      0x4812
#define F_RIGHTS(seg)           (0x4814 + 2 * (seg))
#define F_INTERRUPTIBILITY      0x4824
#define F_ACTIVITY              0x4826
#define F_SMBASE                0x4828
#define F_GUEST_SYSENTER_CS     0x482A
#define F_PREEMPTION_TIMER      0x482E
#define F_HOST_SYSENTER_CS      0x4C00
/* natural width */
#define F_CR0_MASK              0x6000
#define F_CR4_MASK              0x6002
#define F_CR0_SHADOW            0x6004
#define F_CR4_SHADOW            0x6006
#define F_QUALIFICATION         0x6400
#define F_IO_RCX                0x6402
#define F_IO_RSI                0x6404
#define F_IO_RDI                0x6406
#define F_IO_RIP                0x6408
#define F_GUEST_LINEAR          0x640A
#define F_GUEST_CR0             0x6800
#define F_GUEST_CR3             0x6802
#define F_GUEST_CR4             0x6804
#define F_BASE(seg)             (0x6806 + 2 * (seg))
#define F_GUEST_GDTR_BASE       0x6816
#define F_GUEST_IDTR_BASE       0x6818
#define F_GUEST_DR7             0x681A
#define F_GUEST_RSP             0x681C
#define F_GUEST_RIP             0x681E
#define F_GUEST_RFLAGS          0x6820
#define F_PENDING_DEBUG         0x6822
#define F_GUEST_SYSENTER_ESP    0x6824
#define F_GUEST_SYSENTER_EIP    0x6826
#define F_HOST_CR0              0x6C00
#define F_HOST_CR3              0x6C02
#define F_HOST_CR4              0x6C04
#define F_HOST_FS_BASE          0x6C06
#define F_HOST_GS_BASE          0x6C08
#define F_HOST_TR_BASE          0x6C0A
#define F_HOST_GDTR_BASE        0x6C0C
#define F_HOST_IDTR_BASE        0x6C0E
#define F_HOST_SYSENTER_ESP     0x6C10
#define F_HOST_SYSENTER_EIP     0x6C12
#define F_HOST_RSP              0x6C14
#define F_HOST_RIP              0x6C16

enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

/* controls */
#define PIN_EXTERNAL            (1u << 0)
#define PIN_NMI                 (1u << 3)
#define PIN_VIRTUAL_NMI         (1u << 5)
#define PROC_INTR_WINDOW        (1u << 2)
#define PROC_HLT                (1u << 7)
#define PROC_CR3_LOAD           (1u << 15)
#define PROC_CR3_STORE          (1u << 16)
#define PROC_CR8_LOAD           (1u << 19)
#define PROC_CR8_STORE          (1u << 20)
#define PROC_NMI_WINDOW         (1u << 22)
#define PROC_MOV_DR             (1u << 23)
#define PROC_UNCOND_IO          (1u << 24)
#define PROC_IO_BITMAPS         (1u << 25)
#define PROC_MSR_BITMAPS        (1u << 28)
#define PROC_SECONDARY          (1u << 31)
#define PROC2_EPT               (1u << 1)
#define PROC2_UNRESTRICTED      (1u << 7)
#define EXIT_SAVE_DEBUG         (1u << 2)
#define EXIT_HOST_64            (1u << 9)
#define EXIT_SAVE_PAT           (1u << 18)
#define EXIT_LOAD_PAT           (1u << 19)
#define EXIT_SAVE_EFER          (1u << 20)
#define EXIT_LOAD_EFER          (1u << 21)
#define ENTRY_LOAD_DEBUG        (1u << 2)
#define ENTRY_IA32E             (1u << 9)
#define ENTRY_SMM               (1u << 10)
#define ENTRY_DEACTIVATE        (1u << 11)
#define ENTRY_LOAD_PAT          (1u << 14)
#define ENTRY_LOAD_EFER         (1u << 15)

/* interruptibility, activity */
#define BLOCKED_STI             (1u << 0)
#define BLOCKED_MOV_SS          (1u << 1)
#define BLOCKED_SMI             (1u << 2)
#define BLOCKED_NMI             (1u << 3)
#define ACTIVITY_HLT            1

/* exit reasons */
#define REASON_EXCEPTION        0
#define REASON_EXTERNAL         1
#define REASON_TRIPLE_FAULT     2
#define REASON_IO_SMI           5
#define REASON_OTHER_SMI        6
#define REASON_INIT             3
#define REASON_SIPI             4
#define REASON_INTR_WINDOW      7
#define REASON_NMI_WINDOW       8
#define REASON_TASK_SWITCH      9
#define REASON_CPUID            10
#define REASON_HLT              12
#define REASON_INVLPG           14
#define REASON_RDPMC            15
#define REASON_RDTSC            16
#define REASON_RSM              17
#define REASON_VMCALL           18
#define REASON_VMLAUNCH         20
#define REASON_CR               28
#define REASON_DR               29
#define REASON_IO               30
#define REASON_RDMSR            31
#define REASON_WRMSR            32
#define REASON_MTF              37
#define REASON_TPR_THRESHOLD    43
#define REASON_APIC_ACCESS      44
#define REASON_EPT_VIOLATION    48
#define REASON_EPT_MISCONFIG    49
#define REASON_PREEMPTION_TIMER 52
#define REASON_FROM_ROOT        0x20000000u
#define REASON_BAD_GUEST        0x80000021u
#define REASON_BAD_MSR          0x80000022u

/* VM-instruction errors */
#define ERR_VMCALL              1
#define ERR_VMCLEAR_ADDRESS     2
#define ERR_VMCLEAR_VMXON       3
#define ERR_LAUNCH_NOT_CLEAR    4
#define ERR_RESUME_NOT_LAUNCHED 5
#define ERR_CONTROLS            7
#define ERR_HOST_STATE          8
#define ERR_VMPTRLD_ADDRESS     9
#define ERR_VMPTRLD_VMXON       10
#define ERR_VMPTRLD_REVISION    11
#define ERR_COMPONENT           12
#define ERR_READ_ONLY           13
#define ERR_VMXON_IN_ROOT       15
#define ERR_EXECUTIVE_POINTER   16
#define ERR_EXECUTIVE_LAUNCH    17
#define ERR_DEACTIVATE_POINTER  18
#define ERR_VMCALL_NOT_CLEAR    19
#define ERR_VMCALL_EXIT         20
#define ERR_MSEG_REVISION       22
#define ERR_VMXOFF_DUAL         23
#define ERR_MSEG_FEATURES       24
#define ERR_EXECUTIVE_CONTROLS  25
#define ERR_MOV_SS              26

#endif
