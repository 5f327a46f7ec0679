/** @file
  The commands start, stop, status and exits.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

///
/// Of one exit reason in the record of all: "64:18446744073709551615,".
///
#define COUNT_LENGTH  24

///
/// In the order of EXEC_RESULT.
///
STATIC CONST CHAR8  *mResults[] = {
  "ok",
  "VMXON failed, VMX result",
  "VMCALL INITIALIZE_PROTECTION failed, VM-instruction error",
  "the STM refused, status",
  "the processor lacks a VMX control, capability MSR",
  "VMLAUNCH failed, VM-instruction error"
};

/**
  Say what a command led to.

  @param[in] Parameters  Result and Detail.

  @retval EFI_SUCCESS       Result is ExecOk.
  @retval EFI_DEVICE_ERROR  It is not.
**/
STATIC
EFI_STATUS
ExecReport (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  if (Parameters->Result == ExecOk) {
    return EFI_SUCCESS;
  }

  Print (L"ExecMon: %a 0x%lx\n", mResults[Parameters->Result], Parameters->Detail);
  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "failed",
    "result=%u detail=0x%lx",
    (UINT32)Parameters->Result,
    Parameters->Detail
    );
  return EFI_DEVICE_ERROR;
}

/**
  Why VMX cannot be used on this processor.

  @return StmReasonNone if it can.
**/
STATIC
STM_REASON
ExecCheckVmx (
  VOID
  )
{
  STM_PROCESSOR_FACTS  Facts;
  STM_REASON           Reason;
  UINT32               Ecx;

  ZeroMem (&Facts, sizeof (Facts));
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  Facts.Vmx = (BOOLEAN)((Ecx & BIT5) != 0);
  if (Facts.Vmx) {
    Facts.FeatureControl = AsmReadMsr64 (MSR_IA32_FEATURE_CONTROL);
    Facts.VmxBasic       = AsmReadMsr64 (MSR_IA32_VMX_BASIC);
  }

  Reason = StmCheckProcessor (&Facts);
  return (Reason == StmReasonNoDualMonitor) ? StmReasonNone : Reason;
}

/**
  Whether the firmware has enabled the dual-monitor treatment; says why not.

  @retval TRUE   Enabled.
  @retval FALSE  Not enabled, or this firmware publishes no status.
**/
STATIC
BOOLEAN
ExecStmEnabled (
  VOID
  )
{
  STM_STATUS_TABLE  *Table;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->Signature != STM_STATUS_TABLE_SIGNATURE))
  {
    Print (L"ExecMon: the firmware publishes no STM status; going on without an STM\n");
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "no-stm", "reason=no-status-table");
    return FALSE;
  }

  if (Table->State != StmStateEnabled) {
    Print (L"ExecMon: no STM (%a); going on without one\n", StmReasonName ((STM_REASON)Table->Reason));
    StmRecord (
      STM_RECORD_PORT_EXECUTIVE,
      "EXEC",
      "no-stm",
      "reason=%a",
      StmReasonName ((STM_REASON)Table->Reason)
      );
    return FALSE;
  }

  return TRUE;
}

/**
  Run a command of the resident part with interrupts off.

  @param[in] Monitor  The resident part.
  @param[in] Command  The command.
**/
STATIC
VOID
ExecRun (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN EXEC_COMMAND                Command
  )
{
  EFI_TPL  Tpl;

  Tpl                          = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  Monitor->Parameters->Command = Command;
  Monitor->Entry (Monitor->Parameters);
  gBS->RestoreTPL (Tpl);
}

/**
  Start the executive monitor.

  @param[in] Root         TRUE: stay in VMX root operation, launch no guest.
  @param[in] SmiInWindow  TRUE: raise an SMI between INITIALIZE_PROTECTION and START.
  @param[in] WithStm      FALSE: leave the STM out even if the firmware offers it.

  @retval EFI_SUCCESS          Running, or the processor has no VMX and the reason was given.
  @retval EFI_ALREADY_STARTED  It runs.
  @retval EFI_DEVICE_ERROR     A step failed; it was named.
**/
EFI_STATUS
ExecStart (
  IN BOOLEAN  Root,
  IN BOOLEAN  SmiInWindow,
  IN BOOLEAN  WithStm
  )
{
  EFI_STATUS                  Status;
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  STM_REASON                  Reason;

  //
  // First of all: as our own guest we would not see VMX in CPUID.
  //
  Monitor = ExecFind ();
  if ((Monitor != NULL) && (Monitor->Parameters->State != ExecStateOff)) {
    Print (L"ExecMon: already running; stop it first\n");
    return EFI_ALREADY_STARTED;
  }

  Reason = ExecCheckVmx ();
  if (Reason != StmReasonNone) {
    Print (L"ExecMon: VMX is not available (%a); SMIs keep the default treatment\n", StmReasonName (Reason));
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "unavailable", "reason=%a", StmReasonName (Reason));
    return EFI_SUCCESS;
  }

  Status = ExecLoad (&Monitor);
  if (EFI_ERROR (Status)) {
    Print (L"ExecMon: the resident part could not be loaded: %r\n", Status);
    return EFI_DEVICE_ERROR;
  }

  if (!WithStm) {
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "no-stm", "reason=by-request");
  }

  Monitor->Parameters->UseStm      = (BOOLEAN)(WithStm && ExecStmEnabled ());
  Monitor->Parameters->SmiInWindow = SmiInWindow;
  ExecRun (Monitor, Root ? ExecCommandEnterRoot : ExecCommandLaunch);
  Status = ExecReport (Monitor->Parameters);
  if (!EFI_ERROR (Status)) {
    Print (
      L"ExecMon: %a, STM %a\n",
      Root ? "in VMX root operation" : "this shell is now a guest",
      Monitor->Parameters->StmActive ? "active" : "absent"
      );
  }

  return Status;
}

