/** @file
  Memory functions for Protect/ on the host, and sizes for the test.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect/Resource.h"
#include <Library/BaseMemoryLib.h>

VOID *
CopyMem (
  OUT VOID       *Destination,
  IN CONST VOID  *Source,
  IN UINTN       Length
  )
{
  return __builtin_memmove (Destination, Source, Length);
}

VOID *
ZeroMem (
  OUT VOID  *Buffer,
  IN UINTN  Length
  )
{
  return __builtin_memset (Buffer, 0, Length);
}

UINT32
TestProfileRanges (
  VOID
  )
{
  return STM_PROFILE_RANGES;
}
