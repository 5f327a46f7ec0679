/** @file
  The API's fuzz target: what must hold after every call of the profile, of the EPT and of
  the bitmaps, by the history of all that was granted.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api.h"

#define MEMORY_ALL  7
#define EXECUTE     4

UINT32
ApiMembers (
  VOID
  )
{
  UINT32  Count;
  UINT32  Index;

  Count = 0;
  for (Index = 0; Index < API_PROCESSORS; Index++) {
    Count += (gApiLife[Index] != Off);
  }

  return Count;
}

/**
  What the SMI handler may do at an address, as the processor sees it: the real tables,
  walked here.
**/
STATIC
UINT32
EptAt (
  IN UINT64  Address
  )
{
  UINT64  Table;
  UINT64  Entry;
  UINTN   Level;

  Table = TestShared ()->EptPointer & ~0xFFFULL;
  for (Level = 3; ; Level--) {
    REQUIRE ((Table >= TEST_DYNAMIC + TEST_EPT) && (Table < TEST_DYNAMIC + TEST_EPT + TEST_EPT_PAGES * SIZE_4KB));
    Entry = ((CONST UINT64 *)(UINTN)Table)[Address >> (12 + 9 * Level) & 511];
    if ((Entry & 7) == 0) {
      return 0;
    }

    if ((Level == 0) || ((Level < 3) && ((Entry & BIT7) != 0))) {
      REQUIRE ((Entry & 0x000FFFFFFFFFF000ULL) == (Address & ~((1ULL << (12 + 9 * Level)) - 1)));
      REQUIRE ((Entry & 3) != 2);
      return (UINT32)Entry & 7;
    }

    Table = Entry & 0x000FFFFFFFFFF000ULL;
  }
}

STATIC
BOOLEAN
InBitmap (
  IN UINT64  Bitmap,
  IN UINT64  Bit
  )
{
  return (BOOLEAN)(((CONST UINT8 *)(UINTN)(TEST_DYNAMIC + Bitmap))[Bit / 8] >> (Bit % 8) & 1);
}

/**
  One place: the profile, what enforces it, and the history agree; what is the STM's own
  is closed whatever was asked for.
**/
VOID
ApiCheckPlace (
  IN UINT32  Space,
  IN UINT64  Place
  )
{
  UINT32  Wanted;
  UINT64  End;
  UINT64  Msr;
  UINT64  Bit;

  Wanted = RefProtectedAt (&gApiHistory, Space, Place);
  REQUIRE (StmProfileAt (TestProfile (), Space, Place, &End) == Wanted);
  REQUIRE (End > Place);
  if (Space == SpaceMemory) {
    if (Place >> gApiPlaces.PhysicalBits != 0) {
      REQUIRE (Wanted == 0);
    } else if ((Place >= TEST_MSEG_BASE) && (Place < TEST_TSEG_END)) {
      REQUIRE (EptAt (Place) == 0);
    } else {
      //
      // Execution is for SMRAM.
      //
      Wanted |= ((Place < TEST_TSEG_BASE) || (Place >= TEST_TSEG_END)) ? EXECUTE : 0;
      REQUIRE (EptAt (Place) == (((Wanted & 1) != 0) ? 0 : (MEMORY_ALL & ~Wanted)));
    }
  } else if ((Space == SpaceIo) && (Place < 0x10000)) {
    Bit = Place % REF_TWIN;
    REQUIRE ((Wanted == 0) || InBitmap (STM_DYNAMIC_IO_BITMAP, Bit));
    REQUIRE ((Bit < REF_STEP_FIRST) || (Bit > REF_STEP_LAST) || !InBitmap (STM_DYNAMIC_IO_BITMAP, Bit));
    REQUIRE ((Place != STM_RECORD_PORT_STM) || InBitmap (STM_DYNAMIC_IO_BITMAP, Bit));
  } else if (Space == SpaceMsr) {
    Msr = Place / 64;
    Bit = (Msr < 0x2000) ? Msr : ((Msr >= 0xC0000000) && (Msr < 0xC0002000)) ? (Msr - 0xC0000000 + 0x2000) : MAX_UINT64;
    if (Bit != MAX_UINT64) {
      REQUIRE (((Wanted & 1) == 0) || InBitmap (STM_DYNAMIC_MSR_BITMAP, Bit));
      REQUIRE (((Wanted & 2) == 0) || InBitmap (STM_DYNAMIC_MSR_BITMAP + 0x800, Bit));
      REQUIRE (((Msr != 0x9B) && (Msr != 0x1B)) || InBitmap (STM_DYNAMIC_MSR_BITMAP + 0x800, Bit));
    }
  }
}

