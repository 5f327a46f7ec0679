/** @file
  Where VM exits go, by basic exit reason.

  One SMI passes through here twice. It comes in as an SMM VM exit and leaves as
  the entry of the SMI handler; the handler's RSM comes in as a VM exit of the
  handler and leaves as the return from SMM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Entry.h"
#include "Api/Api.h"
#include "Exit/Exit.h"
#include "Guest/Guest.h"
#include "ExitTable.h"
#include "Log/Log.h"
#include "Protect/Protect.h"

/**
  Look an exit of the SMI handler up in the dispatch table, ExitTable.h.

  Code and no array: nobody relocates the image, so that any firmware may copy it anywhere,
  and an array would hold addresses as linked.

  @param[in] Reason  Exit-reason field.

  @return The exit handler. NULL if there is none, or if the field reports a VM entry that
          failed while it loaded guest state: such a failure arrives where VM exits do.
**/
STATIC
VMX_EXIT_HANDLER
HandlerExit (
  IN UINT32  Reason
  )
{
  #define STM_EXIT_CASE(BasicReason, Function, Control)                        \
    case BasicReason:                                                          \
      return Function;

  switch (Reason & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_BASIC_MASK)) {
    STM_EXIT_TABLE (STM_EXIT_CASE)
    default:
      return NULL;
  }
}

/**
  SMM VM exits: called by Entry/Exit.nasm. The processor has made the SMM-transfer
  VMCS current.

  @param[in,out] Processor  This processor, registers in Interrupted.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchSmmExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Reason;

  //
  // An SMM VM exit leaves the launch state of the SMM-transfer VMCS "launched", so
  // the next entry takes VMRESUME.
  //
  Reason = (UINT32)VmRead (VMCS_EXIT_REASON);
  switch (Reason & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_BASIC_MASK)) {
    case VMX_REASON_IO_SMI:
    case VMX_REASON_OTHER_SMI:
      Processor->TransferLaunched = TRUE;
      return StmExitSmi (Processor, Reason);
    case VMX_REASON_VMCALL:
      Processor->TransferLaunched = TRUE;
      return StmApiExecutive (Processor);
    default:
      return StmExitUnexpected (Processor, Reason);
  }
}

/**
  RSM: the handler is done, and what follows depends on what it ran for. Called by
  Entry/Exit.nasm, the SMM-guest VMCS is current.

  @param[in,out] Processor  This processor; nobody needs the handler's registers any more.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchRsm (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  Processor->SmmGuestLaunched = TRUE;
  if (Processor->Step.Active) {
    //
    // Another processor has replaced a string instruction by RSM. The next SMI must not
    // begin with a step that is half done.
    //
    StmEndStep (Processor);
  }

  switch (StmFinishHandler (Processor)) {
    case StmEventSetup:
      return StmApiCompleteStart (Processor);
    case StmEventTeardown:
      return StmApiCompleteStop (Processor);
    default:
      return StmFinishSmi (Processor);
  }
}

/**
  VM exits of the SMI handler other than RSM: called by Entry/Exit.nasm, the SMM-guest
  VMCS is current.

  @param[in,out] Processor  This processor, registers in Handler.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchHandlerExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VMX_EXIT_HANDLER  Handler;
  STM_ENTER         Enter;
  UINT32            Reason;

  Reason  = (UINT32)VmRead (VMCS_EXIT_REASON);
  Handler = HandlerExit (Reason);
  if (Handler == NULL) {
    return StmExitUnexpected (Processor, Reason);
  }

  Processor->SmmGuestLaunched = TRUE;
  if (Processor->Step.Active) {
    StmEndStep (Processor);
  }

  Processor->ExitCount++;
  StmChargeExit (Processor);
  StmRing (
    Processor,
    StmRingHandlerExit,
    Reason,
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    (Reason == VMX_REASON_EPT_VIOLATION) ? VmRead (VMCS_GUEST_PHYSICAL_ADDRESS) : 0
    );
  Enter = Handler (Processor);
  STM_SEE_PROTECTION (Processor);
  return Enter;
}
