/** @file
  Four-level tables, in any order of calls, from a pool that may be too small.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include <stdlib.h>
#include "Protect/PageMap.h"

#define MOST_CHANGES   64
#define POOL_PHYSICAL  0x123456000ULL
#define TABLE_BITS     7ULL

///
/// What was done to a range: a mapping, or a change of attribute bits.
///
typedef struct {
  UINT64    First;
  UINT64    End;
  UINT64    Mask;     ///< 0 for a mapping
  UINT64    Bits;
} CHANGE;

STATIC CHANGE  mChanges[MOST_CHANGES];
STATIC UINTN   mCount;
STATIC UINT64  mDistance;

/**
  What a leaf must be, by what was done; 0 for none.
**/
STATIC
UINT64
Expected (
  IN UINT64  Virtual
  )
{
  CONST CHANGE  *Change;
  UINT64        Attributes;
  BOOLEAN       Mapped;
  UINTN         Index;

  Attributes = 0;
  Mapped     = FALSE;
  for (Index = 0; Index < mCount; Index++) {
    Change = &mChanges[Index];
    if ((Virtual < Change->First) || (Virtual >= Change->End)) {
      continue;
    }

    if (Change->Mask == 0) {
      Mapped     = (BOOLEAN)(Change->Bits != 0);
      Attributes = Change->Bits;
    } else if (Mapped) {
      Attributes = (Attributes & ~Change->Mask) | Change->Bits;
    }
  }

  return Mapped ? (((Virtual + mDistance) & ~0xFFFULL) | Attributes) : 0;
}

STATIC
VOID
CheckAt (
  IN CONST STM_PAGE_MAP  *Map,
  IN UINT64              Virtual
  )
{
  UINT64  Leaf;
  UINT64  Size;

  if (Virtual >= 1ULL << 48) {
    return;
  }

  Leaf = StmPageMapLookup (Map, Virtual, &Size);
  FuzzCalls++;
  REQUIRE ((Size == SIZE_4KB) || (Size == SIZE_2MB) || (Size == SIZE_1GB) || (Size == 1ULL << 39));
  if (Leaf != 0) {
    Leaf  = (Size == SIZE_4KB) ? Leaf : (Leaf & ~(UINT64)STM_PAGE_MAP_LARGE);
    Leaf += Virtual & (Size - 1) & ~0xFFFULL;
  }

  REQUIRE (Leaf == Expected (Virtual));
}

STATIC
UINT64
TakeAddress (
  IN OUT FUZZ_INPUT  *Input
  )
{
  UINT8  Shape;

  Shape = (UINT8)FuzzTake (Input, 1);
  switch (Shape & 7) {
    case 0:
      return FuzzTake (Input, 7);
    case 1:
    case 2:
      return (UINT64)(Shape >> 3) * SIZE_4KB;
    case 3:
    case 4:
      return (UINT64)(Shape >> 3) * SIZE_2MB;
    case 5:
      return (UINT64)(Shape >> 3) * SIZE_1GB;
    default:
      return FuzzTake (Input, 3) * SIZE_4KB;
  }
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  FUZZ_INPUT    Input = { Data, Data + Size };
  STM_PAGE_MAP  Map;
  UINT64        *Pool;
  UINT8         Shape;
  UINT32        Pages;
  UINT32        Used;
  UINT32        Cost;
  UINT64        Counted[2];
  UINT64        First;
  UINT64        Length;
  UINT64        Bits;
  BOOLEAN       Done;

  Shape     = (UINT8)FuzzTake (&Input, 1);
  Pages     = 1 + (Shape & 15);
  mDistance = ((Shape & 0x60) != 0) ? 0 : (UINT64)(Shape >> 5) * SIZE_1GB + SIZE_2MB;
  mCount    = 0;
  Pool      = calloc (Pages, SIZE_4KB);
  StmPageMapInit (&Map, Pool, POOL_PHYSICAL, Pages, TABLE_BITS, (BOOLEAN)(Shape >> 7));
  Done = TRUE;
  while (Done && !FuzzIsEmpty (&Input) && (mCount < MOST_CHANGES)) {
    Shape  = (UINT8)FuzzTake (&Input, 1);
    First  = TakeAddress (&Input);
    Length = TakeAddress (&Input);
    Bits   = ((UINT64)Shape >> 2 & 7) | (((Shape & 0x20) != 0) ? BIT11 : 0);
    Used   = Map.PoolUsed;
    if ((Shape & 3) == 0) {
      //
      // Distances are multiples of 2 MB, which is no boundary of 1 GB: leaves of 1 GB
      // need both.
      //
      Done = StmPageMapRange (&Map, First, First + mDistance, Length, Bits | BIT4);
      FuzzCalls++;
      mChanges[mCount] = (CHANGE) {
        First, First + Length, 0, Bits | BIT4
      };
    } else {
      Counted[0] = MAX_UINT64;
      Counted[1] = MAX_UINT64;
      Cost       = 0;
      if ((((First | Length) & 0xFFF) == 0) && (First < 1ULL << 48) && (Length < (1ULL << 48) - First)) {
        Cost       = StmPageMapCost (&Map, First, Counted);
        Cost      += StmPageMapCost (&Map, First + Length, Counted);
        FuzzCalls += 2;
      }

      Done = StmPageMapChange (&Map, First, Length, 7, Bits & 7);
      FuzzCalls++;
      REQUIRE (Done || (Cost > Pages - Used) || (((First | Length) & 0xFFF) != 0) || (First > 1ULL << 48) || (Length > (1ULL << 48) - First));
      REQUIRE (!Done || (Map.PoolUsed - Used <= Cost) || (First + Length == 1ULL << 48));
      mChanges[mCount] = (CHANGE) {
        First, First + Length, 7, Bits & 7
      };
    }

    REQUIRE ((Map.PoolUsed >= Used) && (Map.PoolUsed <= Pages));
    if (!Done) {
      //
      // Part of the range may be changed: what it is now is not said. An argument that
      // is no good changes nothing.
      //
      if (((First | Length) & 0xFFF) == 0) {
        break;
      }

      Done = TRUE;
    } else {
      mCount++;
    }

    CheckAt (&Map, First);
    CheckAt (&Map, First + Length);
    CheckAt (&Map, First + Length - 1);
    CheckAt (&Map, TakeAddress (&Input));
  }

  free (Pool);
  return 0;
}
