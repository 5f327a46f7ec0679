/*
 * VMX: numbers of the SDM, and those that it leaves to the processor
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_NUMBERS_H
#define I386_TCG_VMX_NUMBERS_H

/* Basic exit reasons, SDM appendix "VMX Basic Exit Reasons". */
enum {
    VMX_EXIT_EXCEPTION_NMI      = 0,
    VMX_EXIT_EXTERNAL_INTERRUPT = 1,
    VMX_EXIT_TRIPLE_FAULT       = 2,
    VMX_EXIT_INIT               = 3,
    VMX_EXIT_SIPI               = 4,
    VMX_EXIT_IO_SMI             = 5,
    VMX_EXIT_OTHER_SMI          = 6,
    VMX_EXIT_INTERRUPT_WINDOW   = 7,
    VMX_EXIT_NMI_WINDOW         = 8,
    VMX_EXIT_TASK_SWITCH        = 9,
    VMX_EXIT_CPUID              = 10,
    VMX_EXIT_HLT                = 12,
    VMX_EXIT_INVD               = 13,
    VMX_EXIT_INVLPG             = 14,
    VMX_EXIT_RDPMC              = 15,
    VMX_EXIT_RDTSC              = 16,
    VMX_EXIT_RSM                = 17,
    VMX_EXIT_VMCALL             = 18,
    VMX_EXIT_VMCLEAR            = 19,
    VMX_EXIT_VMLAUNCH           = 20,
    VMX_EXIT_VMPTRLD            = 21,
    VMX_EXIT_VMPTRST            = 22,
    VMX_EXIT_VMREAD             = 23,
    VMX_EXIT_VMRESUME           = 24,
    VMX_EXIT_VMWRITE            = 25,
    VMX_EXIT_VMXOFF             = 26,
    VMX_EXIT_VMXON              = 27,
    VMX_EXIT_CR_ACCESS          = 28,
    VMX_EXIT_MOV_DR             = 29,
    VMX_EXIT_IO                 = 30,
    VMX_EXIT_RDMSR              = 31,
    VMX_EXIT_WRMSR              = 32,
    VMX_EXIT_INVALID_GUEST      = 33,
    VMX_EXIT_MSR_LOADING        = 34,
    VMX_EXIT_MWAIT              = 36,
    VMX_EXIT_MTF                = 37,
    VMX_EXIT_MONITOR            = 39,
    VMX_EXIT_PAUSE              = 40,
    VMX_EXIT_TPR_BELOW_THRESHOLD = 43,
    VMX_EXIT_APIC_ACCESS        = 44,
    VMX_EXIT_GDTR_IDTR          = 46,
    VMX_EXIT_LDTR_TR            = 47,
    VMX_EXIT_EPT_VIOLATION      = 48,
    VMX_EXIT_EPT_MISCONFIG      = 49,
    VMX_EXIT_INVEPT             = 50,
    VMX_EXIT_RDTSCP             = 51,
    VMX_EXIT_PREEMPTION_TIMER   = 52,
    VMX_EXIT_INVVPID            = 53,
    VMX_EXIT_WBINVD             = 54,
    VMX_EXIT_XSETBV             = 55,
    VMX_EXIT_RDRAND             = 57,
    VMX_EXIT_INVPCID            = 58,
    VMX_EXIT_VMFUNC             = 59,
    VMX_EXIT_RDSEED             = 61,
    VMX_EXIT_XSAVES             = 63,
    VMX_EXIT_XRSTORS            = 64,
};

#define VMX_EXIT_REASON_PENDING_MTF     (1u << 28)
#define VMX_EXIT_REASON_FROM_ROOT       (1u << 29)
#define VMX_EXIT_REASON_ENTRY_FAILURE   (1u << 31)