/**
  The whole profile: sorted, as few ranges as can be, nothing that the firmware claims,
  and, if it is to be looked at, what is at both ends of each range.
**/
VOID
ApiCheckProfile (
  IN BOOLEAN  Places
  )
{
  CONST STM_PROFILE  *Profile;
  STM_RANGE          Range;
  STM_RANGE          Before;
  UINTN              Index;
  REF_ITEM           Item;

  Profile = TestProfile ();
  REQUIRE (Profile->Count <= STM_PROFILE_RANGES);
  for (Index = 0; Index < Profile->Count; Index++) {
    StmProfileRange (Profile, Index, &Range);
    StmProfileRange (Profile, (Index == 0) ? 0 : Index - 1, &Before);
    if (Range.Space > SpaceMsr) {
      continue;
    }

    REQUIRE ((Range.Base < Range.End) && (Range.Access != 0));
    if ((Index != 0) && (Before.Space == Range.Space)) {
      REQUIRE (Before.End <= Range.Base);
      REQUIRE ((Before.End != Range.Base) || (Before.Access != Range.Access));
    }

    REQUIRE ((Index == 0) || (Before.Space <= Range.Space));
    REQUIRE (
      (Range.Space != SpaceMemory) || (Range.End <= TEST_TSEG_BASE) || (Range.Base >= TEST_TSEG_END)
      );
    Item.Bits   = FALSE;
    Item.Space  = Range.Space;
    Item.Access = Range.Access;
    Item.First  = Range.Base;
    Item.Last   = Range.End - 1;
    REQUIRE (!RefClaims (&gApiBios, &Item) && !RefIsStepPort (&Item));
    if (Places) {
      ApiCheckPlace (Range.Space, Range.Base);
      ApiCheckPlace (Range.Space, Range.End - 1);
    }
  }
}

/**
  Everywhere something may have begun or ended.
**/
VOID
ApiCheckEverywhere (
  VOID
  )
{
  CONST REF_CHANGE  *Change;
  UINT32            Index;

  ApiCheckProfile (TRUE);
  for (Index = 0; Index < gApiHistory.Count; Index++) {
    Change = &gApiHistory.Changes[Index];
    ApiCheckPlace (Change->Space, Change->First);
    ApiCheckPlace (Change->Space, Change->Last + 1);
  }

  ApiCheckPlace (SpaceMemory, TEST_MSEG_BASE);
  ApiCheckPlace (SpaceMemory, TEST_TSEG_END - 1);
  ApiCheckPlace (SpaceMemory, TEST_TSEG_BASE);
  ApiCheckPlace (SpaceMsr, 0x9B * 64);
  ApiCheckPlace (SpaceMsr, 0x1B * 64);
  ApiCheckPlace (SpaceIo, STM_RECORD_PORT_STM);
  ApiCheckPlace (SpaceIo, REF_STEP_FIRST);
  ApiCheckPlace (SpaceIo, REF_STEP_LAST);
}

VOID
ApiRemember (
  IN CONST REF_ITEM  *Item,
  IN BOOLEAN         Protect
  )
{
  REF_CHANGE  *Change;

  REQUIRE (gApiHistory.Count < REF_CHANGES);
  Change          = &gApiHistory.Changes[gApiHistory.Count++];
  Change->Space   = Item->Space;
  Change->Access  = Item->Access;
  Change->First   = Item->First;
  Change->Last    = Item->Last;
  Change->Bits    = Item->Bits;
  Change->Protect = Protect;
  if (Item->Bits) {
    Change->Masks[0] = Item->Masks[0];
    Change->Masks[1] = Item->Masks[1];
  }
}

STATIC
VOID
RememberRange (
  IN UINT32   Space,
  IN UINT32   Access,
  IN UINT64   First,
  IN UINT64   Last,
  IN BOOLEAN  Protect
  )
{
  REF_ITEM  Item;

  Item.Bits   = FALSE;
  Item.Space  = Space;
  Item.Access = Access;
  Item.First  = First;
  Item.Last   = Last;
  ApiRemember (&Item, Protect);
}

/**
  All of it, but for what is the firmware's, and the ports that stay open.
**/
VOID
ApiRememberAll (
  IN BOOLEAN  Protect
  )
{
  CONST REF_ITEM  *Claim;
  REF_ITEM        Needed;
  UINT32          Index;

  RememberRange (SpaceMemory, MEMORY_ALL, 0, (1ULL << gApiPlaces.PhysicalBits) - 1, Protect);
  RememberRange (SpaceIo, 3, 0, MAX_UINT16, Protect);
  RememberRange (SpaceMsr, 3, 0, (64ULL << 32) - 1, Protect);
  if (!Protect) {
    return;
  }

  RememberRange (SpaceMemory, MEMORY_ALL, TEST_TSEG_BASE, TEST_TSEG_END - 1, FALSE);
  RememberRange (SpaceIo, 3, REF_STEP_FIRST, REF_STEP_LAST, FALSE);
  for (Index = 0; Index < gApiBios.Count; Index++) {
    Claim = &gApiBios.Items[Index];
    if (Claim->Ignored) {
      continue;
    }

    if (Claim->Type == 5) {
      RememberRange (SpaceIo, 3, 0xCF8, 0xCFF, FALSE);
    } else if (Claim->Bits) {
      Needed = *Claim;
      RefNeeds (Claim, Needed.Masks);
      ApiRemember (&Needed, FALSE);
    } else if (Claim->Space != SpaceNone) {
      RememberRange (Claim->Space, (Claim->Type == 6) ? 3 : Claim->Access, Claim->First, Claim->Last, FALSE);
    }
  }
}

BOOLEAN
ApiInTseg (
  IN CONST REF_ITEM  *Item
  )
{
  return (BOOLEAN)((Item->Space == SpaceMemory) && (Item->First < TEST_TSEG_END) && (Item->Last >= TEST_TSEG_BASE));
}

BOOLEAN
ApiProfileIsAsBefore (
  VOID
  )
{
  return (BOOLEAN)((gApiBefore.Count == TestProfile ()->Count) &&
                   (__builtin_memcmp (&gApiBefore, TestProfile (), OFFSET_OF (STM_PROFILE, Ranges) + gApiBefore.Count * sizeof (STM_PACKED_RANGE)) == 0));
}
