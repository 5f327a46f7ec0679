/** @file
  What the test of State/Walk.c has to know.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State/State.h"
#include "State/Walk.h"
#include "shift_stub.h"

UINT32
TestSpaceSize (
  VOID
  )
{
  return sizeof (STM_ADDRESS_SPACE);
}
