/** @file
  The VM entry that deactivates the treatment fails.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Session.h"
#include "Log/Log.h"

BOOLEAN
EFIAPI
StmLeaveFailed (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Mend the SMM-transfer VMCS, or crash: called by Leave.nasm.

  This processor is counted out, on its own stack, and on page tables that another one may
  be making anew with the same leaves for MSEG (Init/HostState.c). What else all share may
  be in the making, so nothing of it is used but the words that survive it.

  The one thing that can be wrong and can be mended is the link pointer: the
  executive monitor's current VMCS, whose region it may have overwritten since.
  Then it gets none.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @retval TRUE   Enter with VMRESUME.
  @retval FALSE  Enter with VMLAUNCH.
**/
BOOLEAN
EFIAPI
StmLeaveFailed (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (VmRead (VMCS_LINK_POINTER) == VMCS_POINTER_NONE) {
    StmCrashFromVmcs (Processor, StmCrashEntryFailure);
  }

  VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
  return Processor->TransferLaunched;
}
