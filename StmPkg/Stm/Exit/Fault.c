/** @file
  Ends: a VM exit that nobody expects, a triple fault of the SMI handler, one that does
  not end, a VM entry that fails and cannot be mended, an exception in the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "State/State.h"

STM_ENTER
EFIAPI
StmEntryFailed (
  IN OUT STM_PROCESSOR  *Processor
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
  The SMI handler has run longer than it may: the VMX-preemption timer is at 0. There is
  nobody to go on with. The interrupted side waits for what the handler was to do, and
  hardware may be left half programmed.

  @param[in,out] Processor  This processor.

  @return Does not return.
**/
STM_ENTER
EFIAPI
StmExitTimeout (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  StmCrash (
    Processor,
    StmCrashHandlerTimeout,
    VmRead (VMCS_EXIT_REASON),
    Processor->Saved.Rip,
    VmRead (VMCS_GUEST_RIP),
    Processor->Event
    );
  return StmResumeHandler (Processor);
}

/**
  A VM exit that has no handler, or a VM entry that failed while it loaded guest
  state: such a failure arrives where VM exits do (DM-RET-36, DM-STM-30).

  @param[in,out] Processor  This processor.
  @param[in]     Reason     Exit-reason field.

  @return What the entry code shall do. Does not return if nothing can be done.
**/
STM_ENTER
StmExitUnexpected (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Reason
  )
{
  if ((Reason & VMX_REASON_ENTRY_FAILURE) != 0) {
    return StmMendReturn (Processor, 0);
  }

  StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  return StmReturn (Processor);
}

/**
  VMLAUNCH or VMRESUME failed: called by Entry/Exit.nasm.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do. Does not return if nothing can be done.
**/
STM_ENTER
EFIAPI
StmEntryFailed (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  return StmMendReturn (Processor, (UINT32)VmRead (VMCS_INSTRUCTION_ERROR));
}

/**
  Exception in the STM: called by Entry/Exception.nasm on the crash stack. Returns from
  AsmTryReadMsr or AsmTryWriteMsr if that is where it was raised, else it does not
  return.

  @param[in] Frame  Vector, error code, interrupted state.
**/
VOID
EFIAPI
StmException (
  IN CONST VMX_EXCEPTION_FRAME  *Frame
  )
{
  CONST STM_PROCESSOR  *Processor;
  IA32_DESCRIPTOR      Gdtr;

  if (Frame->Vector == EXCEPT_IA32_GP_FAULT) {
    AsmTryFailed (Frame->Rip, Frame->Rsp);
  }

  //
  // Nothing of the interrupted code is trusted, but each processor has a GDT of its own.
  //
  AsmReadGdtr (&Gdtr);
  Processor = (CONST STM_PROCESSOR *)(Gdtr.Base - OFFSET_OF (STM_PROCESSOR, Host.Gdt));
  StmCrash (Processor, StmCrashException, Frame->Vector, 0, Frame->Rip, Frame->ErrorCode);
}
