/** @file
  The walk of page tables and EPT over tables of any content, and the same walk once
  more, by another way.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include "State/State.h"
#include "State/Walk.h"
#include "host/shift_stub.h"

#define PAGES  8

///
/// A walk of four levels, each of whose addresses needs one of EPT, and the last one.
///
#define MOST_READS  (4 * 5 + 4)

STATIC UINT64  mMemory[PAGES][512];
STATIC UINTN   mReads;

STATIC
BOOLEAN
EFIAPI
Read (
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  )
{
  REQUIRE ((Context == mMemory) && (Address % 8 == 0));
  REQUIRE (++mReads <= MOST_READS);
  if (Address >= sizeof (mMemory)) {
    return FALSE;
  }

  *Value = mMemory[Address / SIZE_4KB][Address / 8 % 512];
  return TRUE;
}

STATIC
BOOLEAN
Word (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   GuestAddress,
  IN  UINTN                    Bytes,
  OUT UINT64                   *Value
  );

/**
  Tables of 512 entries from level Levels on: bits of the address from the top.
**/
STATIC
BOOLEAN
Reference (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Table,
  IN  INT32                    Levels,
  IN  UINT64                   Present,
  IN  UINT64                   Linear,
  OUT UINT64                   *Result
  )
{
  UINT64  Entry;
  UINT64  Below;

  Below = 1ULL << (3 + 9 * Levels);
  if (!Word (Space, Table + (Linear % (Below * 512) / Below) * 8, 8, &Entry) || ((Entry & Present) == 0)) {
    return FALSE;
  }

  if ((Levels == 1) || ((Levels < 4) && ((Entry & 0x80) != 0))) {
    *Result = Entry % (1ULL << 52) / Below * Below + Linear % Below;
    return TRUE;
  }

  return Reference (Space, Entry % (1ULL << 52) / 4096 * 4096, Levels - 1, Present, Linear, Result);
}

STATIC
BOOLEAN
ToPhysical (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Guest,
  OUT UINT64                   *Physical
  )
{
  STM_ADDRESS_SPACE  Bare;

  if (Space->EptPointer == 0) {
    *Physical = Guest;
    return TRUE;
  }

  Bare            = *Space;
  Bare.EptPointer = 0;
  return (BOOLEAN)((Guest >> 48 == 0) &&
                   Reference (&Bare, Space->EptPointer % (1ULL << 52) / 4096 * 4096, 4, 7, Guest, Physical));
}

STATIC
BOOLEAN
Word (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   GuestAddress,
  IN  UINTN                    Bytes,
  OUT UINT64                   *Value
  )
{
  UINT64  Physical;

  if (!ToPhysical (Space, GuestAddress, &Physical) || (Physical >= sizeof (mMemory))) {
    return FALSE;
  }

  *Value = 0;
  __builtin_memcpy (Value, (CONST UINT8 *)mMemory + Physical, Bytes);
  return TRUE;
}

STATIC
BOOLEAN
ReferenceWalk (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Linear,
  OUT UINT64                   *Physical
  )
{
  UINT64  Entry;
  UINT64  Guest;

  if (Space->Flat) {
    return (BOOLEAN)((Linear < SIZE_4GB) && ToPhysical (Space, Linear, Physical));
  }

  if (Space->Ia32e) {
    if ((Linear >= 1ULL << 47) && (Linear < 0ULL - (1ULL << 47))) {
      return FALSE;
    }

    return (BOOLEAN)(Reference (Space, Space->Cr3 % (1ULL << 52) / 4096 * 4096, 4, 1, Linear, &Guest) &&
                     ToPhysical (Space, Guest, Physical));
  }

  if (Linear >= SIZE_4GB) {
    return FALSE;
  }

  if (Space->Pae) {
    return (BOOLEAN)(Word (Space, Space->Cr3 % SIZE_4GB / 32 * 32 + Linear / SIZE_1GB * 8, 8, &Entry) && ((Entry & 1) != 0) &&
                     Reference (Space, Entry % (1ULL << 52) / 4096 * 4096, 2, 1, Linear, &Guest) &&
                     ToPhysical (Space, Guest, Physical));
  }

  if (!Word (Space, Space->Cr3 % SIZE_4GB / 4096 * 4096 + (Linear >> 22) * 4, 4, &Entry) || ((Entry & 1) == 0)) {
    return FALSE;
  }

  if (Space->Pse && ((Entry & 0x80) != 0)) {
    Guest = (Entry >> 22 << 22) + ((Entry >> 13 & 0xFF) << 32) + Linear % SIZE_4MB;
  } else {
    if (!Word (Space, Entry / 4096 * 4096 + (Linear >> 12) % 1024 * 4, 4, &Entry) || ((Entry & 1) == 0)) {
      return FALSE;
    }

    Guest = Entry / 4096 * 4096 + Linear % 4096;
  }

  return ToPhysical (Space, Guest, Physical);
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  FUZZ_INPUT         Input = { Data, Data + Size };
  STM_ADDRESS_SPACE  Space;
  UINT64             Place;
  UINT64             Linear;
  UINT64             Got;
  UINT64             Wanted;
  UINT8              Shape;
  UINTN              Count;

  Shape = (UINT8)FuzzTake (&Input, 1);
  __builtin_memset (mMemory, 0, sizeof (mMemory));
  for (Count = FuzzTake (&Input, 1); (Count != 0) && !FuzzIsEmpty (&Input); Count--) {
    //
    // An entry at one of few places, with a page that is one of the tables, mostly.
    //
    Place                                                                                   = FuzzTake (&Input, 2);
    Linear                                                                                  = FuzzTake (&Input, 2);
    mMemory[Place % PAGES][((Place & 0x8000) != 0) ? (Place >> 3 & 511) : (Place >> 3 & 1)] =
      (Linear & 0xFFF) | (Linear >> 12) << 12 | (((Shape & 0x80) != 0) ? FuzzTake (&Input, 8) : 0);
  }

  Space.Cr3        = (FuzzTake (&Input, 1) % (PAGES + 1)) << 12 | (Shape & 0x20);
  Space.EptPointer = ((Shape & 1) != 0) ? ((FuzzTake (&Input, 1) % (PAGES + 1)) << 12 | 0x1E) : 0;
  Space.Ia32e      = (BOOLEAN)(Shape >> 1 & 1);
  Space.Pae        = (BOOLEAN)(Shape >> 2 & 1);
  Space.Pse        = (BOOLEAN)(Shape >> 3 & 1);
  Space.Flat       = (BOOLEAN)((Shape >> 4 & 7) == 1);
  Space.Read       = Read;
  Space.Context    = mMemory;
  do {
    //
    // Small indices, so that the few entries are met; sometimes any address.
    //
    Shape  = (UINT8)FuzzTake (&Input, 1);
    Linear = ((Shape & 0x80) != 0) ? FuzzTake (&Input, 8)
             : ((UINT64)(Shape & 1) << 39 | (UINT64)(Shape >> 1 & 3) << 30 | (UINT64)(Shape >> 3 & 3) << 21 |
                (UINT64)(Shape >> 5 & 3) << 12 | 0x123);
    mReads = 0;
    Got    = 0;
    Wanted = 0;
    if (StmWalk (&Space, Linear, &Got)) {
      REQUIRE (ReferenceWalk (&Space, Linear, &Wanted) && (Got == Wanted));
    } else {
      REQUIRE (!ReferenceWalk (&Space, Linear, &Wanted));
    }

    FuzzCalls++;
  } while (!FuzzIsEmpty (&Input));

  return 0;
}
