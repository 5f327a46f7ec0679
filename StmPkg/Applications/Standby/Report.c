/** @file
  What an operating system can see of the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Standby.h"
#include <Guid/StmStatusTable.h>
#include <Library/StmStatusLib.h>
#include <Library/StmTryLib.h>
#include <Library/VmxLib.h>
#include <Protocol/DebugSupport.h>
#include <Protocol/MpService.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <StmHypercall.h>

#define VMX_BASIC_DUAL_MONITOR  BIT49

/**
  Ask the executive monitor whether it is there.

  @param[in,out] Answer  UINT32.
**/
STATIC
VOID
EFIAPI
CallMonitor (
  IN OUT VOID  *Answer
  )
{
  UINT32  Ebx;
  UINT32  Edx;
  UINT64  Flags;

  Ebx = 0;
  Edx = 0;
  AsmStmVmCall (Answer, &Ebx, 0, &Edx, &Flags);
}

/**
  Log whether an executive monitor answers. Where none is, VMCALL is an invalid
  opcode, and a guest that relies on its monitor dies of it.
**/
STATIC
VOID
ReportMonitor (
  VOID
  )
{
  EFI_TPL  Tpl;
  UINTN    Vector;
  UINT32   Answer;

  Answer = EXEC_HYPERCALL_PRESENT;
  Tpl    = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  Vector = StmTry (CallMonitor, &Answer);
  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
  if ((Vector == STM_TRY_DONE) && (Answer == EXEC_HYPERCALL_SIGNATURE)) {
    STANDBY_RECORD ("monitor", "answer=present");
    Print (L"Standby: the executive monitor answers\n");
  } else {
    STANDBY_RECORD ("monitor", "answer=%a", (Vector == EXCEPT_IA32_INVALID_OPCODE) ? "#UD" : "other");
    Print (L"Standby: no executive monitor answers: exception %d\n", Vector);
  }
}

/**
  Whether this processor has IA32_SMM_MONITOR_CTL, as far as it shows: a guest of
  a monitor sees no VMX and no such MSR.

  @retval TRUE   It can be read.
  @retval FALSE  It cannot.
**/
STATIC
BOOLEAN
HasMonitorControl (
  VOID
  )
{
  CPUID_VERSION_INFO_ECX  Ecx;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx.Uint32, NULL);
  return (BOOLEAN)((Ecx.Bits.VMX == 1) && ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_DUAL_MONITOR) != 0));
}

/**
  Read IA32_SMM_MONITOR_CTL on the processor that executes this code.

  @param[out] Buffer  UINT64.
**/
STATIC
VOID
EFIAPI
ReadMonitorControl (
  OUT VOID  *Buffer
  )
{
  *(UINT64 *)Buffer = AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL);
}

/**
  Log the MSR of every processor.
**/
STATIC
VOID
ReportProcessors (
  VOID
  )
{
  EFI_MP_SERVICES_PROTOCOL  *Mp;
  EFI_STATUS                Status;
  UINTN                     Count;
  UINTN                     Enabled;
  UINTN                     Own;
  UINTN                     Index;
  UINT64                    Value;

  Count  = 1;
  Own    = 0;
  Status = gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp);
  if (!EFI_ERROR (Status)) {
    Mp->GetNumberOfProcessors (Mp, &Count, &Enabled);
    Mp->WhoAmI (Mp, &Own);
  }

  for (Index = 0; Index < Count; Index++) {
    Status = EFI_SUCCESS;
    if (Index == Own) {
      ReadMonitorControl (&Value);
    } else {
      Status = Mp->StartupThisAP (Mp, ReadMonitorControl, Index, NULL, 0, &Value, NULL);
    }

    if (EFI_ERROR (Status)) {
      STANDBY_RECORD ("smm-monitor-ctl", "processor=%lu value=- status=0x%lx", (UINT64)Index, (UINT64)Status);
      Print (L"Standby: processor %ld does not answer: %r\n", (UINT64)Index, Status);
    } else {
      STANDBY_RECORD ("smm-monitor-ctl", "processor=%lu value=0x%lx", (UINT64)Index, Value);
      Print (L"Standby: processor %ld: IA32_SMM_MONITOR_CTL = 0x%lx\n", (UINT64)Index, Value);
    }
  }
}

/**
  Log what an operating system can see: the firmware's status table, whether an
  executive monitor answers, and IA32_SMM_MONITOR_CTL of every processor where
  there is such an MSR.
**/
VOID
StandbyReport (
  VOID
  )
{
  STM_STATUS_TABLE  *Table;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->Signature != STM_STATUS_TABLE_SIGNATURE) || (Table->Version != STM_STATUS_TABLE_VERSION))
  {
    STANDBY_RECORD ("stm-status", "state=- reason=- wakes=0");
  } else {
    STANDBY_RECORD (
      "stm-status",
      "state=%a reason=%a wakes=%lu",
      StmStateName ((STM_STATE)Table->State),
      StmReasonName ((STM_REASON)Table->Reason),
      Table->Wakes
      );
    Print (
      L"Standby: STM %a, reason %a, %ld wakes\n",
      StmStateName ((STM_STATE)Table->State),
      StmReasonName ((STM_REASON)Table->Reason),
      Table->Wakes
      );
  }

  ReportMonitor ();
  if (HasMonitorControl ()) {
    ReportProcessors ();
  }
}
