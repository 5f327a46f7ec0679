/** @file
  Rendezvous of SMIs, an optional policy: no SMI handler runs while a processor of the
  session executes anything outside SMM.

  A handler that checks a buffer outside SMRAM and then uses it trusts that nobody
  writes there in between. The firmware's own rendezvous is no ground for that: OVMF's
  is relaxed, gives up after a while, and an SMI that one processor sends to itself
  starts with none. So each processor waits at both ends of its handler:

    SMM VM exit -> every member of the session is inside, or parked -> handler
    RSM         -> everyone who has come is behind its handler      -> return from SMM

  A processor counts from its SMM VM exit to the end of its handler, so nobody leaves while
  another waits: else that one would call it back, and be left behind again.

  *Parked*: a processor to which the STM has sent an SMI, and which has not come when
  the limit is over. Nothing outside SMM can hold an SMI back for long but the
  wait-for-SIPI state, and there the SMI stays pending: whatever wakes the processor,
  the SMM VM exit comes before its next instruction. So it is not waited for again
  until it has come. Between INITIALIZE_PROTECTION and START SMIs are blocked, too; what
  runs then is the executive monitor, and its record says so.

  Calls of the executive monitor, and the firmware's set-up and tear-down code, which they
  run, neither wait nor are waited for: the SMI that is sent meanwhile is taken behind them.
  The wait at the end needs no limit of its own: the handler's is one.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Log/Log.h"

///
/// How long, in ticks of the time-stamp counter, the others are left to come on their
/// own before they are sent an SMI. The chipset raises SMIs on all processors at once; one
/// sent on top stays pending, and costs another round.
///
#define GRACE_TICKS  BIT17

/**
  Let nobody else look at, or change, who is inside.

  @param[in,out] Shared  Shared state.
**/
STATIC
VOID
Lock (
  IN OUT STM_SHARED  *Shared
  )
{
  while (InterlockedCompareExchange32 (&Shared->Rendezvous.Lock, 0, 1) != 0) {
    CpuPause ();
  }
}

/**
  Let others look and change again.

  @param[in,out] Shared  Shared state.
**/
STATIC
VOID
Unlock (
  IN OUT STM_SHARED  *Shared
  )
{
  *(volatile UINT32 *) &Shared->Rendezvous.Lock = 0;
}

/**
  The next member of the session that is neither inside nor parked.

  @param[in]     Shared  Shared state, locked.
  @param[in,out] Slot    Block to begin with; gets the one behind the member's.

  @return It, or NULL.
**/
STATIC
STM_PROCESSOR *
NextMissing (
  IN     CONST STM_SHARED  *Shared,
  IN OUT UINT32            *Slot
  )
{
  STM_PROCESSOR  *Other;

  while (*Slot < *(CONST volatile UINT32 *)&Shared->Blocks) {
    Other  = STM_PROCESSOR_OF (Shared, *Slot);
    *Slot += 1;
    if ((*(CONST volatile STM_PROCESSOR_STATE *)&Other->State != StmProcessorOff) &&
        ((Other->Presence == StmPresenceOutside) || (Other->Presence == StmPresenceCalled)))
    {
      return Other;
    }
  }

  return NULL;
}

/**
  Record that a processor has not come.

  @param[in] Processor  This processor.
  @param[in] Other      The one that is missing.
**/
STATIC
VOID
TellLate (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST STM_PROCESSOR  *Other
  )
{
  STM_RECORD (
    Processor,
    "rendezvous-late",
    "cpu=%u other=%u apic=0x%x called=%u started=%u",
    Processor->Slot,
    Other->Slot,
    Other->ApicId,
    (Other->Presence == StmPresenceCalled) ? 1 : 0,
    (Other->State == StmProcessorStarted) ? 1 : 0
    );
}

/**
  Look who is missing, and begin if nobody is, or if the limit is over.

  @param[in,out] Processor  This processor.
  @param[in]     Call       TRUE to send an SMI to those that were not sent one yet.
  @param[in]     Over       TRUE if the limit is over: begin, and tell of each that is
                            missing.

  @retval TRUE   Run the handler.
  @retval FALSE  Somebody is missing.
**/
STATIC
BOOLEAN
TryToBegin (
  IN OUT STM_PROCESSOR  *Processor,
  IN     BOOLEAN        Call,
  IN     BOOLEAN        Over
  )
{
  STM_SHARED     *Shared;
  STM_PROCESSOR  *Other;
  UINT32         Slot;
  BOOLEAN        Begin;

  Shared = Processor->Shared;
  Slot   = 0;
  Begin  = TRUE;
  Lock (Shared);
  while ((Other = NextMissing (Shared, &Slot)) != NULL) {
    if (Call && (Other->Presence == StmPresenceOutside) && StmSendSmi (Processor, Other->ApicId)) {
      Other->Presence = StmPresenceCalled;
      Begin           = FALSE;
    } else if (!Over) {
      Begin = FALSE;
    } else {
      TellLate (Processor, Other);
      if (Other->Presence == StmPresenceCalled) {
        Other->Presence = StmPresenceParked;
      }
    }
  }

  Unlock (Shared);
  return Begin;
}

/**
  An SMI: wait for the other processors. Called for the policy only.

  @param[in,out] Processor  This processor, at its SMM VM exit.
**/
VOID
StmRendezvousArrive (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Start;
  UINT64  Limit;
  UINT64  Waited;

  Lock (Processor->Shared);
  Processor->Presence = StmPresenceInside;
  Processor->Shared->Rendezvous.Running++;
  Unlock (Processor->Shared);

  Limit  = Processor->Shared->Rendezvous.Ticks;
  Start  = AsmReadTsc ();
  Waited = 0;
  while (!TryToBegin (Processor, (BOOLEAN)(Waited >= MIN (GRACE_TICKS, Limit / 2)), (BOOLEAN)(Waited >= Limit))) {
    CpuPause ();
    Waited = AsmReadTsc () - Start;
  }
}

/**
  The last handler has ended: everyone who is inside may leave.

  It is the last one that says so. If each found out on its own, one could leave, and come
  with its next SMI, before another had looked: that one would be left waiting inside, and
  the handler begin without it.

  @param[in,out] Shared  Shared state, locked.
**/
STATIC
VOID
LetLeave (
  IN OUT STM_SHARED  *Shared
  )
{
  STM_PROCESSOR  *Other;
  UINT32         Slot;

  for (Slot = 0; Slot < *(CONST volatile UINT32 *)&Shared->Blocks; Slot++) {
    Other = STM_PROCESSOR_OF (Shared, Slot);
    if (Other->Presence == StmPresenceInside) {
      Other->Presence = StmPresenceOutside;
    }
  }
}

/**
  The handler of an SMI has ended: wait for the others' to end. Called for the policy
  only.

  @param[in,out] Processor  This processor, ready for the return from SMM.
**/
VOID
StmRendezvousLeave (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  Lock (Processor->Shared);
  Processor->Shared->Rendezvous.Running--;
  if (Processor->Shared->Rendezvous.Running == 0) {
    LetLeave (Processor->Shared);
  }

  Unlock (Processor->Shared);
  while (*(CONST volatile STM_PRESENCE *)&Processor->Presence == StmPresenceInside) {
    CpuPause ();
  }
}
