/** @file
  What the parts of the executive monitor's loader share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXEC_MON_H_
#define EXEC_MON_H_

#include <PiDxe.h>
#include <Guid/StmStatusTable.h>
#include <IndustryStandard/Acpi.h>
#include <Protocol/MpService.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Intel/StmApi.h>
#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/CacheMaintenanceLib.h>
#include <Library/DxeServicesLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/PcdLib.h>
#include <Library/PeCoffLib.h>
#include <Library/PrintLib.h>
#include <Library/StmRecordLib.h>
#include <Library/StmStatusLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#include "../Include/ExecutiveMonitor.h"

extern EFI_GUID  gExecutiveMonitorProtocolGuid;

///
/// The options of the command start.
///
typedef struct {
  BOOLEAN    Root;            ///< stay in VMX root operation, launch no guest
  BOOLEAN    WithoutStm;      ///< leave the STM out even if the firmware offers it
  BOOLEAN    SmiInWindow;     ///< raise an SMI between INITIALIZE_PROTECTION and START
  BOOLEAN    FailLast;        ///< for tests: the last processor calls START twice
  BOOLEAN    RefuseStop;      ///< for tests: the last processor's first stop is refused
  BOOLEAN    IgnoreSleep;     ///< for the experiment: do not intercept the way into sleep
  BOOLEAN    Returns;         ///< come back after S3, before the guest
  UINT64     RemapPage;       ///< for the experiment: page below 1 MB that the guest gets elsewhere; 0 for none
} EXEC_START_OPTIONS;

//
// Load.c
//

/**
  Find the resident part, or load it into reserved memory.

  @param[in]  Processors  How many processors the machine has.
  @param[out] Monitor     The resident part.

  @retval EFI_SUCCESS           Found or loaded.
  @retval EFI_NOT_FOUND         No firmware volume holds the image.
  @retval EFI_OUT_OF_RESOURCES  No reserved memory below 4 GB.
  @retval EFI_LOAD_ERROR        The image is not a PE image for this processor.
  @retval others                The protocol could not be installed.
**/
EFI_STATUS
ExecLoad (
  IN  UINTN                       Processors,
  OUT EXECUTIVE_MONITOR_PROTOCOL  **Monitor
  );

/**
  Get what the resident part needs to come back after S3: reserved memory below 1 MB
  for its waking routine, if the ACPI tables have S3.

  @param[in,out] Parameters  WakePage is set.

  @retval EFI_SUCCESS           Done.
  @retval EFI_UNSUPPORTED       The ACPI tables have no S3 or no FACS.
  @retval EFI_OUT_OF_RESOURCES  There is no page below 1 MB.
**/
EFI_STATUS
ExecReserveWakePage (
  IN OUT EXEC_PARAMETERS  *Parameters
  );

/**
  Find the resident part if it has been loaded.

  @return The resident part, or NULL.
**/
EXECUTIVE_MONITOR_PROTOCOL *
ExecFind (
  VOID
  );

//
// Processors.c
//

/**
  How many processors the machine has, and which of them this is.

  @param[out] Processors  Number of enabled and disabled processors.
  @param[out] Bsp         Number of the bootstrap processor, which runs this.

  @retval EFI_SUCCESS      Done.
  @retval EFI_UNSUPPORTED  A processor is disabled or not healthy: it was named.
  @return What MP Services returned.
**/
EFI_STATUS
ExecCountProcessors (
  OUT UINTN  *Processors,
  OUT UINTN  *Bsp
  );

/**
  Enter VMX operation on all processors and, unless the BSP is to stay in VMX root
  operation, make all of them guests. If one fails the others go back.

  @param[in]  Monitor  The resident part.
  @param[in]  Bsp      Number of the bootstrap processor.
  @param[in]  Root     TRUE: the BSP stays in VMX root operation.
  @param[out] Failed   The processor that failed.

  @return ExecOk, or what failed.
**/
EXEC_RESULT
ExecEnterAll (
  IN  EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN  UINTN                       Bsp,
  IN  BOOLEAN                     Root,
  OUT UINTN                       *Failed
  );

/**
  Leave VMX operation on all processors, the BSP last. If one fails, those before it
  become guests again: no processor is left to which the STM does not apply.

  @param[in]  Monitor     The resident part.
  @param[in]  Processors  How many processors are guests, from number 0.
  @param[in]  Bsp         Number of the bootstrap processor.
  @param[out] Failed      The processor that failed.
  @param[out] Whole       If one failed: all processors are guests, as before.

  @return ExecOk, or ExecStmRefused or ExecNoAnswer of the one that failed.
**/
EXEC_RESULT
ExecLeaveAll (
  IN  EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN  UINTN                       Processors,
  IN  UINTN                       Bsp,
  OUT UINTN                       *Failed,
  OUT BOOLEAN                     *Whole
  );

//
// Command.c
//

