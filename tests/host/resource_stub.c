/** @file
  Memory functions for lists of resources on the host, and sizes for the test.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect/Resource.h"
#include <Library/BaseMemoryLib.h>
#include "copy_stub.h"

INTN
CompareMem (
  IN CONST VOID  *One,
  IN CONST VOID  *Other,
  IN UINTN       Length
  )
{
  return __builtin_memcmp (One, Other, Length);
}

UINT32
TestProfileRanges (
  VOID
  )
{
  return STM_PROFILE_RANGES;
}
