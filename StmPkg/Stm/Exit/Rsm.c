/** @file
  RSM of the SMI handler: the way from the handler back to the SMM-transfer VMCS.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "State/State.h"

/**
  RSM of the SMI handler, or of the firmware's setup or teardown code. Afterwards
  the SMM-transfer VMCS is current.

  RSM in VMX non-root operation causes a VM exit and does nothing else, so what
  the instruction does under the default treatment is done here and in StmFinishSmi:
  registers that no VMCS holds get their interrupted values, and what the handler changed
  in the save state goes to the SMM-transfer VMCS.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the handler ran for.
**/
STM_EVENT
StmFinishHandler (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_EVENT  Event;

  if (Processor->Domain != 0) {
    StmShowDomain (Processor);
  }

  StmRestoreRegisters (Processor);
  if (!AsmMakeCurrent (&Processor->TransferVmcs)) {
    StmMakeCurrent (Processor, Processor->TransferVmcs);
  }

  Event            = Processor->Event;
  Processor->Event = StmEventNone;
  return Event;
}

/**
  The end of an SMI: return to the interrupted side with what the handler changed of it.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmFinishSmi (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if ((Processor->Domain != 0) && !StmLeaveDomain (Processor)) {
    return StmReturn (Processor);
  }

  return StmWriteInterrupted (Processor);
}
