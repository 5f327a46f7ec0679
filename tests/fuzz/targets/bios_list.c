/** @file
  The firmware's list of resources, of any bytes, while another processor of the
  firmware's rewrites it: a byte changes between any two copies that the STM makes.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include "fuzz/lists.h"
#include "fuzz/reference.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <Library/BaseMemoryLib.h>
#include "Protect/Resource.h"

#define TSEG_BASE  0x6F800000ULL
#define TSEG_SIZE  0x10000
#define MSEG_BASE  (TSEG_BASE + 0xC000)
#define TSEG_END   (TSEG_BASE + TSEG_SIZE)
#define ECAM_BASE  0xE0000000
#define LIST_AT    0x1000
#define LIST_ROOM  0x6000

STATIC FUZZ_INPUT  mRewrites;    ///< what the other processor does: two bytes where, one byte what

VOID *
CopyMem (
  OUT VOID       *Destination,
  IN CONST VOID  *Source,
  IN UINTN       Length
  )
{
  UINTN  At;

  REQUIRE (((UINTN)Source >= TSEG_BASE) && ((UINTN)Source + Length <= TSEG_END));
  REQUIRE (((UINTN)Source + Length <= MSEG_BASE));
  __builtin_memcpy (Destination, Source, Length);
  if (!FuzzIsEmpty (&mRewrites)) {
    At = FuzzTake (&mRewrites, 1);
    if (At < 64) {
      ((UINT8 *)Source)[At] = (UINT8)FuzzTake (&mRewrites, 1);
    }
  }

  return Destination;
}

VOID *
ZeroMem (
  OUT VOID  *Buffer,
  IN UINTN  Length
  )
{
  return __builtin_memset (Buffer, 0, Length);
}

/**
  A register of the chipset: every function is a bridge, and the bus behind it has the next
  number, so that a path of any length leads somewhere.
**/
STATIC
UINT8
EFIAPI
ReadPci (
  IN CONST VOID  *Context,
  IN UINT64      Place
  )
{
  REQUIRE ((Context == &mRewrites) && (Place >> 28 == 0));
  return ((Place & 0xFFF) == 0x0E) ? 1 : (UINT8)((Place >> 20) + 1);
}

