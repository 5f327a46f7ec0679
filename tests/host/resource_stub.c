/** @file
  Memory functions for Protect/ on the host, and sizes for the test.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect/Resource.h"
#include <Library/BaseMemoryLib.h>
#include "copy_stub.h"

UINT32
TestProfileRanges (
  VOID
  )
{
  return STM_PROFILE_RANGES;
}
