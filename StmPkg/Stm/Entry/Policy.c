/** @file
  The entry points of VM exits under the optional policies, rendezvous and snapshot. They
  wrap the ordinary ones, so that without a policy an SMI does not spend an instruction on
  it: which of the two pairs HOST_RIP names, the first activation decides (Init/Activate.c).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Entry.h"
#include "Exit/Exit.h"
#include "Protect/Snapshot.h"

STM_ENTER
EFIAPI
StmPolicySmmExit (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmPolicyRsm (
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
StmPolicySmmExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT16  Reason;

  Reason = (UINT16)VmRead (VMCS_EXIT_REASON);
  if ((Processor->Shared->Rendezvous.Ticks != 0) &&
      ((Reason == VMX_REASON_IO_SMI) || (Reason == VMX_REASON_OTHER_SMI)))
  {
    StmRendezvousArrive (Processor);
  }

  return StmDispatchSmmExit (Processor);
}

/**
  RSM: the handler is done. Called by Entry/Exit.nasm, the SMM-guest VMCS is current.

  What the handler has written goes to memory first: whoever leaves SMM next finds it there.
  Afterwards the entry code reads the general-purpose registers from the save state, so
  what other handlers write there until the last one has ended is taken.

  @param[in,out] Processor  This processor; nobody needs the handler's registers any more.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmPolicyRsm (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_EVENT  Event;
  STM_ENTER  Enter;

  if (Processor->SnapshotPages != 0) {
    StmSnapshotEnd (Processor);
  }

  Event = Processor->Event;
  Enter = StmDispatchRsm (Processor);
  if ((Processor->Shared->Rendezvous.Ticks != 0) && (Event == StmEventSmi)) {
    StmRendezvousLeave (Processor);
  }

  return Enter;
}
