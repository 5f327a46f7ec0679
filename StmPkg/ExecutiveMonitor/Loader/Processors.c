/** @file
  Runs the resident part on all processors.

  The BSP comes first, since its INITIALIZE_PROTECTION is what the others' START
  needs. It stays in VMX root operation, from where the firmware's MP Services make
  one processor after the other a guest, and becomes a guest last. So a processor
  that fails finds the machine as it was but for those before it, and they go back.

  An application processor becomes a guest inside its procedure, goes back to the
  firmware as one, and waits there as the firmware has it wait: the INIT that wakes
  it for the next procedure is a VM exit.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

///
/// Limit for the command on one processor, in microseconds: none takes long, so
/// this is a processor that does not answer.
///
#define AP_TIMEOUT  60000000

///
/// What an application processor is asked for, in memory that a guest reaches.
///
typedef struct {
  EXECUTIVE_MONITOR_PROTOCOL    *Monitor;
  UINTN                         Number;
  UINTN                         Result;
} EXEC_AP_WORK;

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
  )
{
  EFI_MP_SERVICES_PROTOCOL   *Mp;
  EFI_STATUS                 Status;
  EFI_PROCESSOR_INFORMATION  Information;
  UINTN                      Enabled;
  UINTN                      Number;

  Status = gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp);
  if (!EFI_ERROR (Status)) {
    Status = Mp->GetNumberOfProcessors (Mp, Processors, &Enabled);
  }

  if (!EFI_ERROR (Status)) {
    Status = Mp->WhoAmI (Mp, Bsp);
  }

  for (Number = 0; !EFI_ERROR (Status) && (Number < *Processors); Number++) {
    Status = Mp->GetProcessorInfo (Mp, Number, &Information);
    if (!EFI_ERROR (Status) &&
        ((Information.StatusFlag & (PROCESSOR_ENABLED_BIT | PROCESSOR_HEALTH_STATUS_BIT)) !=
         (PROCESSOR_ENABLED_BIT | PROCESSOR_HEALTH_STATUS_BIT)))
    {
      Print (L"ExecMon: processor %d is disabled; its SMIs would keep the default treatment\n", Number);
      Status = EFI_UNSUPPORTED;
    }
  }

  return Status;
}

/**
  Run a command on this processor with interrupts off.

  @param[in] Monitor  The resident part.
  @param[in] Number   Of this processor.
  @param[in] Command  The command.

  @return Its outcome; ExecOk may come to a guest.
**/
STATIC
EXEC_RESULT
ExecRunHere (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                       Number,
  IN EXEC_COMMAND                Command
  )
{
  EFI_TPL      Tpl;
  EXEC_RESULT  Result;

  Tpl    = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  Result = (EXEC_RESULT)Monitor->Entry (EXEC_PROCESSOR_OF (Monitor->Parameters, Number), Command);
  gBS->RestoreTPL (Tpl);
  return Result;
}

/**
  Procedure of an application processor: become a guest.

  @param[in,out] Buffer  EXEC_AP_WORK.
**/
STATIC
VOID
EFIAPI
ExecApEnter (
  IN OUT VOID  *Buffer
  )
{
  EXEC_AP_WORK  *Work;

  Work         = Buffer;
  Work->Result = Work->Monitor->Entry (EXEC_PROCESSOR_OF (Work->Monitor->Parameters, Work->Number), ExecCommandStart);
}

/**
  Procedure of an application processor: be a guest no longer.

  @param[in,out] Buffer  EXEC_AP_WORK.
**/
STATIC
VOID
EFIAPI
ExecApLeave (
  IN OUT VOID  *Buffer
  )
{
  ((EXEC_AP_WORK *)Buffer)->Result = (AsmExecHypercall (EXEC_HYPERCALL_LEAVE, NULL) == EXEC_HYPERCALL_SUCCESS) ?
                                     ExecOk : ExecStmRefused;
}

/**
  Run a procedure on an application processor.

  @param[in] Monitor    The resident part.
  @param[in] Number     The processor.
  @param[in] Procedure  The procedure.

  @return What the procedure left, or ExecNoAnswer.
**/
STATIC
EXEC_RESULT
ExecRunThere (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                       Number,
  IN EFI_AP_PROCEDURE            Procedure
  )
{
  EFI_MP_SERVICES_PROTOCOL  *Mp;
  EFI_STATUS                Status;
  EXEC_AP_WORK              Work;

  Work.Monitor = Monitor;
  Work.Number  = Number;
  Work.Result  = ExecNoAnswer;
  Status       = gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp);
  if (!EFI_ERROR (Status)) {
    Status = Mp->StartupThisAP (Mp, Procedure, Number, NULL, AP_TIMEOUT, &Work, NULL);
  }

  if (EFI_ERROR (Status)) {
    Print (L"ExecMon: processor %d does not answer: %r\n", Number, Status);
    return ExecNoAnswer;
  }

  return (EXEC_RESULT)Work.Result;
}

