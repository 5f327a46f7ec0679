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
  "VMCALL to the STM failed, VM-instruction error",
  "the STM refused, status",
  "the processor lacks a VMX control, capability MSR",
  "VMLAUNCH failed, VM-instruction error",
  "no answer"
};

/**
  Say which processor failed, and why.

  @param[in] Number  The processor.
  @param[in] Result  Its outcome, not ExecOk.
  @param[in] Detail  What EXEC_RESULT says of it.

  @retval EFI_DEVICE_ERROR  Always.
**/
STATIC
EFI_STATUS
ExecReport (
  IN UINTN        Number,
  IN EXEC_RESULT  Result,
  IN UINT64       Detail
  )
{
  Print (L"ExecMon: processor %d: %a 0x%lx\n", Number, mResults[Result], Detail);
  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "failed",
    "cpu=%u result=%u detail=0x%lx",
    (UINT32)Number,
    (UINT32)Result,
    Detail
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
  Why the firmware says that it has no STM.

  @return Name of an STM_REASON; "not-announced" if it says nothing, or the opposite of what
          the processor does.
**/
STATIC
CONST CHAR8 *
ExecFirmwareReason (
  VOID
  )
{
  STM_STATUS_TABLE  *Table;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->Signature != STM_STATUS_TABLE_SIGNATURE) || (Table->Reason == StmReasonNone))
  {
    return "not-announced";
  }

  return StmReasonName ((STM_REASON)Table->Reason);
}

/**
  Whether this processor has an STM to activate; says why not.

  The processor is asked: IA32_SMM_MONITOR_CTL can be written in SMM only. The firmware's
  status table, which any guest can have written, gives no more than the words for a
  refusal.

  @retval TRUE   It has: the firmware has announced MSEG to it.
  @retval FALSE  It has not.
**/
STATIC
BOOLEAN
ExecStmEnabled (
  VOID
  )
{
  CONST CHAR8  *Reason;

  if (((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_DUAL_MONITOR) != 0) &&
      ((AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) & VMX_SMM_MONITOR_CTL_VALID) != 0))
  {
    return TRUE;
  }

  Reason = ExecFirmwareReason ();
  Print (L"ExecMon: no STM (%a); going on without one\n", Reason);
  StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "no-stm", "reason=%a", Reason);
  return FALSE;
}

/**
  Say with how many processors and whether with an STM.

  @param[in] Monitor     The resident part.
  @param[in] Processors  How many.
**/
STATIC
VOID
ExecPrintState (
  IN CONST EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                             Processors
  )
{
  Print (
    L"ExecMon: %a, %d processor%a, STM %a\n",
    (Monitor->State == ExecStateRoot) ? "in VMX root operation" : "this shell is a guest",
    Processors,
    (Processors == 1) ? "" : "s",
    Monitor->StmActive ? "active" : "absent"
    );
}

