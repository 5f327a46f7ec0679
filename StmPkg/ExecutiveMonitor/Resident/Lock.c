/** @file
  Locks of the executive monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

/**
  Take a lock; waits for it.

  @param[in,out] Lock  0 if it is free.
**/
VOID
ExecLock (
  IN OUT volatile UINT32  *Lock
  )
{
  while (InterlockedCompareExchange32 (Lock, 0, 1) != 0) {
    CpuPause ();
  }
}

/**
  Give a lock back.

  @param[in,out] Lock  Taken by ExecLock.
**/
VOID
ExecUnlock (
  IN OUT volatile UINT32  *Lock
  )
{
  InterlockedCompareExchange32 (Lock, 1, 0);
}