/**
  Let application processors be guests no longer, as far as they can.

  @param[in] Monitor     The resident part.
  @param[in] Processors  Which: all below this number but the BSP.
  @param[in] Bsp         Number of the bootstrap processor.
**/
STATIC
VOID
ExecLeaveOthers (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                       Processors,
  IN UINTN                       Bsp
  )
{
  EXEC_RESULT  Result;
  UINTN        Number;

  for (Number = 0; Number < Processors; Number++) {
    Result = (Number == Bsp) ? ExecOk : ExecRunThere (Monitor, Number, ExecApLeave);
    if (Result != ExecOk) {
      Print (L"ExecMon: processor %d is still a guest\n", Number);
    }
  }
}

/**
  Make application processors guests again that are guests no longer, because another
  one has to stay. Who does not come back is named.

  @param[in] Monitor     The resident part.
  @param[in] Processors  Which: all below this number but the BSP.
  @param[in] Bsp         Number of the bootstrap processor.

  @retval TRUE   All are guests.
  @retval FALSE  Not all: the SMIs of those that were named have the default treatment.
**/
STATIC
BOOLEAN
ExecEnterAgain (
  IN EXECUTIVE_MONITOR_PROTOCOL  *Monitor,
  IN UINTN                       Processors,
  IN UINTN                       Bsp
  )
{
  BOOLEAN      All;
  EXEC_RESULT  Result;
  UINTN        Number;

  All = TRUE;
  for (Number = 0; Number < Processors; Number++) {
    Result = (Number == Bsp) ? ExecOk : ExecRunThere (Monitor, Number, ExecApEnter);
    if (Result != ExecOk) {
      Print (L"ExecMon: processor %d did not become a guest again; its SMIs keep the default treatment\n", Number);
      StmRecord (
        STM_RECORD_PORT_EXECUTIVE,
        "EXEC",
        "not-again",
        "cpu=%u result=%u",
        (UINT32)Number,
        (UINT32)Result
        );
      All = FALSE;
    }
  }

  return All;
}

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
  )
{
  EXEC_RESULT  Result;
  UINTN        Number;
  UINTN        Processors;

  Processors = Monitor->Parameters->Processors;
  *Failed    = Bsp;
  Result     = ExecRunHere (Monitor, Bsp, ExecCommandEnterRoot);
  if ((Result != ExecOk) || Root) {
    return Result;
  }

  for (Number = 0; (Result == ExecOk) && (Number < Processors); Number++) {
    if (Number != Bsp) {
      *Failed = Number;
      Result  = ExecRunThere (Monitor, Number, ExecApEnter);
    }
  }

  if (Result == ExecOk) {
    *Failed = Bsp;
    Result  = ExecRunHere (Monitor, Bsp, ExecCommandLaunch);
    if (Result != ExecOk) {
      ExecLeaveOthers (Monitor, Processors, Bsp);
    }

    return Result;
  }

  //
  // Number is behind the one that failed, which has gone back itself.
  //
  ExecLeaveOthers (Monitor, Number - 1, Bsp);
  ExecRunHere (Monitor, Bsp, ExecCommandLeaveRoot);
  return Result;
}

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
  )
{
  EXEC_RESULT  Result;
  EFI_TPL      Tpl;
  UINTN        Number;

  *Failed = Bsp;
  *Whole  = TRUE;
  if (Monitor->State == ExecStateRoot) {
    return ExecRunHere (Monitor, Bsp, ExecCommandLeaveRoot);
  }

  for (Number = 0; Number < Processors; Number++) {
    Result = (Number == Bsp) ? ExecOk : ExecRunThere (Monitor, Number, ExecApLeave);
    if (Result != ExecOk) {
      *Failed = Number;
      *Whole  = ExecEnterAgain (Monitor, Number, Bsp);
      return Result;
    }
  }

  Tpl    = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  Result = (AsmExecHypercall (EXEC_HYPERCALL_LEAVE, NULL) == EXEC_HYPERCALL_SUCCESS) ? ExecOk : ExecStmRefused;
  gBS->RestoreTPL (Tpl);
  if (Result != ExecOk) {
    *Whole = ExecEnterAgain (Monitor, Processors, Bsp);
  }

  return Result;
}
