/** @file
  The lock of the record port. A record is some hundred writes to a port, and
  another processor's would come in between.

  The path of a plain SMI writes no port and takes no lock.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"
#include <Library/SynchronizationLib.h>

///
/// How long a crash waits for the lock, in PAUSE instructions: in the end it takes
/// it, for whoever owns it may be what has crashed.
///
#define CRASH_PAUSES  10000000

/**
  Take the lock.

  @param[in] Processor  This processor.
  @param[in] Crash      TRUE to take it by force if it is not to be had.

  @retval TRUE   Taken.
  @retval FALSE  This processor had it already, for a record within which the
                 caller was called or has crashed; or it took it by force.
**/
BOOLEAN
StmLockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Crash
  )
{
  volatile UINT32  *Lock;
  UINT32           Own;
  UINT32           Pauses;

  Lock = &Processor->Shared->RecordLock;
  Own  = Processor->Slot + 1;
  if (*Lock == Own) {
    return FALSE;
  }

  //
  // The owner releases it when its record is written, or resets the platform.
  //
  for (Pauses = 0; InterlockedCompareExchange32 (Lock, 0, Own) != 0; Pauses++) {
    if (Crash && (Pauses == CRASH_PAUSES)) {
      *Lock = Own;
      return FALSE;
    }

    CpuPause ();
  }

  return TRUE;
}

/**
  Release the lock.

  @param[in] Processor  This processor.
  @param[in] Taken      What StmLockRecords has returned: FALSE leaves the lock as
                        it is.
**/
VOID
StmUnlockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Taken
  )
{
  if (Taken) {
    *(volatile UINT32 *) &Processor->Shared->RecordLock = 0;
  }
}