/**
  What the list claims, by the code and by the reference.
**/
STATIC
VOID
CheckClaims (
  IN OUT FUZZ_INPUT        *Input,
  IN     CONST STM_LIMITS  *Limits,
  IN     CONST REF_LIST    *Lists,
  IN     BOOLEAN           Plain
  )
{
  STM_RANGE  Range;
  REF_ITEM   Item;
  BOOLEAN    Claimed;
  UINT32     Page;
  UINT64     Low;

  Low          = FuzzTake (Input, 3);
  Range.Space  = (UINT32)Low % 3;
  Range.Access = (UINT32)(Low >> 2) % 7 + 1;
  Range.Base   = (Range.Space == StmSpaceMemory) ? (TSEG_END + (Low & ~0xFFFULL)) : (Low & 0xFFFF) * ((Range.Space == StmSpaceMsr) ? 7 : 1);
  Range.End    = Range.Base + ((Range.Space == StmSpaceMemory) ? SIZE_8KB : 1);
  Item.Bits    = FALSE;
  Item.Space   = Range.Space;
  Item.Access  = Range.Access;
  Item.First   = Range.Base;
  Item.Last    = Range.End - 1;
  Claimed      = RefIsStepPort (&Item);
  for (Page = 0; Page < Limits->BiosPages; Page++) {
    Claimed = (BOOLEAN)(Claimed || RefClaims (&Lists[Page], &Item));
  }

  //
  // The code may find more: what a descriptor of PCI or of trapped I/O stands for.
  //
  REQUIRE (!Claimed || StmResourceIsClaimed (Limits, &Range));
  REQUIRE (!Plain || (Claimed == StmResourceIsClaimed (Limits, &Range)));
  FuzzCalls++;
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  STATIC CONST FUZZ_PLACES  Places = { { 0x100000, TSEG_BASE, MSEG_BASE, TSEG_END, SIZE_4GB, 0xF00000000 }, 36 };
  STATIC REF_LIST           Lists[STM_BIOS_PAGES];
  STATIC UINT8              *Tseg;
  FUZZ_INPUT                Input = { Data, Data + Size };
  STM_LIMITS                Limits;
  UINT8                     *Pages;
  UINT32                    Count;
  UINT32                    Status;
  UINT32                    Index;
  UINT32                    Page;
  UINT8                     Shape;
  UINT64                    Address;
  UINTN                     Used;
  UINTN                     Length;
  BOOLEAN                   Spoiled;
  BOOLEAN                   Plain;

  if (Tseg == NULL) {
    Tseg = mmap ((VOID *)TSEG_BASE, TSEG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    REQUIRE (Tseg == (UINT8 *)TSEG_BASE);
  }

  Shape = (UINT8)FuzzTake (&Input, 1);
  Used  = (UINTN)FuzzTake (&Input, 1);

  //
  // The tail of an input is the other processor's.
  //
  Length        = ((Shape & 1) != 0) ? MIN (Used, (UINTN)(Input.End - Input.At)) : 0;
  mRewrites.End = Input.End;
  mRewrites.At  = Input.End - Length;
  Input.End     = mRewrites.At;
  __builtin_memset (Tseg + LIST_AT, 0, LIST_ROOM);
  Address = TSEG_BASE + LIST_AT;
  if ((Shape & 2) != 0) {
    Length = MIN (LIST_ROOM, (UINTN)(Input.End - Input.At));
    __builtin_memcpy (Tseg + LIST_AT, Input.At, Length);
  } else {
    //
    // Parts behind each other, each with an END that names the next one.
    //
    for (Used = 0; (Used + 0x1400 < LIST_ROOM) && !FuzzIsEmpty (&Input); Used += Length) {
      Length = FuzzMakeList (&Input, &Places, Tseg + LIST_AT + Used, 0x1400, &Spoiled);
      if (((Shape & 4) != 0) && !FuzzIsEmpty (&Input)) {
        *(UINT64 *)(Tseg + LIST_AT + Used + Length - 8) = Address + Used + Length;
      } else {
        break;
      }
    }
  }

  if ((Shape & 8) != 0) {
    Address = ((Shape & 16) != 0) ? FuzzTake (&Input, 8) : (TSEG_BASE + FuzzTake (&Input, 2));
  }

  Limits.PhysicalBits = 36;
  Limits.TsegBase     = TSEG_BASE;
  Limits.TsegEnd      = TSEG_END;
  Limits.MsegBase     = MSEG_BASE;
  Limits.MsegEnd      = TSEG_END;
  Limits.BiosPages    = 0;
  Limits.BiosList     = NULL;
  Limits.EcamBase     = ECAM_BASE;
  Limits.EcamSize     = SIZE_256MB;
  Limits.ReadPci      = ReadPci;
  Limits.PciContext   = &mRewrites;
  Pages               = malloc (STM_BIOS_PAGES * SIZE_4KB);
  Count               = STM_BIOS_PAGES;
  Status              = StmBiosListCopy (&Limits, Address, Pages, &Count);
  FuzzCalls++;
  if (Status != STM_SUCCESS) {
    REQUIRE (
      (Status == (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST) || (Status == (UINT32)ERROR_STM_OUT_OF_RESOURCES) ||
      (Status == (UINT32)ERROR_STM_UNPROTECTABLE)
      );
    free (Pages);
    return 0;
  }

  //
  // Whatever was rewritten meanwhile: pages that GET_BIOS_RESOURCES may give away, and
  // nothing that the STM needs for itself.
  //
  REQUIRE ((Count >= 1) && (Count <= STM_BIOS_PAGES));
  Plain = TRUE;
  for (Page = 0; Page < Count; Page++) {
    RefReadList (Pages + Page * SIZE_4KB, SIZE_4KB, 36, &Lists[Page]);
    REQUIRE (Lists[Page].Ended && (Lists[Page].Next == 0) && !Lists[Page].Returned);
    for (Index = 0; Index < Lists[Page].Count; Index++) {
      if (Lists[Page].Items[Index].Ignored) {
        continue;
      }

      Plain = (BOOLEAN)(Plain && (Lists[Page].Items[Index].Type < 5));
      REQUIRE (
        (Lists[Page].Items[Index].Space != SpaceMemory) || (Lists[Page].Items[Index].First >= TSEG_END) ||
        (Lists[Page].Items[Index].Last < MSEG_BASE)
        );
      REQUIRE (
        (Lists[Page].Items[Index].Space != SpaceMsr) || (Lists[Page].Items[Index].First != 0x9B * 64) ||
        ((Lists[Page].Items[Index].Access & 2) == 0)
        );
    }
  }

  Limits.BiosPages = Count;
  Limits.BiosList  = Pages;
  while (!FuzzIsEmpty (&Input)) {
    CheckClaims (&Input, &Limits, Lists, Plain);
  }

  free (Pages);
  return 0;
}
