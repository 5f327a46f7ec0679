/** @file
  The executive monitor as a client of the STM: INITIALIZE_PROTECTION, START,
  STOP (StmApi.h).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

#define MSR_SMI_COUNT       0x34
#define STM_API_NONE        0x100FF           ///< no function of the STM has this number
#define PORT_APM_COMMAND    0xB2
#define WINDOW_SMI_COMMAND  0x55

/**
  Call the STM and log the call.

  @param[in]     Api        API number.
  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk                The STM did it.
  @retval ExecActivationFailed  VMfail: Detail is the VM-instruction error, 0 if
                                there was no current VMCS.
  @retval ExecStmRefused        Detail is the STM's status.
**/
STATIC
EXEC_RESULT
ExecCallStm (
  IN     UINT32          Api,
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Edx;
  UINT64  Flags;

  Eax = Api;
  Ebx = 0;
  Edx = 0;
  AsmStmVmCall (&Eax, &Ebx, 0, &Edx, &Flags);
  EXEC_RECORD (
    "stm-call",
    "cpu=%u api=0x%x status=0x%x caps=0x%x flags=0x%lx",
    Processor->Number,
    Api,
    Eax,
    Ebx,
    Flags
    );

  if ((Flags & BIT6) != 0) {
    Processor->Detail = VmRead (VMCS_INSTRUCTION_ERROR);
    return ExecActivationFailed;
  }

  if ((Flags & BIT0) != 0) {
    //
    // VMfailInvalid leaves EAX alone; the STM puts an error there.
    //
    Processor->Detail = (Eax == Api) ? 0 : Eax;
    return (Eax == Api) ? ExecActivationFailed : ExecStmRefused;
  }

  return ExecOk;
}

/**
  Raise an SMI while SMIs are blocked: the STM serves it after START.

  @param[in,out] Processor  SMI counts are set.
**/
STATIC
VOID
ExecRaiseSmiInWindow (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  Processor->SmiCountBefore = AsmReadMsr64 (MSR_SMI_COUNT);
  IoWrite8 (PORT_APM_COMMAND, WINDOW_SMI_COMMAND);
  Processor->SmiCountWindow = AsmReadMsr64 (MSR_SMI_COUNT);
}

/**
  Activate and start the STM on this processor.

  One processor initializes the protection and starts; on the others START is the
  call that activates the STM.

  The activation VMCS is used for nothing else. The processor checks only that it
  is clear (DM-ACT-12) and that its VM-exit controls are legal (DM-ACT-13); host
  state comes from the MSEG header.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk, ExecActivationFailed or ExecStmRefused.
**/
EXEC_RESULT
ExecStartStm (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_RESULT  Result;

  if (!Processor->Shared->UseStm) {
    return ExecOk;
  }

  AsmVmClear (Processor->ActivationVmcs);
  AsmVmPtrLoad (Processor->ActivationVmcs);
  VmWrite (
    VMCS_EXIT_CONTROLS,
    VmxLegalControls (
      VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT | VMX_EXIT_SAVE_EFER,
      MSR_IA32_VMX_EXIT_CTLS
      )
    );

  if (Processor->Activates) {
    Result = ExecCallStm (STM_API_INITIALIZE_PROTECTION, Processor);
    if (Result != ExecOk) {
      return Result;
    }

    Processor->StmActive = TRUE;
  }

  if (Processor->Shared->SmiInWindow && Processor->Activates) {
    ExecRaiseSmiInWindow (Processor);
  }

  Result = ExecCallStm (STM_API_START, Processor);
  if (Result == ExecOk) {
    Processor->StmActive = TRUE;
    if (Processor->StartsTwice) {
      Result = ExecCallStm (STM_API_START, Processor);
    }
  }

  if (Processor->Shared->SmiInWindow && Processor->Activates) {
    Processor->SmiCountAfter = AsmReadMsr64 (MSR_SMI_COUNT);
    EXEC_RECORD (
      "smi-window",
      "before=%lu window=%lu after=%lu",
      Processor->SmiCountBefore,
      Processor->SmiCountWindow,
      Processor->SmiCountAfter
      );
  }

  return Result;
}

/**
  Stop the STM on this processor, if it is active.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk or ExecStmRefused.
**/
EXEC_RESULT
ExecStopStm (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_RESULT  Result;

  if (!Processor->StmActive) {
    return ExecOk;
  }

  Result = ExecCallStm (Processor->StopsTwice ? STM_API_NONE : STM_API_STOP, Processor);
  if (Processor->StopsTwice) {
    Processor->StopsTwice = FALSE;
    return Result;
  }

  if (Result == ExecOk) {
    Processor->StmActive = FALSE;
  }

  return Result;
}
