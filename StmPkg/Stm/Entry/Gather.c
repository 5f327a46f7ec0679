/** @file
  The entry points of VM exits under the rendezvous policy. They wrap the ordinary ones,
  so that without the policy an SMI does not spend an instruction on it: which of the two
  pairs HOST_RIP names, the first activation decides (Activate.nasm).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Entry.h"
#include "Exit/Exit.h"

STM_ENTER
EFIAPI
StmGatherSmmExit (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmGatherRsm (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  SMM VM exits: called by Entry/Exit.nasm. The processor has made the SMM-transfer
  VMCS current.

  @param[in,out] Processor  This processor, registers in Interrupted.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmGatherSmmExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT16  Reason;

  Reason = (UINT16)VmRead (VMCS_EXIT_REASON);
  if ((Reason == VMX_REASON_IO_SMI) || (Reason == VMX_REASON_OTHER_SMI)) {
    StmRendezvousArrive (Processor);
  }

  return StmDispatchSmmExit (Processor);
}

/**
  RSM: the handler is done. Called by Entry/Exit.nasm, the SMM-guest VMCS is current.

  Afterwards the entry code reads the general-purpose registers from the save state, so
  what other handlers write there until the last one has ended is taken.

  @param[in,out] Processor  This processor; nobody needs the handler's registers any more.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmGatherRsm (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_EVENT  Event;
  STM_ENTER  Enter;

  Event = Processor->Event;
  Enter = StmDispatchRsm (Processor);
  if (Event == StmEventSmi) {
    StmRendezvousLeave (Processor);
  }

  return Enter;
}
