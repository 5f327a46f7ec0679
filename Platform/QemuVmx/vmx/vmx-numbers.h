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
    VMX_REASON_EXCEPTION_NMI          = 0,
    VMX_REASON_EXTERNAL_INTERRUPT     = 1,
    VMX_REASON_TRIPLE_FAULT           = 2,
    VMX_REASON_INIT                   = 3,
    VMX_REASON_SIPI                   = 4,
    VMX_REASON_IO_SMI                 = 5,
    VMX_REASON_OTHER_SMI              = 6,
    VMX_REASON_INTERRUPT_WINDOW       = 7,
    VMX_REASON_NMI_WINDOW             = 8,
    VMX_REASON_TASK_SWITCH            = 9,
    VMX_REASON_CPUID                  = 10,
    VMX_REASON_HLT                    = 12,
    VMX_REASON_INVD                   = 13,
    VMX_REASON_INVLPG                 = 14,
    VMX_REASON_RDPMC                  = 15,
    VMX_REASON_RDTSC                  = 16,
    VMX_REASON_RSM                    = 17,
    VMX_REASON_VMCALL                 = 18,
    VMX_REASON_VMCLEAR                = 19,
    VMX_REASON_VMLAUNCH               = 20,
    VMX_REASON_VMPTRLD                = 21,
    VMX_REASON_VMPTRST                = 22,
    VMX_REASON_VMREAD                 = 23,
    VMX_REASON_VMRESUME               = 24,
    VMX_REASON_VMWRITE                = 25,
    VMX_REASON_VMXOFF                 = 26,
    VMX_REASON_VMXON                  = 27,
    VMX_REASON_CR_ACCESS              = 28,
    VMX_REASON_MOV_DR                 = 29,
    VMX_REASON_IO                     = 30,
    VMX_REASON_RDMSR                  = 31,
    VMX_REASON_WRMSR                  = 32,
    VMX_REASON_ENTRY_GUEST_STATE      = 33,
    VMX_REASON_ENTRY_MSR_LOADING      = 34,
    VMX_REASON_MWAIT                  = 36,
    VMX_REASON_MONITOR_TRAP_FLAG      = 37,
    VMX_REASON_MONITOR                = 39,
    VMX_REASON_PAUSE                  = 40,
    VMX_REASON_TPR_BELOW_THRESHOLD    = 43,
    VMX_REASON_APIC_ACCESS            = 44,
    VMX_REASON_GDTR_IDTR              = 46,
    VMX_REASON_LDTR_TR                = 47,
    VMX_REASON_EPT_VIOLATION          = 48,
    VMX_REASON_EPT_MISCONFIGURATION   = 49,
    VMX_REASON_INVEPT                 = 50,
    VMX_REASON_RDTSCP                 = 51,
    VMX_REASON_PREEMPTION_TIMER       = 52,
    VMX_REASON_INVVPID                = 53,
    VMX_REASON_WBINVD                 = 54,
    VMX_REASON_XSETBV                 = 55,
    VMX_REASON_RDRAND                 = 57,
    VMX_REASON_INVPCID                = 58,
    VMX_REASON_VMFUNC                 = 59,
    VMX_REASON_RDSEED                 = 61,
    VMX_REASON_XSAVES                 = 63,
    VMX_REASON_XRSTORS                = 64,
};

#define VMX_REASON_PENDING_MTF    (1u << 28)
#define VMX_REASON_FROM_ROOT      (1u << 29)
#define VMX_REASON_ENTRY_FAILURE  (1u << 31)

/* VM-instruction errors, SDM "VM Instruction Error Numbers". */
enum {
    VMX_ERROR_VMCALL_IN_ROOT          = 1,
    VMX_ERROR_VMCLEAR_ADDRESS         = 2,
    VMX_ERROR_VMCLEAR_VMXON_POINTER   = 3,
    VMX_ERROR_VMLAUNCH_NOT_CLEAR      = 4,
    VMX_ERROR_VMRESUME_NOT_LAUNCHED   = 5,
    VMX_ERROR_ENTRY_CONTROLS          = 7,
    VMX_ERROR_ENTRY_HOST_STATE        = 8,
    VMX_ERROR_VMPTRLD_ADDRESS         = 9,
    VMX_ERROR_VMPTRLD_VMXON_POINTER   = 10,
    VMX_ERROR_VMPTRLD_REVISION        = 11,
    VMX_ERROR_UNSUPPORTED_COMPONENT   = 12,
    VMX_ERROR_READ_ONLY_COMPONENT     = 13,
    VMX_ERROR_VMXON_IN_ROOT           = 15,
    VMX_ERROR_EXECUTIVE_POINTER       = 16,
    VMX_ERROR_EXECUTIVE_NOT_LAUNCHED  = 17,
    VMX_ERROR_EXECUTIVE_NOT_VMXON     = 18,
    VMX_ERROR_VMCALL_NOT_CLEAR        = 19,
    VMX_ERROR_VMCALL_EXIT_CONTROLS    = 20,
    VMX_ERROR_VMCALL_MSEG_REVISION    = 22,
    VMX_ERROR_VMXOFF_DUAL_MONITOR     = 23,
    VMX_ERROR_VMCALL_MSEG_FEATURES    = 24,
    VMX_ERROR_EXECUTIVE_CONTROLS      = 25,
    VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS = 26,
    VMX_ERROR_INVALIDATION_OPERAND    = 28,
};

