/** @file
  Where the waking routine arrives. A file of its own, below both it and the code
  that goes to sleep.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Standby.h"

STANDBY_STATE             gStandbyState;
BASE_LIBRARY_JUMP_BUFFER  gStandbyJump;

/**
  Awake: return to where the program fell asleep. Called by AsmWoken.
**/
VOID
EFIAPI
StandbyWoken (
  VOID
  )
{
  LongJump (&gStandbyJump, 1);
}
