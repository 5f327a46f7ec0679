/** @file
  Who is inside MSEG, and who is a member of the session.

  Each function changes one word, with one atomic instruction that counts. Which
  orders of these instructions, by how many processors, are safe, a search over
  all of them tells (tests/host/test_session.py).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Session.h"
#include <Library/SynchronizationLib.h>

///
/// How long an activation waits for processors that are on their way out, in
/// PAUSE instructions. They need no lock but that of the records, so the wait
/// ends when they have written what they had to say.
///
#define LEAVING_PAUSES  100000

/**
  Wait for the lock of activations, and keep any processor from being activated.

  @param[in,out] Shared  Shared state.
**/
VOID
StmLockActivations (
  IN OUT STM_SHARED  *Shared
  )
{
  while (InterlockedCompareExchange32 (&Shared->Lock, 0, 1) != 0) {
    CpuPause ();
  }
}

/**
  Let processors be activated.

  @param[in,out] Shared  Shared state.
**/
VOID
StmUnlockActivations (
  IN OUT STM_SHARED  *Shared
  )
{
  *(volatile UINT32 *) &Shared->Lock = 0;
}

/**
  Count this processor in. The caller holds the activation lock.

  @param[in,out] Shared  Shared state.

  @retval TRUE   Nobody else is inside, nor can anybody come in before the lock is
                 released: build what all share, then call StmSessionReady.
  @retval FALSE  Others are inside: what they use must not change.
**/
BOOLEAN
StmSessionEnter (
  IN OUT STM_SHARED  *Shared
  )
{
  UINT32  Pauses;

  for (Pauses = 0; Pauses < LEAVING_PAUSES; Pauses++) {
    if ((*(volatile UINT32 *)&Shared->Inside == 0) ||
        ((*(volatile UINT32 *)&Shared->Session & STM_SESSION_PHASE) != STM_SESSION_OVER))
    {
      break;
    }

    CpuPause ();
  }

  //
  // Others may leave at any time, and the lock keeps them from coming in: if this
  // one is the first in, it stays the only one.
  //
  if (InterlockedIncrement (&Shared->Inside) != 1) {
    return FALSE;
  }

  *(volatile UINT32 *) &Shared->Session = STM_SESSION_NONE;
  return TRUE;
}

/**
  What all share is built. The caller holds the activation lock.

  @param[in,out] Shared  Shared state.
**/
VOID
StmSessionReady (
  IN OUT STM_SHARED  *Shared
  )
{
  *(volatile UINT32 *) &Shared->Session = STM_SESSION_READY;
}

/**
  Become a member of the session.

  @param[in,out] Shared  Shared state.
  @param[in]     Open    TRUE for INITIALIZE_PROTECTION, which opens the session.

  @retval STM_SUCCESS                 A member.
  @retval ERROR_STM_UNSPECIFIED       Nobody has called INITIALIZE_PROTECTION.
  @retval ERROR_STM_STOPPED           The session is over, and not everybody has left.
  @retval ERROR_STM_OUT_OF_RESOURCES  There are as many members as MSEG has room for.
**/
UINT32
StmSessionJoin (
  IN OUT STM_SHARED  *Shared,
  IN     BOOLEAN     Open
  )
{
  UINT32  Old;
  UINT32  New;

  do {
    Old = *(volatile UINT32 *)&Shared->Session;
    switch (Old & STM_SESSION_PHASE) {
      case STM_SESSION_READY:
        if (!Open) {
          return (UINT32)ERROR_STM_UNSPECIFIED;
        }

        New = STM_SESSION_OPEN | 1;
        break;
      case STM_SESSION_OPEN:
        if ((Old & STM_SESSION_MEMBERS) >= Shared->ProcessorLimit) {
          return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
        }

        New = Old + 1;
        break;
      default:
        return (UINT32)ERROR_STM_STOPPED;
    }
  } while (InterlockedCompareExchange32 (&Shared->Session, Old, New) != Old);

  return STM_SUCCESS;
}

/**
  Stop being a member. This processor stays inside until AsmLeave.

  @param[in,out] Shared  Shared state.
**/
VOID
StmSessionPart (
  IN OUT STM_SHARED  *Shared
  )
{
  UINT32  Old;
  UINT32  New;

  do {
    Old = *(volatile UINT32 *)&Shared->Session;
    New = ((Old & STM_SESSION_MEMBERS) == 1) ? STM_SESSION_OVER : Old - 1;
  } while (InterlockedCompareExchange32 (&Shared->Session, Old, New) != Old);
}
