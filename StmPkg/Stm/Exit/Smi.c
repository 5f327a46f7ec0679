/** @file
  An SMI: from the SMM VM exit to the entry of the handler. Rsm.c has the way
  back.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"
#include "State/State.h"

/**
  SMM VM exit for an SMI, reason 5 or 6.

  The processor has saved the interrupted side in the SMM-transfer VMCS and has
  written no save state: the firmware's handler, which knows nothing of VMX, gets
  what it expects from the STM.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Reason     Exit-reason field.

  @return What the entry code shall do.
**/
STM_ENTER
StmExitSmi (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Reason
  )
{
  StmReadInterrupted (Processor);

  //
  // The SMI came before a pending MTF VM exit, which would be lost (DM-INT-25).
  //
  if ((Reason & VMX_REASON_PENDING_MTF) != 0) {
    VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, VMX_INTERRUPTION_PENDING_MTF);
  }

  //
  // A record in memory: a port write each SMI would cost more than the handler.
  //
  Processor->SmiCount++;
  StmRing (
    Processor,
    StmRingSmi,
    Reason,
    Processor->Saved.Qualification,
    Processor->Saved.Rip,
    Processor->Saved.Executive
    );
  STM_FIND_DOMAIN (Processor, Processor->Saved.Executive, Reason);
  StmPrepareHandler (Processor, StmEventSmi);
  STM_SEE_PROTECTION (Processor);
  return StmEnterHandler (Processor);
}