/**
  Tell the blocks of the resident part what is to be done.

  @param[in] Monitor  The resident part.
  @param[in] Bsp      Number of the bootstrap processor.
  @param[in] Options  Of the command.
**/
STATIC
VOID
ExecPrepare (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                       Bsp,
  IN CONST EXEC_START_OPTIONS    *Options
  )
{
  EXEC_PARAMETERS  *Parameters;
  EXEC_PROCESSOR   *Processor;
  UINTN            Number;

  if (Options->WithoutStm) {
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "no-stm", "reason=by-request");
  }

  Parameters              = Monitor->Parameters;
  Parameters->UseStm      = (BOOLEAN)(!Options->WithoutStm && ExecStmEnabled ());
  Parameters->SmiInWindow = Options->SmiInWindow;
  Parameters->IgnoreSleep = Options->IgnoreSleep;
  Parameters->RemapPage   = Options->RemapPage;
  Parameters->Returns     = Options->Returns;
  Parameters->Leaving     = 0;
  Parameters->Guests      = 0;
  for (Number = 0; Number < Parameters->Processors; Number++) {
    Processor              = EXEC_PROCESSOR_OF (Parameters, Number);
    Processor->Activates   = (BOOLEAN)(Number == Bsp);
    Processor->StartsTwice = (BOOLEAN)(Options->FailLast && (Number == Parameters->Processors - 1));
    Processor->StopsTwice  = (BOOLEAN)(Options->RefuseStop && (Number == Parameters->Processors - 1));
  }
}

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
  )
{
  EFI_STATUS                  Status;
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  EXEC_RESULT                 Result;
  STM_REASON                  Reason;
  UINTN                       Processors;
  UINTN                       Bsp;
  UINTN                       Failed;

  //
  // First of all: as our own guest we would not see VMX in CPUID.
  //
  Monitor = ExecFind ();
  if ((Monitor != NULL) && (Monitor->State != ExecStateOff)) {
    Print (L"ExecMon: already running; stop it first\n");
    return EFI_ALREADY_STARTED;
  }

  Reason = ExecCheckVmx ();
  if (Reason != StmReasonNone) {
    Print (L"ExecMon: VMX is not available (%a); SMIs keep the default treatment\n", StmReasonName (Reason));
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "unavailable", "reason=%a", StmReasonName (Reason));
    return EFI_SUCCESS;
  }

  Status = ExecCountProcessors (&Processors, &Bsp);
  if (EFI_ERROR (Status)) {
    Print (L"ExecMon: it cannot run on every processor: %r\n", Status);
    return Status;
  }

  if (Options->Root && (Processors > 1)) {
    Print (L"ExecMon: -root needs a machine with one processor: INIT, by which the firmware wakes the others, is ");
    Print (L"blocked in VMX root operation\n");
    return EFI_UNSUPPORTED;
  }

  Status = ExecLoad (Processors, &Monitor);
  if (EFI_ERROR (Status)) {
    Print (L"ExecMon: the resident part could not be loaded: %r\n", Status);
    return EFI_DEVICE_ERROR;
  }

  if (Options->Returns) {
    Status = ExecReserveWakePage (Monitor->Parameters);
    if (EFI_ERROR (Status)) {
      Print (L"ExecMon: -return: no S3 in the ACPI tables, or no memory below 1 MB: %r\n", Status);
      return Status;
    }
  }

  ExecPrepare (Monitor, Bsp, Options);
  Monitor->StmActive = Monitor->Parameters->UseStm;
  Monitor->State     = Options->Root ? ExecStateRoot : ExecStateGuest;
  Result             = ExecEnterAll (Monitor, Bsp, Options->Root, &Failed);
  if (Result != ExecOk) {
    Monitor->State     = ExecStateOff;
    Monitor->StmActive = FALSE;
    return ExecReport (Failed, Result, EXEC_PROCESSOR_OF (Monitor->Parameters, Failed)->Detail);
  }

  ExecPrintState (Monitor, Processors);
  return EFI_SUCCESS;
}

/**
  Stop the executive monitor.

  @retval EFI_SUCCESS       Stopped, or it did not run.
  @retval EFI_DEVICE_ERROR  A processor could not leave: it was named, and the others stay with it.
**/
EFI_STATUS
ExecStop (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  EXEC_RESULT                 Result;
  UINTN                       Processors;
  UINTN                       Bsp;
  UINTN                       Failed;
  BOOLEAN                     Whole;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->State == ExecStateOff)) {
    Print (L"ExecMon: not running\n");
    return EFI_SUCCESS;
  }

  if (EFI_ERROR (ExecCountProcessors (&Processors, &Bsp))) {
    Print (L"ExecMon: not every processor can be reached\n");
    return EFI_DEVICE_ERROR;
  }

  Result = ExecLeaveAll (Monitor, Processors, Bsp, &Failed, &Whole);
  if (Result != ExecOk) {
    ExecReport (Failed, Result, 0);
    if (Whole) {
      Print (L"ExecMon: it runs on, on every processor\n");
    }

    return EFI_DEVICE_ERROR;
  }

  Monitor->State     = ExecStateOff;
  Monitor->StmActive = FALSE;
  Print (L"ExecMon: stopped, VMX operation left\n");
  return EFI_SUCCESS;
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
  UINTN                       Processors;
  UINTN                       Bsp;
  UINTN                       Reason;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->State == ExecStateOff)) {
    Print (L"ExecMon: not running\n");
    return EFI_SUCCESS;
  }

  if (!EFI_ERROR (ExecCountProcessors (&Processors, &Bsp))) {
    ExecPrintState (Monitor, Processors);
  }

  if (Monitor->State == ExecStateRoot) {
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
  EFI_TPL                     Tpl;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->State != ExecStateGuest)) {
    Print (L"ExecMon: this shell is no guest\n");
    return EFI_NOT_STARTED;
  }

  //
  // With interrupts off, so that no exit comes between the first count and the
  // record.
  //
  Tpl    = gBS->RaiseTPL (TPL_HIGH_LEVEL);
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
    }
  }

  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "exits",
    "stm=%u counts=%a",
    (UINT32)Monitor->StmActive,
    Counts
    );
  gBS->RestoreTPL (Tpl);
  Print (L"ExecMon: exits by reason: %a\n", Counts);
  return EFI_SUCCESS;
}
