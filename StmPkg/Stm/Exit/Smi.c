/** @file
  An SMI: from the SMM VM exit to the handler, and from the handler's RSM to the
  return.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

/**
  Make one of this processor's VMCSs current.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Physical address, in MSEG.
**/
STATIC
VOID
SwitchTo (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
  if (AsmVmPtrLoad (Vmcs) != VmxSucceed) {
    StmCrash (Processor->Shared, StmCrashBadState, Processor->Slot, 0, Vmcs, 0, StmBadOwnVmcs);
  }
}

/**
  Enter the SMI handler for an event. Makes its VMCS current.

  @param[in,out] Processor  This processor.
  @param[in]     Event      What the handler runs for.

  @return What the entry code shall do.
**/
STM_ENTER
StmEnterHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  )
{
  STM_HANDLER_ENTRY  Entry;
  UINT64             Smbase;

  Smbase = Processor->Saved.Smbase;
  if (!StmReadDescriptor (Processor->Shared, Smbase, Event, &Entry) ||
      ((Event == StmEventSmi) && (Entry.Rip == 0)))
  {
    StmCrash (Processor->Shared, StmCrashBadState, Processor->Slot, 0, Smbase, Processor->Saved.Rip, StmBadDescriptor);
  }

  if (Entry.Rip == 0) {
    //
    // The firmware has no setup or teardown code: go on as behind its RSM.
    //
    return (Event == StmEventSetup) ? StmApiStartDone (Processor) : StmApiStopDone (Processor);
  }

  if (Event == StmEventSmi) {
    StmSaveStateCompose (
      (STM_SAVE_STATE_MAP *)(UINTN)(Smbase + STM_SAVE_STATE_OFFSET),
      &Processor->Saved,
      &Processor->Interrupted
      );
  }

  Processor->Event = Event;
  SwitchTo (Processor, Processor->HandlerVmcs);
  StmWriteHandlerState (Processor, &Entry);

  //
  // As under the default treatment the handler starts with the interrupted
  // general-purpose registers; it could read them in the save state anyway.
  //
  return (STM_ENTER)&Processor->Interrupted | (Processor->HandlerLaunched ? STM_ENTER_RESUME : 0);
}

/**
  Go on with the SMI handler behind an exit other than RSM.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmResumeHandler (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  return (STM_ENTER)&Processor->Handler | STM_ENTER_RESUME;
}

/**
  Leave for the interrupted side: with the SMI side's VMCS current.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmReturn (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  return (STM_ENTER)&Processor->Interrupted | (Processor->SmiLaunched ? STM_ENTER_RESUME : 0);
}

/**
  SMM VM exit for an SMI, reason 5 or 6.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitSmi (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Executive;
  UINT32  Reason;

  Executive = StmReadInterrupted (Processor);
  Reason    = (UINT32)VmRead (VMCS_EXIT_REASON);

  //
  // The SMI came before a pending MTF VM exit, which would be lost (DM-INT-25).
  //
  if ((Reason & VMX_REASON_PENDING_MTF) != 0) {
    VmWrite (VMCS_ENTRY_INTERRUPTION, VMX_INTERRUPTION_PENDING_MTF);
  }

  Processor->SmiCount++;
  StmRing (Processor, StmRingSmi, Reason, VmRead (VMCS_EXIT_QUALIFICATION), Processor->Saved.Rip, Executive);
  return StmEnterHandler (Processor, StmEventSmi);
}

/**
  RSM of the SMI handler, or of the firmware's setup or teardown code.

  @param[in,out] Processor  This processor, the handler's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitRsm (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_EVENT  Event;

  if (Processor->RestoreXcr0) {
    AsmWriteXcr0 (Processor->Xcr0);
    Processor->RestoreXcr0 = FALSE;
  }

  StmRestoreRegisters (Processor);
  SwitchTo (Processor, Processor->SmiVmcs);
  Event            = Processor->Event;
  Processor->Event = StmEventNone;
  switch (Event) {
    case StmEventSetup:
      return StmApiStartDone (Processor);
    case StmEventTeardown:
      return StmApiStopDone (Processor);
    default:
      StmWriteInterrupted (Processor);
      return StmReturn (Processor);
  }
}
