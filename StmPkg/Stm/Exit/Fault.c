/** @file
  Ends: a VM exit that nobody expects, a triple fault of the SMI handler, a VM
  entry that fails, an exception in the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"

VOID
EFIAPI
StmEntryFailed (
  IN CONST STM_PROCESSOR  *Processor
  );

VOID
EFIAPI
StmException (
  IN CONST VMX_EXCEPTION_FRAME  *Frame
  );

/**
  Triple fault of the SMI handler (DM-STM-31).

  @param[in,out] Processor  This processor.

  @return Does not return.
**/
STM_ENTER
EFIAPI
StmExitTripleFault (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  StmCrashFromVmcs (Processor, StmCrashHandlerTripleFault);
  return StmResumeHandler (Processor);
}

/**
  A VM exit that has no handler, or a VM entry that failed while it loaded guest
  state: such a failure arrives where VM exits do (DM-RET-36, DM-STM-30). Does not
  return.

  @param[in] Processor  This processor.
  @param[in] Reason     Exit-reason field.
**/
VOID
StmExitUnexpected (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Reason
  )
{
  StmCrashFromVmcs (
    Processor,
    ((Reason & VMX_REASON_ENTRY_FAILURE) != 0) ? StmCrashEntryFailure : StmCrashUnexpectedExit
    );
}

/**
  VMLAUNCH or VMRESUME failed: called by Entry/Exit.nasm.

  @param[in] Processor  This processor.
**/
VOID
EFIAPI
StmEntryFailed (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  StmCrashFromVmcs (Processor, StmCrashEntryFailure);
}

/**
  Exception in the STM: called by Entry/Exception.nasm on the crash stack.

  @param[in] Frame  Vector, error code, interrupted state.
**/
VOID
EFIAPI
StmException (
  IN CONST VMX_EXCEPTION_FRAME  *Frame
  )
{
  CONST STM_PROCESSOR  *Processor;
  UINT64               Block;

  //
  // The crash stack is in the processor's block, so the frame leads to it.
  //
  Block     = (UINT64)(UINTN)Frame & ~(UINT64)(SIZE_4KB - 1);
  Processor = (CONST STM_PROCESSOR *)(UINTN)(Block - STM_BLOCK_STACK + STM_BLOCK_PROCESSOR);
  StmCrash (Processor->Shared, StmCrashException, Processor->Slot, Frame->Vector, 0, Frame->Rip, Frame->ErrorCode);
}
