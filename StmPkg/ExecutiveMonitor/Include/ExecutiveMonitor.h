/** @file
  What the loader and the resident part of the executive monitor share.

  The resident part is a PE image of its own in reserved memory below 4 GB. The
  loader, a shell application, relocates it there, fills in an EXEC_PARAMETERS
  block and an EXEC_PROCESSOR block for each processor in the same range, and
  calls its entry point on each processor.

  While a processor is a guest the range does not exist for it: it finds what it
  may know in EXECUTIVE_MONITOR_PROTOCOL, and asks for the rest by hypercalls
  (StmHypercall.h).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXECUTIVE_MONITOR_H_
#define EXECUTIVE_MONITOR_H_

#include <Library/StmSleepLib.h>

#define EXEC_PARAMETERS_SIGNATURE  SIGNATURE_64 ('E', 'X', 'E', 'C', 'M', 'O', 'N', '2')

///
/// What the resident part is asked to do on the processor that calls it.
///
typedef enum {
  ExecCommandEnterRoot,         ///< VMXON, the STM if it is there: the caller continues in VMX root operation
  ExecCommandLaunch,            ///< from VMX root operation: VMLAUNCH, the caller continues as the guest
  ExecCommandStart,             ///< both, one after the other
  ExecCommandLeaveRoot          ///< from VMX root operation: STOP, VMXOFF
} EXEC_COMMAND;

///
/// Outcome of a command, and of EXEC_HYPERCALL_LEAVE.
///
typedef enum {
  ExecOk = 0,
  ExecVmxonFailed,              ///< VMXON: Detail is the VMX_RESULT
  ExecActivationFailed,         ///< VMCALL to the STM: Detail is the VM-instruction error
  ExecStmRefused,               ///< the STM answered with an error: Detail is its status
  ExecControlsMissing,          ///< the processor lacks a control: Detail is the capability MSR
  ExecLaunchFailed,             ///< VMLAUNCH: Detail is the VM-instruction error
  ExecNoAnswer                  ///< MP Services could not run the command: Detail is the EFI_STATUS
} EXEC_RESULT;

///
/// Where a processor is.
///
typedef enum {
  ExecStateOff,
  ExecStateRoot,
  ExecStateGuest
} EXEC_STATE;

#define EXEC_EXIT_REASONS  65

typedef struct EXEC_PARAMETERS_BLOCK EXEC_PARAMETERS;

///
/// One processor. It begins a range of EXEC_PARAMETERS.ProcessorSize bytes that
/// no other processor uses.
///
typedef struct {
  EXEC_PARAMETERS    *Shared;
  UINT32             Number;          ///< of MP Services
  UINT32             ApicId;          ///< of its local APIC
  BOOLEAN            Activates;       ///< calls INITIALIZE_PROTECTION before START
  BOOLEAN            StartsTwice;     ///< for tests: START is called twice, and the second call refused
  BOOLEAN            StmActive;       ///< the STM is activated on this processor and has not been stopped
  BOOLEAN            StopsTwice;      ///< for tests: the first stop is a call that the STM refuses
  EXEC_STATE         State;
  EXEC_RESULT        Result;          ///< of the last command
  UINT64             Detail;          ///< likewise
  UINT64             SmiCountBefore;  ///< MSR 34H before the SMI that SmiInWindow asks for
  UINT64             SmiCountWindow;  ///< MSR 34H after it, before START
  UINT64             SmiCountAfter;   ///< MSR 34H after START
  UINT64             VmxonRegion;     ///< 4 KB each, physical = linear address
  UINT64             ActivationVmcs;
  UINT64             GuestVmcs;
  UINT64             ResourceList;    ///< for calls of the STM
  UINT64             HostTables;      ///< GDT and TSS of VMX root operation
  UINT64             StackTop;        ///< of the stack for VM exits
  UINT64             CrashStackTop;   ///< of the stack for exceptions and NMIs
  UINT64             RootNmis;        ///< NMIs of the guest that came in VMX root operation
  UINT64             HiddenAccesses;  ///< accesses of the guest to the hidden range
  UINT64             ExitCount[EXEC_EXIT_REASONS];
} EXEC_PROCESSOR;

///
/// What all processors share.
///
struct EXEC_PARAMETERS_BLOCK {
  UINT64                          Signature;      ///< EXEC_PARAMETERS_SIGNATURE
  BOOLEAN                         UseStm;         ///< the firmware says the dual-monitor treatment is enabled
  BOOLEAN                         SmiInWindow;    ///< raise an SMI between INITIALIZE_PROTECTION and START
  BOOLEAN                         IgnoreSleep;    ///< for the experiment: the guest's way into sleep is not intercepted
  BOOLEAN                         Returns;        ///< come back after S3
  UINT32                          Processors;     ///< how many blocks there are
  UINT32                          TableCount;     ///< page-directory-pointer tables that cover the physical width
  UINT64                          FirstProcessor; ///< address of the EXEC_PROCESSOR of processor 0
  UINT64                          ProcessorSize;  ///< distance of two such blocks
  UINT64                          HiddenBase;     ///< range that no guest reaches, multiples of 2 MB
  UINT64                          HiddenSize;
  UINT64                          MsrBitmap;      ///< 4 KB each, physical = linear address
  UINT64                          IoBitmaps;      ///< A, then B
  UINT64                          PageTables;     ///< PML4, then TableCount tables of 1-GB pages
  UINT64                          EptTables;      ///< likewise
  UINT64                          EptDirectories; ///< two page directories, for the 1-GB pages that hold the hidden range
  UINT64                          EptUnbacked;    ///< page table whose entries all lead to the next page
  UINT64                          UnbackedPage;   ///< all ones
  UINT64                          RemapPage;      ///< page below 1 MB that the guest has elsewhere; 0 if there is none
  UINT64                          RemapTarget;    ///< where it has it: 4 KB, and two for EPT behind it
  UINT64                          LogPages;       ///< EXEC_LOG_PAGES pages for the STM's event log
  volatile UINT32                 LogPageCount;   ///< how many of them the log has; 0 without one
  UINT64                          Published;      ///< the EXECUTIVE_MONITOR_PROTOCOL: what the guest may know
  STM_SLEEP                       Sleep;          ///< what the ACPI tables say
  UINT64                          WakePage;       ///< below 1 MB, reserved: our waking routine, if Returns
  UINT64                          WakeEntry;      ///< where it ends
  EXEC_PROCESSOR     *volatile    Waking;         ///< whom it serves at the moment
  UINT32                          GuestVector;    ///< the guest's waking vector while ours is in the FACS
  volatile UINT32                 RecordLock;     ///< taken to write a record
  volatile UINT32                 LeaveLock;      ///< taken to leave VMX operation before the platform ends
  volatile UINT32                 Leaving;        ///< 1: the platform is about to sleep or to be reset
  volatile UINT32                 Guests;         ///< processors that are guests
};

///
/// The EXEC_PROCESSOR of a processor, by its number of MP Services.
///
#define EXEC_PROCESSOR_OF(Parameters, Number) \
  ((EXEC_PROCESSOR *)(UINTN)((Parameters)->FirstProcessor + (Number) * (Parameters)->ProcessorSize))

/**
  Entry point of the resident part. CPL 0, 64-bit mode, interrupts off.

  After a launch the caller continues as if the call had returned: nothing of the
  resident part is reached again from the guest.

  @param[in,out] Processor  The caller's block; Result and Detail are set.
  @param[in]     Command    What to do.

  @return Processor->Result.
**/
typedef
UINTN
(EFIAPI *EXEC_ENTRY)(
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     EXEC_COMMAND    Command
  );

///
/// Protocol by which a later run of the loader, and the guest, find the resident
/// part. It lies outside the hidden range.
///
#define EXECUTIVE_MONITOR_PROTOCOL_GUID \
  { \
    0x7d364b5e, 0xb039, 0x476a, { 0x8a, 0x96, 0x38, 0xcf, 0x62, 0x87, 0x1c, 0x93 } \
  }

typedef struct {
  EXEC_ENTRY         Entry;           ///< in the hidden range
  EXEC_PARAMETERS    *Parameters;     ///< in the hidden range: not for a guest
  UINT64             HiddenBase;
  UINT64             HiddenSize;
  EXEC_STATE         State;           ///< of all processors; ExecStateRoot: the BSP, alone
  BOOLEAN            StmActive;
} EXECUTIVE_MONITOR_PROTOCOL;

#endif
