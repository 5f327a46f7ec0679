/** @file
  The other processors, after a change of what is protected.

  Each forgets what it knows of the EPT before its next VM entry to the SMI handler. One
  that is in the handler at the time of the change goes on with what it knows, until its
  next VM exit, and in SMM nothing can interrupt it: SMIs, NMIs and INIT wait. So the call
  waits for it, which in an ordinary handler takes some microseconds.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Ept.h"
#include "Log/Log.h"

///
/// How long, in ticks of the time-stamp counter: some tenths of a second. A handler that
/// waits for this very processor, as in the firmware's rendezvous, would wait in vain.
///
#define MOST_TICKS  BIT30

/**
  Find a processor that is in the SMI handler and does not know yet what is protected.

  A processor writes Event before it reads the generation, and this one writes the
  generation before it reads Event, both with locked instructions between: one of them
  sees the other.

  @param[in] Shared  Shared state.

  @return It, or NULL.
**/
STATIC
CONST STM_PROCESSOR *
FindUnaware (
  IN CONST STM_SHARED  *Shared
  )
{
  CONST STM_PROCESSOR  *Other;
  UINT32               Slot;

  for (Slot = 0; Slot < Shared->Blocks; Slot++) {
    Other = STM_PROCESSOR_OF (Shared, Slot);
    if ((*(CONST volatile STM_EVENT *)&Other->Event != StmEventNone) &&
        (*(CONST volatile UINT32 *)&Other->Generation != *(CONST volatile UINT32 *)&Shared->Generation))
    {
      return Other;
    }
  }

  return NULL;
}

/**
  Give tables of the EPT back that no processor uses any more.

  @param[in,out] Processor  This processor, which is not in the SMI handler; nobody else
                            changes what is protected meanwhile.
**/
VOID
StmReclaimEpt (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (FindUnaware (Processor->Shared) == NULL) {
    StmPageMapReclaim (&Processor->Shared->Ept);
  }
}

/**
  Wait until every processor that is in the SMI handler knows what is protected now.

  @param[in] Processor  This processor, which is not in the SMI handler.
**/
VOID
StmShootDown (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_PROCESSOR  *Other;
  UINT64               Start;

  Start = AsmReadTsc ();
  Other = FindUnaware (Processor->Shared);
  while ((Other != NULL) && (AsmReadTsc () - Start < MOST_TICKS)) {
    CpuPause ();
    Other = FindUnaware (Processor->Shared);
  }

  if (Other != NULL) {
    STM_RECORD (Processor, "protect-late", "cpu=%u other=%u", Processor->Slot, Other->Slot);
  }
}