/*
 * Control bits: the SDM's names for what QEMU's cpu.h defines, where some of
 * the names are older than the SDM's.
 */

/* Pin-based VM-execution controls */
#define VMX_PIN_EXTERNAL_INTERRUPT  VMX_PIN_BASED_EXT_INTR_MASK
#define VMX_PIN_NMI                 VMX_PIN_BASED_NMI_EXITING
#define VMX_PIN_VIRTUAL_NMIS        VMX_PIN_BASED_VIRTUAL_NMIS
#define VMX_PIN_PREEMPTION_TIMER    VMX_PIN_BASED_VMX_PREEMPTION_TIMER

/* Primary processor-based VM-execution controls */
#define VMX_CPU_INTERRUPT_WINDOW    VMX_CPU_BASED_VIRTUAL_INTR_PENDING
#define VMX_CPU_TSC_OFFSETTING      VMX_CPU_BASED_USE_TSC_OFFSETING
#define VMX_CPU_HLT                 VMX_CPU_BASED_HLT_EXITING
#define VMX_CPU_INVLPG              VMX_CPU_BASED_INVLPG_EXITING
#define VMX_CPU_MWAIT               VMX_CPU_BASED_MWAIT_EXITING
#define VMX_CPU_RDPMC               VMX_CPU_BASED_RDPMC_EXITING
#define VMX_CPU_RDTSC               VMX_CPU_BASED_RDTSC_EXITING
#define VMX_CPU_CR3_LOAD            VMX_CPU_BASED_CR3_LOAD_EXITING
#define VMX_CPU_CR3_STORE           VMX_CPU_BASED_CR3_STORE_EXITING
#define VMX_CPU_CR8_LOAD            VMX_CPU_BASED_CR8_LOAD_EXITING
#define VMX_CPU_CR8_STORE           VMX_CPU_BASED_CR8_STORE_EXITING
#define VMX_CPU_TPR_SHADOW          VMX_CPU_BASED_TPR_SHADOW
#define VMX_CPU_NMI_WINDOW          VMX_CPU_BASED_VIRTUAL_NMI_PENDING
#define VMX_CPU_MOV_DR              VMX_CPU_BASED_MOV_DR_EXITING
#define VMX_CPU_UNCONDITIONAL_IO    VMX_CPU_BASED_UNCOND_IO_EXITING
#define VMX_CPU_IO_BITMAPS          VMX_CPU_BASED_USE_IO_BITMAPS
#define VMX_CPU_MONITOR_TRAP_FLAG   VMX_CPU_BASED_MONITOR_TRAP_FLAG
#define VMX_CPU_MSR_BITMAPS         VMX_CPU_BASED_USE_MSR_BITMAPS
#define VMX_CPU_MONITOR             VMX_CPU_BASED_MONITOR_EXITING
#define VMX_CPU_PAUSE               VMX_CPU_BASED_PAUSE_EXITING
#define VMX_CPU_SECONDARY_CONTROLS  VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS

/* Secondary processor-based VM-execution controls */
#define VMX_CPU2_APIC_ACCESSES       VMX_SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
#define VMX_CPU2_EPT                 VMX_SECONDARY_EXEC_ENABLE_EPT
#define VMX_CPU2_DESCRIPTOR_TABLE    VMX_SECONDARY_EXEC_DESC
#define VMX_CPU2_RDTSCP              VMX_SECONDARY_EXEC_RDTSCP
#define VMX_CPU2_VPID                VMX_SECONDARY_EXEC_ENABLE_VPID
#define VMX_CPU2_WBINVD              VMX_SECONDARY_EXEC_WBINVD_EXITING
#define VMX_CPU2_UNRESTRICTED_GUEST  VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST
#define VMX_CPU2_PAUSE_LOOP          VMX_SECONDARY_EXEC_PAUSE_LOOP_EXITING
#define VMX_CPU2_RDRAND              VMX_SECONDARY_EXEC_RDRAND_EXITING
#define VMX_CPU2_INVPCID             VMX_SECONDARY_EXEC_ENABLE_INVPCID
#define VMX_CPU2_VMFUNC              VMX_SECONDARY_EXEC_ENABLE_VMFUNC
#define VMX_CPU2_RDSEED              VMX_SECONDARY_EXEC_RDSEED_EXITING
#define VMX_CPU2_XSAVES              VMX_SECONDARY_EXEC_XSAVES

