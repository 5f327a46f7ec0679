/** @file
  Where the exception entries arrive. A file of its own, below both them and
  StmTry: whoever tries calls downwards only.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>

#include "Caught.h"

BASE_LIBRARY_JUMP_BUFFER  gStmTryLeave;

/**
  A fault came: leave the routine that is being tried. Called by AsmTryEntries.

  @param[in] Vector  Which; never 0.
**/
VOID
EFIAPI
StmTryCaught (
  IN UINTN  Vector
  )
{
  LongJump (&gStmTryLeave, Vector);
}