/**
  Start the executive monitor on all processors.

  @param[in] Options  Of the command.

  @retval EFI_SUCCESS          Running, or the processor has no VMX and the reason was given.
  @retval EFI_ALREADY_STARTED  It runs.
  @retval EFI_UNSUPPORTED      Not with these options on this machine; it was said why.
  @retval EFI_DEVICE_ERROR     A step failed; it was named, and no processor is in VMX operation.
**/
EFI_STATUS
ExecStart (
  IN CONST EXEC_START_OPTIONS  *Options
  );

/**
  Stop the executive monitor.

  @retval EFI_SUCCESS       Stopped, or it did not run.
  @retval EFI_DEVICE_ERROR  A processor could not leave: it was named, and the others stay with it.
**/
EFI_STATUS
ExecStop (
  VOID
  );

/**
  Say whether the executive monitor runs, and what exits it has seen.

  @retval EFI_SUCCESS  Always.
**/
EFI_STATUS
ExecStatus (
  VOID
  );

/**
  Record how often each exit reason occurred since the launch.

  @retval EFI_SUCCESS      Done.
  @retval EFI_NOT_STARTED  There is no guest: nothing exits.
**/
EFI_STATUS
ExecRecordExits (
  VOID
  );

//
// X64/Hypercall.nasm
//

/**
  VMCALL to the executive monitor, CPL 0 of its guest.

  @param[in]     Number  EXEC_HYPERCALL_*.
  @param[in,out] Rbx     RBX in and out, or NULL.

  @return RAX.
**/
UINT64
EFIAPI
AsmExecHypercall (
  IN     UINT32  Number,
  IN OUT UINT64  *Rbx  OPTIONAL
  );

//
// Protect.c
//

/**
  Whether the STM can be asked: says why not.

  @retval TRUE   This shell is a guest, and the STM is active.
  @retval FALSE  It is not.
**/
BOOLEAN
ExecHasStm (
  VOID
  );

/**
  Ask the executive monitor to have the STM keep its SMI handler from a page, or let
  the handler reach it again.

  @param[in] Page     Physical address, hexadecimal.
  @param[in] Protect  TRUE to keep the handler from it.

  @retval EFI_SUCCESS            It is so.
  @retval EFI_INVALID_PARAMETER  The address is no page's.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecProtect (
  IN CONST CHAR16  *Page,
  IN BOOLEAN       Protect
  );

//
// Resources.c
//

/**
  Show what the firmware's SMI handlers need, and record it.

  @retval EFI_SUCCESS         Done.
  @retval EFI_NOT_STARTED     The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED   The STM refused: its status was told.
  @retval EFI_PROTOCOL_ERROR  A descriptor is malformed.
**/
EFI_STATUS
ExecResources (
  VOID
  );

//
// Describe.c
//

///
/// Of what an entry of the event log tells, in words of records.
///
#define EXEC_TEXT_LENGTH  160

/**
  The name of an event.

  @param[in] Type  EVENT_TYPE.

  @return An ASCII string; "unknown" for what the interface does not have.
**/
CONST CHAR8 *
ExecEventName (
  IN UINT32  Type
  );

///
/// Of a name in a list, with its end.
///
#define EXEC_NAME_LENGTH  32

/**
  Take a name off a list.

  @param[in]  Text  Names, separated by commas.
  @param[out] Name  EXEC_NAME_LENGTH bytes; a longer name is cut.

  @return What is behind the comma, NULL if there is none.
**/
CONST CHAR16 *
ExecTakeName (
  IN  CONST CHAR16  *Text,
  OUT CHAR8         *Name
  );

/**
  Describe what an entry of the event log tells beside its type.

  @param[in]  Entry  The entry, STM_LOG_ENTRY_SIZE bytes.
  @param[out] Text   Where to write; empty if it tells nothing.
  @param[in]  Size   Bytes there, at least EXEC_TEXT_LENGTH.
**/
VOID
ExecDescribeEntry (
  IN  CONST STM_LOG_ENTRY  *Entry,
  OUT CHAR8                *Text,
  IN  UINTN                Size
  );

//
// EventLog.c
//

/**
  Manage the STM's event log, or show it.

  @param[in] Action  Name of a sub-function; NULL to show the log.
  @param[in] Value   Pages of a new log, events to configure, or NULL.

  @retval EFI_SUCCESS            Done.
  @retval EFI_INVALID_PARAMETER  There is no such action, or it takes another value.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_NOT_FOUND          There is no log to show.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecEventLog (
  IN CONST CHAR16  *Action  OPTIONAL,
  IN CONST CHAR16  *Value   OPTIONAL
  );

//
// Domain.c
//

/**
  Give the guest on every processor a domain type, or take it back.

  @param[in] Words  add TYPE [XSTATE [KEEP]], or remove.
  @param[in] Count  How many words.

  @retval EFI_SUCCESS            Done.
  @retval EFI_INVALID_PARAMETER  A word is not what it should be.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecDomain (
  IN CHAR16  **Words,
  IN UINTN   Count
  );

#endif