/**
  Stop the executive monitor.

  @retval EFI_SUCCESS       Stopped, or it did not run.
  @retval EFI_DEVICE_ERROR  The STM refused to stop.
**/
EFI_STATUS
ExecStop (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  EFI_TPL                     Tpl;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->Parameters->State == ExecStateOff)) {
    Print (L"ExecMon: not running\n");
    return EFI_SUCCESS;
  }

  if (Monitor->Parameters->State == ExecStateRoot) {
    ExecRun (Monitor, ExecCommandLeaveRoot);
  } else {
    Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
    if (AsmExecHypercall (EXEC_HYPERCALL_LEAVE, NULL) == EXEC_HYPERCALL_SUCCESS) {
      Monitor->Parameters->Result = ExecOk;
    } else {
      Monitor->Parameters->Result = ExecStmRefused;
    }

    gBS->RestoreTPL (Tpl);
  }

  if (Monitor->Parameters->Result == ExecOk) {
    Print (L"ExecMon: stopped, VMX operation left\n");
  }

  return ExecReport (Monitor->Parameters);
}

/**
  Say whether the executive monitor runs, and what exits it has seen.

  @retval EFI_SUCCESS  Always.
**/
EFI_STATUS
ExecStatus (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  UINT64                      Value;
  UINTN                       Reason;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->Parameters->State == ExecStateOff)) {
    Print (L"ExecMon: not running\n");
    return EFI_SUCCESS;
  }

  Print (
    L"ExecMon: %a, STM %a\n",
    (Monitor->Parameters->State == ExecStateRoot) ? "in VMX root operation" : "this shell is a guest",
    Monitor->Parameters->StmActive ? "active" : "absent"
    );
  if (Monitor->Parameters->State == ExecStateRoot) {
    return EFI_SUCCESS;
  }

  for (Reason = 0; Reason < EXEC_EXIT_REASONS; Reason++) {
    Value = Reason;
    if ((AsmExecHypercall (EXEC_HYPERCALL_STATISTICS, &Value) == EXEC_HYPERCALL_SUCCESS) && (Value != 0)) {
      Print (L"  exit reason %2d: %ld\n", Reason, Value);
    }
  }

  return EFI_SUCCESS;
}

/**
  Record how often each exit reason occurred since the launch: those that
  occurred, and in any case those that an SMI would have.

  @retval EFI_SUCCESS      Done.
  @retval EFI_NOT_STARTED  There is no guest: nothing exits.
**/
EFI_STATUS
ExecRecordExits (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  CHAR8                       Counts[EXEC_EXIT_REASONS * COUNT_LENGTH];
  UINT64                      Value;
  UINTN                       Length;
  UINTN                       Reason;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->Parameters->State != ExecStateGuest)) {
    Print (L"ExecMon: this shell is no guest\n");
    return EFI_NOT_STARTED;
  }

  Length = 0;
  for (Reason = 0; Reason < EXEC_EXIT_REASONS; Reason++) {
    Value = Reason;
    if (AsmExecHypercall (EXEC_HYPERCALL_STATISTICS, &Value) != EXEC_HYPERCALL_SUCCESS) {
      continue;
    }

    if ((Value != 0) || (Reason == VMX_REASON_IO_SMI) || (Reason == VMX_REASON_OTHER_SMI)) {
      Length += AsciiSPrint (
                  &Counts[Length],
                  sizeof (Counts) - Length,
                  "%a%d:%ld",
                  (Length == 0) ? "" : ",",
                  Reason,
                  Value
                  );
      Print (L"  exit reason %2d: %ld\n", Reason, Value);
    }
  }

  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "exits",
    "stm=%u counts=%a",
    (UINT32)Monitor->Parameters->StmActive,
    Counts
    );
  return EFI_SUCCESS;
}
