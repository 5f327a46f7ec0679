/** @file
  VMX definitions: control bits, exit reasons, VM-instruction errors, guest non-register
  state, EPT entries; and by another header VMCS field encodings.

  Section titles and numbers are those of the Intel SDM volume 3, edition of
  June 2016, with the number of editions from December 2022 to 2024 in square
  brackets. The VMX capability MSRs are in MdePkg's ArchitecturalMsr.h.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef REGISTER_VMX_H_
#define REGISTER_VMX_H_

#include <Register/VmxFields.h>

///
/// An executive-VMCS pointer, link pointer or current-VMCS pointer that refers
/// to nothing.
///
#define VMCS_POINTER_NONE  0xFFFFFFFFFFFFFFFFULL

//
// Pin-based VM-execution controls, 24.6.1 [25.6.1]
//
#define VMX_PIN_EXTERNAL_INTERRUPT  BIT0
#define VMX_PIN_NMI                 BIT3
#define VMX_PIN_VIRTUAL_NMIS        BIT5
#define VMX_PIN_PREEMPTION_TIMER    BIT6
#define VMX_PIN_POSTED_INTERRUPTS   BIT7

//
// Primary processor-based VM-execution controls, 24.6.2 [25.6.2]
//
#define VMX_CPU_INTERRUPT_WINDOW    BIT2
#define VMX_CPU_TSC_OFFSETTING      BIT3
#define VMX_CPU_HLT                 BIT7
#define VMX_CPU_INVLPG              BIT9
#define VMX_CPU_MWAIT               BIT10
#define VMX_CPU_RDPMC               BIT11
#define VMX_CPU_RDTSC               BIT12
#define VMX_CPU_CR3_LOAD            BIT15
#define VMX_CPU_CR3_STORE           BIT16
#define VMX_CPU_CR8_LOAD            BIT19
#define VMX_CPU_CR8_STORE           BIT20
#define VMX_CPU_TPR_SHADOW          BIT21
#define VMX_CPU_NMI_WINDOW          BIT22
#define VMX_CPU_MOV_DR              BIT23
#define VMX_CPU_UNCONDITIONAL_IO    BIT24
#define VMX_CPU_IO_BITMAPS          BIT25
#define VMX_CPU_MONITOR_TRAP_FLAG   BIT27
#define VMX_CPU_MSR_BITMAPS         BIT28
#define VMX_CPU_MONITOR             BIT29
#define VMX_CPU_PAUSE               BIT30
#define VMX_CPU_SECONDARY_CONTROLS  BIT31

//
// Secondary processor-based VM-execution controls, 24.6.2 [25.6.2]
//
#define VMX_CPU2_APIC_ACCESSES       BIT0
#define VMX_CPU2_EPT                 BIT1
#define VMX_CPU2_DESCRIPTOR_TABLE    BIT2
#define VMX_CPU2_RDTSCP              BIT3
#define VMX_CPU2_X2APIC              BIT4
#define VMX_CPU2_VPID                BIT5
#define VMX_CPU2_WBINVD              BIT6
#define VMX_CPU2_UNRESTRICTED_GUEST  BIT7
#define VMX_CPU2_PAUSE_LOOP          BIT10
#define VMX_CPU2_RDRAND              BIT11
#define VMX_CPU2_INVPCID             BIT12
#define VMX_CPU2_VMFUNC              BIT13
#define VMX_CPU2_VMCS_SHADOWING      BIT14
#define VMX_CPU2_RDSEED              BIT16
#define VMX_CPU2_XSAVES              BIT20

//
// VM-exit controls, 24.7.1 [25.7.1]
//
#define VMX_EXIT_SAVE_DEBUG               BIT2
#define VMX_EXIT_HOST_ADDRESS_SPACE_SIZE  BIT9
#define VMX_EXIT_LOAD_PERF_GLOBAL_CTRL    BIT12
#define VMX_EXIT_ACKNOWLEDGE_INTERRUPT    BIT15
#define VMX_EXIT_SAVE_PAT                 BIT18
#define VMX_EXIT_LOAD_PAT                 BIT19
#define VMX_EXIT_SAVE_EFER                BIT20
#define VMX_EXIT_LOAD_EFER                BIT21
#define VMX_EXIT_SAVE_PREEMPTION_TIMER    BIT22

//
// VM-entry controls, 24.8.1 [25.8.1]
//
#define VMX_ENTRY_LOAD_DEBUG             BIT2
#define VMX_ENTRY_IA32E_GUEST            BIT9
#define VMX_ENTRY_TO_SMM                 BIT10
#define VMX_ENTRY_DEACTIVATE             BIT11
#define VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL  BIT13
#define VMX_ENTRY_LOAD_PAT               BIT14
#define VMX_ENTRY_LOAD_EFER              BIT15

//
// VM-entry interruption information, 24.8.3 [25.8.3]; the exit fields
// (VMCS_EXIT_INTERRUPTION_INFO, VMCS_IDT_VECTORING_INFO) use the same layout.
//
#define VMX_INTERRUPTION_VECTOR_MASK                0xFF
#define VMX_INTERRUPTION_TYPE_MASK                  0x700
#define VMX_INTERRUPTION_TYPE_EXTERNAL              (0 << 8)
#define VMX_INTERRUPTION_TYPE_NMI                   (2 << 8)
#define VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION    (3 << 8)
#define VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT    (4 << 8)
#define VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION  (5 << 8)
#define VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION    (6 << 8)
#define VMX_INTERRUPTION_TYPE_OTHER                 (7 << 8)
#define VMX_INTERRUPTION_ERROR_CODE                 BIT11
#define VMX_INTERRUPTION_VALID                      BIT31

///
/// Injects a pending MTF VM exit (DM-INT-25).
///
#define VMX_INTERRUPTION_PENDING_MTF  (VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_OTHER)

//
// Interruptibility state, 24.4.2 [25.4.2]
//
#define VMX_BLOCKING_BY_STI     BIT0
#define VMX_BLOCKING_BY_MOV_SS  BIT1
#define VMX_BLOCKING_BY_SMI     BIT2
#define VMX_BLOCKING_BY_NMI     BIT3

//
// Activity state, 24.4.2 [25.4.2]
//
#define VMX_ACTIVITY_ACTIVE         0
#define VMX_ACTIVITY_HLT            1
#define VMX_ACTIVITY_SHUTDOWN       2
#define VMX_ACTIVITY_WAIT_FOR_SIPI  3

//
// Segment access rights, 24.4.1 [25.4.1]
//
#define VMX_ACCESS_TYPE_MASK    0x0F
#define VMX_ACCESS_CODE_DATA    BIT4
#define VMX_ACCESS_DPL_MASK     (BIT5 | BIT6)
#define VMX_ACCESS_PRESENT      BIT7
#define VMX_ACCESS_AVAILABLE    BIT12
#define VMX_ACCESS_LONG         BIT13
#define VMX_ACCESS_BIG          BIT14
#define VMX_ACCESS_GRANULARITY  BIT15
#define VMX_ACCESS_UNUSABLE     BIT16
#define VMX_ACCESS_VALID_MASK   0x0001F0FF
#define VMX_ACCESS_CODE32       0xC09B  ///< execute/read, accessed, DPL 0, 32-bit, 4-KB granular
#define VMX_ACCESS_CODE64       0xA09B  ///< execute/read, accessed, DPL 0, long, 4-KB granular
#define VMX_ACCESS_DATA         0xC093  ///< read/write, accessed, DPL 0, big, 4-KB granular
#define VMX_ACCESS_TSS64_BUSY   0x008B  ///< busy 64-bit TSS

//
// Exit reason field, 24.9.1 [25.9.1]
//
#define VMX_REASON_BASIC_MASK     0xFFFF
#define VMX_REASON_PENDING_MTF    BIT28
#define VMX_REASON_FROM_ROOT      BIT29
#define VMX_REASON_ENTRY_FAILURE  BIT31

//
// Basic exit reasons, appendix C
//
#define VMX_REASON_EXCEPTION_NMI         0
#define VMX_REASON_EXTERNAL_INTERRUPT    1
#define VMX_REASON_TRIPLE_FAULT          2
#define VMX_REASON_INIT                  3
#define VMX_REASON_SIPI                  4
#define VMX_REASON_IO_SMI                5
#define VMX_REASON_OTHER_SMI             6
#define VMX_REASON_INTERRUPT_WINDOW      7
#define VMX_REASON_NMI_WINDOW            8
#define VMX_REASON_TASK_SWITCH           9
#define VMX_REASON_CPUID                 10
#define VMX_REASON_GETSEC                11
#define VMX_REASON_HLT                   12
#define VMX_REASON_INVD                  13
#define VMX_REASON_INVLPG                14
#define VMX_REASON_RDPMC                 15
#define VMX_REASON_RDTSC                 16
#define VMX_REASON_RSM                   17
#define VMX_REASON_VMCALL                18
#define VMX_REASON_VMCLEAR               19
#define VMX_REASON_VMLAUNCH              20
#define VMX_REASON_VMPTRLD               21
#define VMX_REASON_VMPTRST               22
#define VMX_REASON_VMREAD                23
#define VMX_REASON_VMRESUME              24
#define VMX_REASON_VMWRITE               25
#define VMX_REASON_VMXOFF                26
#define VMX_REASON_VMXON                 27
#define VMX_REASON_CR_ACCESS             28
#define VMX_REASON_MOV_DR                29
#define VMX_REASON_IO                    30
#define VMX_REASON_RDMSR                 31
#define VMX_REASON_WRMSR                 32
#define VMX_REASON_ENTRY_GUEST_STATE     33
#define VMX_REASON_ENTRY_MSR_LOADING     34
#define VMX_REASON_MWAIT                 36
#define VMX_REASON_MONITOR_TRAP_FLAG     37
#define VMX_REASON_MONITOR               39
#define VMX_REASON_PAUSE                 40
#define VMX_REASON_ENTRY_MACHINE_CHECK   41
#define VMX_REASON_TPR_BELOW_THRESHOLD   43
#define VMX_REASON_APIC_ACCESS           44
#define VMX_REASON_GDTR_IDTR             46
#define VMX_REASON_LDTR_TR               47
#define VMX_REASON_EPT_VIOLATION         48
#define VMX_REASON_EPT_MISCONFIGURATION  49
#define VMX_REASON_INVEPT                50
#define VMX_REASON_RDTSCP                51
#define VMX_REASON_PREEMPTION_TIMER      52
#define VMX_REASON_INVVPID               53
#define VMX_REASON_WBINVD                54
#define VMX_REASON_XSETBV                55
#define VMX_REASON_RDRAND                57
#define VMX_REASON_INVPCID               58
#define VMX_REASON_VMFUNC                59
#define VMX_REASON_RDSEED                61
#define VMX_REASON_XSAVES                63
#define VMX_REASON_XRSTORS               64

///
/// One more than the largest basic exit reason above: size of a dispatch table.
///
#define VMX_REASON_COUNT  65

//
// Exit qualification for control-register accesses, 27.2.1 [28.2.1]
//
#define VMX_CR_QUALIFICATION_NUMBER(Qualification)     ((UINT32)(Qualification) & 0xF)
#define VMX_CR_QUALIFICATION_TYPE(Qualification)       (((UINT32)(Qualification) >> 4) & 3)
#define VMX_CR_QUALIFICATION_REGISTER(Qualification)   (((UINT32)(Qualification) >> 8) & 0xF)
#define VMX_CR_QUALIFICATION_LMSW_DATA(Qualification)  (((UINT32)(Qualification) >> 16) & 0xFFFF)
#define VMX_CR_ACCESS_MOV_TO    0
#define VMX_CR_ACCESS_MOV_FROM  1
#define VMX_CR_ACCESS_CLTS      2
#define VMX_CR_ACCESS_LMSW      3

//
// Exit qualification for I/O instructions and I/O SMIs, 27.2.1 [28.2.1]
//
#define VMX_IO_QUALIFICATION_SIZE(Qualification)  (((UINT32)(Qualification) & 7) + 1)
#define VMX_IO_QUALIFICATION_IN      BIT3
#define VMX_IO_QUALIFICATION_STRING  BIT4
#define VMX_IO_QUALIFICATION_REP     BIT5
#define VMX_IO_QUALIFICATION_PORT(Qualification)  (((UINT32)(Qualification) >> 16) & 0xFFFF)

//
// VM-exit instruction information for INS and OUTS, 27.2.4 [28.2.5]; reserved if
// VMX_BASIC_STRING_IO is 0
//
#define VMX_STRING_IO_ADDRESS_SIZE(Information)  (((UINT32)(Information) >> 7) & 7)
#define VMX_ADDRESS_SIZE_16  0
#define VMX_ADDRESS_SIZE_32  1

//
// Exit qualification for EPT violations, 27.2.1 [28.2.1]
//
#define VMX_EPT_VIOLATION_READ            BIT0
#define VMX_EPT_VIOLATION_WRITE           BIT1
#define VMX_EPT_VIOLATION_FETCH           BIT2
#define VMX_EPT_VIOLATION_LINEAR_VALID    BIT7
#define VMX_EPT_VIOLATION_NOT_TABLE_WALK  BIT8

//
// VM-instruction errors, "VM Instruction Error Numbers", 30.4 [31.4]
//
#define VMX_ERROR_VMCALL_IN_ROOT           1
#define VMX_ERROR_VMCLEAR_ADDRESS          2
#define VMX_ERROR_VMCLEAR_VMXON_POINTER    3
#define VMX_ERROR_VMLAUNCH_NOT_CLEAR       4
#define VMX_ERROR_VMRESUME_NOT_LAUNCHED    5
#define VMX_ERROR_VMRESUME_AFTER_VMXOFF    6
#define VMX_ERROR_ENTRY_CONTROLS           7
#define VMX_ERROR_ENTRY_HOST_STATE         8
#define VMX_ERROR_VMPTRLD_ADDRESS          9
#define VMX_ERROR_VMPTRLD_VMXON_POINTER    10
#define VMX_ERROR_VMPTRLD_REVISION         11
#define VMX_ERROR_UNSUPPORTED_COMPONENT    12
#define VMX_ERROR_READ_ONLY_COMPONENT      13
#define VMX_ERROR_VMXON_IN_ROOT            15
#define VMX_ERROR_EXECUTIVE_POINTER        16
#define VMX_ERROR_EXECUTIVE_NOT_LAUNCHED   17
#define VMX_ERROR_EXECUTIVE_NOT_VMXON      18
#define VMX_ERROR_VMCALL_NOT_CLEAR         19
#define VMX_ERROR_VMCALL_EXIT_CONTROLS     20
#define VMX_ERROR_VMCALL_MSEG_REVISION     22
#define VMX_ERROR_VMXOFF_DUAL_MONITOR      23
#define VMX_ERROR_VMCALL_MSEG_FEATURES     24
#define VMX_ERROR_EXECUTIVE_CONTROLS       25
#define VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS  26
#define VMX_ERROR_INVALIDATION_OPERAND     28

//
// Bits of MSRs whose numbers are in ArchitecturalMsr.h
//
#define VMX_SMM_MONITOR_CTL_VALID             BIT0
#define VMX_SMM_MONITOR_CTL_BLOCK_UNBLOCKING  BIT2
#define VMX_BASIC_DUAL_MONITOR                BIT49
#define VMX_BASIC_STRING_IO                   BIT54
#define VMX_BASIC_TRUE_CONTROLS               BIT55
#define VMX_BASIC_REVISION_MASK               0x7FFFFFFF
#define VMX_BASIC_SIZE_MASK                   0x1FFF       ///< of bits 63:32: bytes of a region
#define VMX_MISC_TIMER_RATE                   0x1F
#define VMX_MISC_STORE_LMA                    BIT5
#define VMX_MISC_ACTIVITY_WAIT_FOR_SIPI       BIT8
#define VMX_MISC_SMBASE_READABLE              BIT15
#define VMX_MISC_CR3_TARGETS                  0x1FF0000
#define VMX_MISC_BLOCK_UNBLOCKING             BIT28

//
// EPT: "The Extended Page Table Mechanism", 28.2 [29.3]
//
#define EPT_READ               BIT0
#define EPT_WRITE              BIT1
#define EPT_EXECUTE            BIT2
#define EPT_MEMORY_TYPE_SHIFT  3
#define EPT_MEMORY_TYPE_UC     0
#define EPT_MEMORY_TYPE_WB     6
#define EPT_IGNORE_PAT         BIT6
#define EPT_LARGE_PAGE         BIT7
#define EPT_ADDRESS_MASK       0x000FFFFFFFFFF000ULL
#define EPT_ENTRIES_PER_TABLE  512

///
/// EPT pointer: bits 2:0 memory type of the tables, bits 5:3 levels - 1.
///
#define EPT_POINTER_WALK_4  (3 << 3)

//
// IA32_VMX_EPT_VPID_CAP, appendix A.10
//
#define EPT_CAP_EXECUTE_ONLY   BIT0
#define EPT_CAP_WALK_4         BIT6
#define EPT_CAP_TABLES_WB      BIT14
#define EPT_CAP_2MB_PAGES      BIT16
#define EPT_CAP_1GB_PAGES      BIT17
#define EPT_CAP_INVEPT         BIT20
#define EPT_CAP_INVEPT_SINGLE  BIT25
#define EPT_CAP_INVEPT_ALL     BIT26

#define INVEPT_SINGLE_CONTEXT  1
#define INVEPT_ALL_CONTEXTS    2

#endif
