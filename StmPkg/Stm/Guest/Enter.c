/** @file
  The ways out of the STM. None of these functions enters anything: each says
  which register set Entry/Exit.nasm is to load, and whether with VMLAUNCH or
  VMRESUME. The current VMCS says where that leads.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

/**
  Enter the SMI handler at its start, with the SMM-guest VMCS current.

  @param[in] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmEnterHandler (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  //
  // As under the default treatment the handler starts with the interrupted
  // general-purpose registers; it could read them in the save state anyway.
  //
  return (STM_ENTER)&Processor->Interrupted | (Processor->SmmGuestLaunched ? STM_ENTER_RESUME : 0);
}

/**
  Let the SMI handler continue after a VM exit other than RSM.

  @param[in] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmResumeHandler (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return (STM_ENTER)&Processor->Handler | STM_ENTER_RESUME;
}

/**
  Return to the interrupted side, with the SMM-transfer VMCS current.

  The VM entry makes it a return from SMM because it is done in SMM with the
  control "entry to SMM" 0 ("VM Entries that Return from SMM", 34.15.4
  [32.15.4]): guest state comes from the SMM-transfer VMCS, and if the processor
  was in non-root operation, its controls come from the executive VMCS.

  @param[in] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmReturn (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return (STM_ENTER)&Processor->Interrupted | (Processor->TransferLaunched ? STM_ENTER_RESUME : 0);
}