/* VM-exit controls */
#define VMX_EXIT_SAVE_DEBUG               VMX_VM_EXIT_SAVE_DEBUG_CONTROLS
#define VMX_EXIT_HOST_ADDRESS_SPACE_SIZE  VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE
#define VMX_EXIT_ACKNOWLEDGE_INTERRUPT    VMX_VM_EXIT_ACK_INTR_ON_EXIT
#define VMX_EXIT_SAVE_PAT                 VMX_VM_EXIT_SAVE_IA32_PAT
#define VMX_EXIT_LOAD_PAT                 VMX_VM_EXIT_LOAD_IA32_PAT
#define VMX_EXIT_SAVE_EFER                VMX_VM_EXIT_SAVE_IA32_EFER
#define VMX_EXIT_LOAD_EFER                VMX_VM_EXIT_LOAD_IA32_EFER
#define VMX_EXIT_SAVE_PREEMPTION_TIMER    VMX_VM_EXIT_SAVE_VMX_PREEMPTION_TIMER
#define VMX_EXIT_LOAD_PERF_GLOBAL_CTRL    VMX_VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL

/* VM-entry controls */
#define VMX_ENTRY_LOAD_DEBUG   VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS
#define VMX_ENTRY_IA32E_GUEST  VMX_VM_ENTRY_IA32E_MODE
#define VMX_ENTRY_TO_SMM       VMX_VM_ENTRY_SMM
#define VMX_ENTRY_DEACTIVATE   VMX_VM_ENTRY_DEACT_DUAL_MONITOR
#define VMX_ENTRY_LOAD_PAT     VMX_VM_ENTRY_LOAD_IA32_PAT
#define VMX_ENTRY_LOAD_EFER    VMX_VM_ENTRY_LOAD_IA32_EFER
#define VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL  VMX_VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL

/* Interruption information (entry, exit, IDT vectoring). */
#define VMX_INTERRUPTION_TYPE_EXTERNAL              (0u << 8)
#define VMX_INTERRUPTION_TYPE_NMI                   (2u << 8)
#define VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION    (3u << 8)
#define VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT    (4u << 8)
#define VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION  (5u << 8)
#define VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION    (6u << 8)
#define VMX_INTERRUPTION_TYPE_OTHER                 (7u << 8)
#define VMX_INTERRUPTION_TYPE_MASK                  (7u << 8)
#define VMX_INTERRUPTION_ERROR_CODE                 (1u << 11)
#define VMX_INTERRUPTION_NMI_UNBLOCKING             (1u << 12)
#define VMX_INTERRUPTION_RESERVED                   0x7ffff000u
#define VMX_INTERRUPTION_VALID                      (1u << 31)

/* Guest interruptibility and activity state. */
#define VMX_BLOCKING_BY_STI     (1u << 0)
#define VMX_BLOCKING_BY_MOV_SS  (1u << 1)
#define VMX_BLOCKING_BY_SMI     (1u << 2)
#define VMX_BLOCKING_BY_NMI     (1u << 3)
#define VMX_ACTIVITY_ACTIVE         0
#define VMX_ACTIVITY_HLT            1
#define VMX_ACTIVITY_SHUTDOWN       2
#define VMX_ACTIVITY_WAIT_FOR_SIPI      3

/* Pending debug exceptions */
#define VMX_PENDING_DEBUG_BP       0xfULL
#define VMX_PENDING_DEBUG_ENABLED  (1ULL << 12)
#define VMX_PENDING_DEBUG_BS       (1ULL << 14)

#define VMX_ACCESS_DPL(ar)   (((ar) >> 5) & 3)
#define VMX_ACCESS_UNUSABLE  (1u << 16)

/*
 * IA32_DEBUGCTL.  LBR and BTF can be set but have no effect: there are no
 * last-branch records and single-stepping is always by instruction.
 */
#define MSR_IA32_DEBUGCTLMSR        0x1d9
#define VMX_DEBUGCTL_ALLOWED  3ULL
#define VMX_DEBUGCTL_BTF      2ULL

/* The preemption timer counts once in 2^VMX_TIMER_RATE ticks of the TSC. */
#define VMX_TIMER_RATE              5

/* IA32_PERF_GLOBAL_CTRL: enables of four and three counters that stand still */
#define VMX_PERF_GLOBAL_CTRL        0x70000000fULL

/* Bits of IA32_EFER that are not reserved. */
#define VMX_EFER_ALLOWED            0xd01ULL

/* MSEG revision identifier, IA32_VMX_MISC[63:32]. */
#define VMX_MSEG_REVISION  0x00000000u

#endif