/* VM-instruction errors, SDM "VM Instruction Error Numbers". */
enum {
    VMX_ERR_VMCALL_IN_ROOT          = 1,
    VMX_ERR_VMCLEAR_ADDRESS         = 2,
    VMX_ERR_VMCLEAR_VMXON           = 3,
    VMX_ERR_LAUNCH_NONCLEAR         = 4,
    VMX_ERR_RESUME_NONLAUNCHED      = 5,
    VMX_ERR_ENTRY_CONTROLS          = 7,
    VMX_ERR_ENTRY_HOST              = 8,
    VMX_ERR_VMPTRLD_ADDRESS         = 9,
    VMX_ERR_VMPTRLD_VMXON           = 10,
    VMX_ERR_VMPTRLD_REVISION        = 11,
    VMX_ERR_UNSUPPORTED_FIELD       = 12,
    VMX_ERR_READ_ONLY_FIELD         = 13,
    VMX_ERR_VMXON_IN_ROOT           = 15,
    VMX_ERR_EXECUTIVE_POINTER       = 16,
    VMX_ERR_EXECUTIVE_NONLAUNCHED   = 17,
    VMX_ERR_EXECUTIVE_NOT_VMXON     = 18,
    VMX_ERR_VMCALL_NONCLEAR         = 19,
    VMX_ERR_VMCALL_EXIT_CONTROLS    = 20,
    VMX_ERR_VMCALL_MSEG_REVISION    = 22,
    VMX_ERR_VMXOFF_DUAL_MONITOR     = 23,
    VMX_ERR_VMCALL_FEATURES         = 24,
    VMX_ERR_EXECUTIVE_CONTROLS      = 25,
    VMX_ERR_ENTRY_MOV_SS            = 26,
    VMX_ERR_INVEPT_OPERAND          = 28,
};

/* Interruption information (entry, exit, IDT vectoring). */
#define VMX_INTR_TYPE_EXTERNAL      (0u << 8)
#define VMX_INTR_TYPE_NMI           (2u << 8)
#define VMX_INTR_TYPE_HW_EXCEPTION  (3u << 8)
#define VMX_INTR_TYPE_SW_INTERRUPT  (4u << 8)
#define VMX_INTR_TYPE_PRIV_SW       (5u << 8)
#define VMX_INTR_TYPE_SW_EXCEPTION  (6u << 8)
#define VMX_INTR_TYPE_OTHER         (7u << 8)
#define VMX_INTR_TYPE_MASK          (7u << 8)
#define VMX_INTR_ERROR_CODE         (1u << 11)
#define VMX_INTR_NMI_UNBLOCKED      (1u << 12)
#define VMX_INTR_RESERVED           0x7ffff000u
#define VMX_INTR_VALID              (1u << 31)

/* Guest interruptibility and activity state. */
#define VMX_BLOCKED_STI             (1u << 0)
#define VMX_BLOCKED_MOV_SS          (1u << 1)
#define VMX_BLOCKED_SMI             (1u << 2)
#define VMX_BLOCKED_NMI             (1u << 3)
#define VMX_ACTIVITY_ACTIVE         0
#define VMX_ACTIVITY_HLT            1
#define VMX_ACTIVITY_SHUTDOWN       2
#define VMX_ACTIVITY_WAIT_SIPI      3

/* Pending debug exceptions */
#define VMX_PENDING_DEBUG_BP        0xfULL
#define VMX_PENDING_DEBUG_ENABLED   (1ULL << 12)
#define VMX_PENDING_DEBUG_BS        (1ULL << 14)

#define VMX_AR_UNUSABLE             (1u << 16)

/*
 * IA32_DEBUGCTL.  LBR and BTF can be set but have no effect: there are no
 * last-branch records and single-stepping is always by instruction.
 */
#define MSR_IA32_DEBUGCTLMSR        0x1d9
#define VMX_DEBUGCTL_ALLOWED        3ULL
#define VMX_DEBUGCTL_BTF            2ULL

/* The preemption timer counts once in 2^VMX_TIMER_RATE ticks of the TSC. */
#define VMX_TIMER_RATE              5

/* MSEG revision identifier, IA32_VMX_MISC[63:32]. */
#define VMX_MSEG_REVISION           0x00000001u

#endif
