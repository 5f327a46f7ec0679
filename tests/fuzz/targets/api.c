/** @file
  Calls of the executive monitor and of the SMI handler, in any order, by several
  processors, with lists that are good, bad, and rewritten while the STM runs.

  After every call: what must hold of its answer, of what it protects, of the EPT and
  of the bitmaps, compared with a history of all that was granted.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "host/api_stub.h"
#include "fuzz/fuzz.h"
#include "fuzz/lists.h"
#include "fuzz/reference.h"

#define PROCESSORS   3
#define LIST_PAGES   4
#define CF           BIT0
#define MOST_CALLS   400
#define MEMORY_ALL   7
#define EXECUTE      4

///
/// A processor's life, once more.
///
typedef enum { Off, Initialized, Started } LIFE;

STATIC FUZZ_PLACES  mPlaces;
STATIC UINT32       mLimit;
STATIC UINT64       mMisc;
STATIC LIFE         mLife[PROCESSORS];
STATIC BOOLEAN      mBiosIsSound;      ///< the firmware's list as it is now is one that a call must accept
STATIC REF_LIST     mBios;             ///< the one of this session
STATIC REF_HISTORY  mHistory;
STATIC STM_PROFILE  mBefore;
STATIC UINT8        mListBefore[SIZE_4KB];
STATIC REF_LIST     mList;

STATIC
UINT32
Members (
  VOID
  )
{
  UINT32  Count;
  UINT32  Index;

  Count = 0;
  for (Index = 0; Index < PROCESSORS; Index++) {
    Count += (mLife[Index] != Off);
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
STATIC
VOID
CheckPlace (
  IN UINT32  Space,
  IN UINT64  Place
  )
{
  UINT32  Wanted;
  UINT64  End;
  UINT64  Bit;

  Wanted = RefProtectedAt (&mHistory, Space, Place);
  REQUIRE (StmProfileAt (TestProfile (), Space, Place, &End) == Wanted);
  REQUIRE (End > Place);
  if (Space == SpaceMemory) {
    if (Place >> mPlaces.PhysicalBits != 0) {
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
    REQUIRE ((Wanted == 0) || InBitmap (STM_DYNAMIC_IO_BITMAP_A, Place));
    REQUIRE ((Place != STM_RECORD_PORT_STM) || InBitmap (STM_DYNAMIC_IO_BITMAP_A, Place));
  } else if (Space == SpaceMsr) {
    Bit = (Place < 0x2000) ? Place : ((Place >= 0xC0000000) && (Place < 0xC0002000)) ? (Place - 0xC0000000 + 0x2000) : MAX_UINT64;
    if (Bit != MAX_UINT64) {
      REQUIRE (((Wanted & 1) == 0) || InBitmap (STM_DYNAMIC_MSR_BITMAP, Bit));
      REQUIRE (((Wanted & 2) == 0) || InBitmap (STM_DYNAMIC_MSR_BITMAP + 0x800, Bit));
      REQUIRE (((Place != 0x9B) && (Place != 0x1B)) || InBitmap (STM_DYNAMIC_MSR_BITMAP + 0x800, Bit));
    }
  }
}

/**
  The whole profile: sorted, as few ranges as can be, nothing that the firmware claims,
  and, if it is to be looked at, what is at both ends of each range.
**/
STATIC
VOID
CheckProfile (
  IN BOOLEAN  Places
  )
{
  CONST STM_PROFILE  *Profile;
  CONST STM_RANGE    *Range;
  UINTN              Index;
  REF_ITEM           Item;

  Profile = TestProfile ();
  REQUIRE (Profile->Count <= STM_PROFILE_RANGES);
  for (Index = 0; Index < Profile->Count; Index++) {
    Range = &Profile->Ranges[Index];
    if (Range->Space > SpaceMsr) {
      continue;
    }

    REQUIRE ((Range->Base < Range->End) && (Range->Access != 0));
    if ((Index != 0) && (Range[-1].Space == Range->Space)) {
      REQUIRE (Range[-1].End <= Range->Base);
      REQUIRE ((Range[-1].End != Range->Base) || (Range[-1].Access != Range->Access));
    }

    REQUIRE ((Index == 0) || (Range[-1].Space <= Range->Space));
    REQUIRE (
      (Range->Space != SpaceMemory) || (Range->End <= TEST_TSEG_BASE) || (Range->Base >= TEST_TSEG_END)
      );
    Item.Space  = Range->Space;
    Item.Access = Range->Access;
    Item.First  = Range->Base;
    Item.Last   = Range->End - 1;
    REQUIRE (!RefClaims (&mBios, &Item));
    if (Places) {
      CheckPlace (Range->Space, Range->Base);
      CheckPlace (Range->Space, Range->End - 1);
    }
  }
}

/**
  Everywhere something may have begun or ended.
**/
STATIC
VOID
CheckEverywhere (
  VOID
  )
{
  CONST REF_CHANGE  *Change;
  UINT32            Index;

  CheckProfile (TRUE);
  for (Index = 0; Index < mHistory.Count; Index++) {
    Change = &mHistory.Changes[Index];
    CheckPlace (Change->Space, Change->First);
    CheckPlace (Change->Space, Change->Last + 1);
  }

  CheckPlace (SpaceMemory, TEST_MSEG_BASE);
  CheckPlace (SpaceMemory, TEST_TSEG_END - 1);
  CheckPlace (SpaceMemory, TEST_TSEG_BASE);
  CheckPlace (SpaceMsr, 0x9B);
  CheckPlace (SpaceMsr, 0x1B);
  CheckPlace (SpaceIo, STM_RECORD_PORT_STM);
}

STATIC
VOID
Remember (
  IN CONST REF_ITEM  *Item,
  IN BOOLEAN         Protect
  )
{
  REF_CHANGE  *Change;

  REQUIRE (mHistory.Count < REF_CHANGES);
  Change          = &mHistory.Changes[mHistory.Count++];
  Change->Space   = Item->Space;
  Change->Access  = Item->Access;
  Change->First   = Item->First;
  Change->Last    = Item->Last;
  Change->Protect = Protect;
}

STATIC
BOOLEAN
InTseg (
  IN CONST REF_ITEM  *Item
  )
{
  return (BOOLEAN)((Item->Space == SpaceMemory) && (Item->First < TEST_TSEG_END) && (Item->Last >= TEST_TSEG_BASE));
}

STATIC
BOOLEAN
ProfileIsAsBefore (
  VOID
  )
{
  return (BOOLEAN)((mBefore.Count == TestProfile ()->Count) &&
                   (__builtin_memcmp (&mBefore, TestProfile (), OFFSET_OF (STM_PROFILE, Ranges) + mBefore.Count * sizeof (STM_RANGE)) == 0));
}

/**
  The page of a list after its call: only ReturnStatus may be another.
**/
STATIC
VOID
CheckList (
  IN CONST UINT8  *Page
  )
{
  UINT32  Index;

  for (Index = 0; Index < mList.Count; Index++) {
    mListBefore[mList.Items[Index].Offset + 6] ^= (mListBefore[mList.Items[Index].Offset + 6] ^ Page[mList.Items[Index].Offset + 6]) & 1;
  }

  REQUIRE (__builtin_memcmp (Page, mListBefore, SIZE_4KB) == 0);
}

/**
  PROTECT_RESOURCE or UNPROTECT_RESOURCE with a page of the executive monitor's.
**/
STATIC
VOID
CallProtect (
  IN UINT32   Processor,
  IN UINT64   Page,
  IN BOOLEAN  Protect
  )
{
  UINT64          Registers[4];
  UINT32          Status;
  UINT32          Index;
  UINT32          Generation;
  BOOLEAN         Granted;
  BOOLEAN         Denied;
  CONST UINT8     *Bytes;
  CONST REF_ITEM  *Item;

  Bytes = (CONST UINT8 *)(UINTN)Page;
  RefReadList (Bytes, SIZE_4KB, mPlaces.PhysicalBits, &mList);
  __builtin_memcpy (mListBefore, Bytes, SIZE_4KB);
  __builtin_memcpy (&mBefore, TestProfile (), sizeof (UINT64) + TestProfile ()->Count * sizeof (STM_RANGE));
  Generation   = TestShared ()->Generation;
  Registers[0] = Protect ? STM_API_PROTECT_RESOURCE : STM_API_UNPROTECT_RESOURCE;
  Registers[1] = Page | 0xABCD000000000FFFULL;
  Registers[2] = 0x1234000000000000ULL;
  Registers[3] = 0x77;
  TestCall (Processor, Registers);
  FuzzCalls++;
  Status = (UINT32)Registers[0];
  REQUIRE ((Registers[1] == (Page | 0xABCD000000000FFFULL)) && (Registers[2] == 0x1234000000000000ULL) && (Registers[3] == 0x77));
  if (mLife[Processor] == Off) {
    REQUIRE (Status == (UINT32)ERROR_STM_UNSPECIFIED);
    return;
  }

  CheckList (Bytes);
  if (!mList.Ended || mList.Returned || (mList.Next != 0)) {
    REQUIRE (Status == (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST);
  }

  Denied = FALSE;
  for (Index = 0; Index < mList.Count; Index++) {
    Item    = &mList.Items[Index];
    Granted = (BOOLEAN)(Bytes[Item->Offset + 6] & 1);
    if ((Status != STM_SUCCESS) && (Status != (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE)) {
      REQUIRE (!Granted);
      continue;
    }

    if (Item->Ignored) {
      REQUIRE (!Granted);
      continue;
    }

    Denied = (BOOLEAN)(Denied || !Granted);
    if (Item->Space == SpaceNone) {
      continue;
    }

    REQUIRE (Granted || Protect);
    if (Protect && (InTseg (Item) || RefClaims (&mBios, Item))) {
      REQUIRE (!Granted);
    }

    if (Granted) {
      REQUIRE (Protect || !InTseg (Item) || (Item->Last < TEST_MSEG_BASE));
      Remember (Item, Protect);
    }
  }

  switch (Status) {
    case STM_SUCCESS:
    case (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE:
      REQUIRE (Denied == (Status != STM_SUCCESS));
      REQUIRE (TestShared ()->Generation != Generation);
      for (Index = 0; Index < mList.Count; Index++) {
        if (mList.Items[Index].Space != SpaceNone) {
          CheckPlace (mList.Items[Index].Space, mList.Items[Index].First);
          CheckPlace (mList.Items[Index].Space, mList.Items[Index].Last);
          CheckPlace (mList.Items[Index].Space, mList.Items[Index].Last + 1);
        }
      }

      CheckProfile ((BOOLEAN)(FuzzCalls % 32 == 0));
      break;
    case (UINT32)ERROR_STM_OUT_OF_RESOURCES:
      REQUIRE (Protect && ProfileIsAsBefore ());
      break;
    case (UINT32)ERROR_STM_UNSPECIFIED:
      REQUIRE (!Protect && ProfileIsAsBefore ());
      break;
    default:
      REQUIRE (Status == (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST);
      REQUIRE (!mList.Ended || mList.Returned || (mList.Next != 0));
      REQUIRE (ProfileIsAsBefore ());
      break;
  }
}

/**
  GET_BIOS_RESOURCES: pages that can be read, in their order, exact in length.
**/
STATIC
VOID
CallResources (
  IN UINT32  Processor,
  IN UINT32  Index
  )
{
  UINT64    Registers[4];
  UINT8     *Page;
  UINT32    Place;
  REF_LIST  *Read;

  Page         = (UINT8 *)(UINTN)(TEST_EXECUTIVE_BASE + LIST_PAGES * SIZE_4KB);
  Registers[0] = STM_API_GET_BIOS_RESOURCES;
  Registers[1] = (UINT64)(UINTN)Page;
  Registers[2] = 0;
  Registers[3] = Index;
  __builtin_memset (Page, 0xA5, SIZE_4KB);
  TestCall (Processor, Registers);
  FuzzCalls++;
  if (mLife[Processor] == Off) {
    REQUIRE ((UINT32)Registers[0] == (UINT32)ERROR_STM_UNSPECIFIED);
    return;
  }

  REQUIRE (TestShared ()->BiosPages >= 1);
  if (Index >= TestShared ()->BiosPages) {
    REQUIRE (((UINT32)Registers[0] == (UINT32)ERROR_STM_PAGE_NOT_FOUND) && (Registers[3] == Index));
    REQUIRE (Page[0] == 0xA5);
    return;
  }

  REQUIRE (Registers[0] == STM_SUCCESS);
  REQUIRE (Registers[3] == ((Index + 1 < TestShared ()->BiosPages) ? Index + 1 : 0));
  Read = &mList;
  RefReadList (Page, SIZE_4KB, mPlaces.PhysicalBits, Read);
  REQUIRE (Read->Ended && (Read->Next == 0) && !Read->Returned);
  Place = (Read->Count == 0) ? 0 : (Read->Items[Read->Count - 1].Offset + Read->Items[Read->Count - 1].Length);
  for (Place += 16; Place < SIZE_4KB; Place++) {
    REQUIRE (Page[Place] == 0xA5);
  }
}

/**
  INITIALIZE_PROTECTION, START, STOP.
**/
STATIC
VOID
CallLife (
  IN UINT32  Processor,
  IN UINT32  Number,
  IN UINT32  Options
  )
{
  UINT64   Registers[4];
  UINT32   Status;
  UINT32   Others;
  BOOLEAN  FreshList;
  BOOLEAN  NoBit;

  Others       = Members ();
  FreshList    = (BOOLEAN)(Others == 0);
  NoBit        = (BOOLEAN)(((Options & 1) != 0) && ((mMisc & VMX_MISC_BLOCK_UNBLOCKING) == 0));
  Registers[0] = Number;
  Registers[1] = 0x5555;
  Registers[2] = 0x6666;
  Registers[3] = Options;
  TestCall (Processor, Registers);
  FuzzCalls++;
  Status = (UINT32)Registers[0];
  switch (Number) {
    case STM_API_STOP:
      REQUIRE (Status == ((mLife[Processor] == Off) ? (UINT32)ERROR_STM_STOPPED : STM_SUCCESS));
      mLife[Processor] = Off;
      break;
    case STM_API_INITIALIZE_PROTECTION:
      if (mLife[Processor] != Off) {
        REQUIRE (Status == (UINT32)ERROR_STM_ALREADY_STARTED);
        break;
      }

      if (Status == STM_SUCCESS) {
        REQUIRE ((Others < mLimit) && ((mMisc & VMX_MISC_STORE_LMA) != 0));
        mLife[Processor] = Initialized;
        break;
      }

      if (((mMisc & VMX_MISC_STORE_LMA) != 0) && (!FreshList || mBiosIsSound)) {
        REQUIRE ((Status == (UINT32)ERROR_STM_OUT_OF_RESOURCES) && (Others >= mLimit));
      } else {
        REQUIRE ((Status == (UINT32)ERROR_STM_UNSPECIFIED) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE));
      }

      break;
    default:
      if (mLife[Processor] == Started) {
        REQUIRE (Status == (UINT32)ERROR_STM_ALREADY_STARTED);
      } else if (NoBit) {
        REQUIRE (Status == (UINT32)ERROR_STM_UNSUPPORTED_MSR_BIT);
      } else if ((mLife[Processor] == Off) && (Others == 0)) {
        REQUIRE ((Status == (UINT32)ERROR_STM_UNSPECIFIED) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE));
      } else if ((mLife[Processor] == Off) && ((mMisc & VMX_MISC_STORE_LMA) == 0)) {
        REQUIRE (Status == (UINT32)ERROR_STM_UNSPECIFIED);
      } else if ((mLife[Processor] == Off) && (Others >= mLimit)) {
        REQUIRE (Status == (UINT32)ERROR_STM_OUT_OF_RESOURCES);
      } else {
        REQUIRE (Status == STM_SUCCESS);
        mLife[Processor] = Started;
      }

      break;
  }

  if (FreshList && (Members () != 0)) {
    //
    // A session begins: the firmware's list is read, and nothing is protected.
    //
    mHistory.Count = 0;
    RefReadList ((CONST UINT8 *)(UINTN)TEST_BIOS_LIST, TEST_BIOS_LIST_SIZE, mPlaces.PhysicalBits, &mBios);
    CheckEverywhere ();
  }

  REQUIRE (TestIsInside (Processor) == (mLife[Processor] != Off));
  if (mLife[Processor] == Off) {
    REQUIRE ((TestMonitorCtl (Processor) & ~(UINT64)BIT2) == (TEST_MSEG_BASE | BIT0));
  }
}

/**
  ADDRESS_LOOKUP and other calls of the SMI handler's: they write nothing outside the
  handler's SMRAM, and never tell where something protected is.
**/
STATIC
VOID
CallHandler (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  )
{
  STM_ADDRESS_LOOKUP_DESCRIPTOR  *Request;
  UINT64                         Registers[4];
  UINT8                          Shape;
  UINT64                         At;

  Shape   = (UINT8)FuzzTake (Input, 1);
  At      = ((Shape & 1) != 0) ? TEST_REQUEST : FuzzTake (Input, 5);
  Request = (STM_ADDRESS_LOOKUP_DESCRIPTOR *)(UINTN)TEST_REQUEST;
  __builtin_memset (Request, 0, sizeof (*Request));
  Request->InterruptedGuestVirtualAddress = FuzzTake (Input, ((Shape & 2) != 0) ? 8 : 5);
  Request->Length                         = (UINT32)FuzzTake (Input, ((Shape & 4) != 0) ? 4 : 2);
  Request->InterruptedCr3                 = ((Shape & 8) != 0) ? TEST_HANDLER_TABLES : (TEST_EXECUTIVE_BASE + 8 * SIZE_4KB);
  Request->InterruptedIa32eMode           = ((Shape & 0x30) != 0);
  Request->InterruptedCr4Pae              = ((Shape & 0x10) != 0);
  Request->MapToSmmGuest                  = ((Shape & 0xC0) == 0xC0) ? 1 : 0;
  Request->PhysicalAddress                = 0x5A5A;
  Registers[0]                            = ((Shape & 0xC0) == 0x80) ? (Shape & 7) : STM_API_ADDRESS_LOOKUP;
  Registers[1]                            = At;
  Registers[2]                            = At >> 32;
  Registers[3]                            = 0;
  TestHandlerCall (Processor, TEST_HANDLER_TABLES, Registers);
  FuzzCalls++;
  if ((Registers[0] == STM_SUCCESS) && (At == TEST_REQUEST)) {
    REQUIRE (RefProtectedAt (&mHistory, SpaceMemory, Request->PhysicalAddress) == 0);
    REQUIRE ((Request->PhysicalAddress < TEST_MSEG_BASE) || (Request->PhysicalAddress >= TEST_TSEG_END));
    REQUIRE ((Request->PhysicalAddress >> 52) == 0);
  }
}

/**
  MANAGE_EVENT_LOG, with a log that may lie in a page of its own or anywhere.
**/
STATIC
VOID
CallEventLog (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  )
{
  UINT64  Registers[4];
  UINT64  *Request;
  UINT32  Function;
  UINT64  Elsewhere;

  Request    = (UINT64 *)(UINTN)(TEST_EXECUTIVE_BASE + 5 * SIZE_4KB);
  Function   = (UINT32)FuzzTake (Input, 1);
  Elsewhere  = FuzzTake (Input, 6);
  Request[0] = (Function & 7) | FuzzTake (Input, ((Function & 8) != 0) ? 4 : 1) << 32;
  Request[1] = TEST_EXECUTIVE_BASE + 6 * SIZE_4KB;
  Request[2] = TEST_EXECUTIVE_BASE + 7 * SIZE_4KB;
  Request[3] = ((Elsewhere >= TEST_EXECUTIVE_BASE) && (Elsewhere < TEST_EXECUTIVE_BASE + SIZE_64KB)) ? 0 : Elsewhere;
  Registers[0] = STM_API_MANAGE_EVENT_LOG;
  Registers[1] = (UINT64)(UINTN)Request;
  Registers[2] = 0;
  Registers[3] = 0;
  if ((Function & 7) == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
    Request[0] = (Function & 7) | (UINT64)(1 + (Function >> 4) % 3) << 32;
  }

  TestCall (Processor, Registers);
  FuzzCalls++;
  REQUIRE ((mLife[Processor] != Off) || (Registers[0] == (UINT32)ERROR_STM_UNSPECIFIED));
  REQUIRE (TestShared ()->Events.PageCount <= 3);
}

/**
  Any number, any registers.
**/
STATIC
VOID
CallAnything (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  )
{
  UINT64  Registers[4];
  UINT64  Number;

  Number       = FuzzTake (Input, 1);
  Registers[0] = ((Number & 0x80) != 0) ? (BIT16 | (Number & 0xF)) : FuzzTake (Input, 4);
  Registers[1] = FuzzTake (Input, 8);
  Registers[2] = FuzzTake (Input, 1);
  Registers[3] = FuzzTake (Input, 4);
  switch ((UINT32)Registers[0]) {
    case STM_API_MANAGE_EVENT_LOG:
      CallEventLog (Input, Processor);
      return;
    case STM_API_INITIALIZE_PROTECTION:
    case STM_API_START:
    case STM_API_STOP:
      CallLife (Processor, (UINT32)Registers[0], (UINT32)Registers[3]);
      return;
    case STM_API_PROTECT_RESOURCE:
    case STM_API_UNPROTECT_RESOURCE:
      Number = ((Registers[2] & MAX_UINT32) << 32 | (UINT32)Registers[1]) & ~0xFFFULL;
      if ((Number >= TEST_EXECUTIVE_BASE) && (Number < TEST_EXECUTIVE_BASE + LIST_PAGES * SIZE_4KB)) {
        CallProtect (Processor, Number, (BOOLEAN)((UINT32)Registers[0] == STM_API_PROTECT_RESOURCE));
        return;
      }

      break;
    default:
      break;
  }

  __builtin_memcpy (&mBefore, TestProfile (), sizeof (UINT64) + TestProfile ()->Count * sizeof (STM_RANGE));
  TestCall (Processor, Registers);
  FuzzCalls++;
  REQUIRE ((mLife[Processor] == Off) || ProfileIsAsBefore ());
}

STATIC
VOID
Start (
  IN OUT FUZZ_INPUT  *Input
  )
{
  UINT8  Shape;

  Shape                = (UINT8)FuzzTake (Input, 1);
  mPlaces.PhysicalBits = ((Shape & 1) != 0) ? 39 : 36;
  mPlaces.Bases[0]     = 0x100000;
  mPlaces.Bases[1]     = TEST_TSEG_BASE;
  mPlaces.Bases[2]     = TEST_MSEG_BASE;
  mPlaces.Bases[3]     = TEST_TSEG_END;
  mPlaces.Bases[4]     = SIZE_4GB;
  mPlaces.Bases[5]     = 1ULL << mPlaces.PhysicalBits;
  mLimit               = 1 + (Shape >> 1 & 3) % PROCESSORS;
  mMisc                = VMX_MISC_STORE_LMA | (((Shape & 0x10) != 0) ? 0 : VMX_MISC_BLOCK_UNBLOCKING);
  mHistory.Count       = 0;
  mBios.Count          = 0;
  __builtin_memset (mLife, 0, sizeof (mLife));
  TestStart (mPlaces.PhysicalBits, mLimit, TRUE);
  TestCapabilities (mMisc);
  TestFirmwareCode = (Shape >> 5) & 3;
  TestGiveList (((Shape & 0x80) != 0) ? TEST_BIOS_LIST : 0);
  __builtin_memset ((VOID *)(UINTN)TEST_BIOS_LIST, 0, SIZE_4KB);
  ((STM_RSC *)(UINTN)TEST_BIOS_LIST)->Header.Length = sizeof (STM_RSC_END);
  mBiosIsSound                                      = TRUE;
}

STATIC
VOID
MakeBiosList (
  IN OUT FUZZ_INPUT  *Input
  )
{
  BOOLEAN   Spoiled;
  UINT32    Index;
  REF_ITEM  *Item;

  FuzzMakeList (Input, &mPlaces, (UINT8 *)(UINTN)TEST_BIOS_LIST, SIZE_4KB, &Spoiled);
  TestGiveList (TEST_BIOS_LIST);
  RefReadList ((CONST UINT8 *)(UINTN)TEST_BIOS_LIST, SIZE_4KB, mPlaces.PhysicalBits, &mList);
  mBiosIsSound = (BOOLEAN)(!Spoiled && mList.Ended);
  for (Index = 0; Index < mList.Count; Index++) {
    //
    // What a firmware must not claim, or may not in every version of the STM.
    //
    Item = &mList.Items[Index];
    if ((Item->Type >= 5) || ((Item->Space == SpaceMsr) && (Item->First == 0x9B)) || InTseg (Item)) {
      mBiosIsSound = FALSE;
    }
  }
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  FUZZ_INPUT  Input = { Data, Data + Size };
  UINT8       Choice;
  UINT32      Processor;
  UINT64      Page;
  UINT64      First;
  BOOLEAN     Spoiled;

  First = FuzzCalls;
  Start (&Input);
  while (!FuzzIsEmpty (&Input) && (FuzzCalls - First < MOST_CALLS) && (mHistory.Count < REF_CHANGES - 256)) {
    Choice    = (UINT8)FuzzTake (&Input, 1);
    Processor = (Choice >> 4 & 3) % PROCESSORS;
    Page      = TEST_EXECUTIVE_BASE + (Choice >> 6) * SIZE_4KB;
    switch (Choice & 15) {
      case 0:
      case 1:
      case 2:
        FuzzMakeList (&Input, &mPlaces, (UINT8 *)(UINTN)Page, SIZE_4KB, &Spoiled);
      case 3:
        CallProtect (Processor, Page, TRUE);
        break;
      case 4:
        FuzzMakeList (&Input, &mPlaces, (UINT8 *)(UINTN)Page, SIZE_4KB, &Spoiled);
      case 5:
      case 6:
        CallProtect (Processor, Page, FALSE);
        break;
      case 7:
        CallResources (Processor, (UINT32)FuzzTake (&Input, 1) % 6);
        break;
      case 8:
      case 9:
        CallLife (Processor, STM_API_INITIALIZE_PROTECTION, 0);
        break;
      case 10:
        CallLife (Processor, STM_API_START, Choice >> 7);
        break;
      case 11:
        CallLife (Processor, STM_API_STOP, 0);
        break;
      case 12:
        MakeBiosList (&Input);
        break;
      case 13:
        if (mLife[Processor] == Started) {
          CallHandler (&Input, Processor);
        }

        break;
      case 14:
        CallAnything (&Input, Processor);
        break;
      default:
        ((UINT8 *)(UINTN)Page)[FuzzTake (&Input, 2) & 0xFFF] = (UINT8)FuzzTake (&Input, 1);
        break;
    }

    REQUIRE ((TestOpenWindows == 0) && (TestWorstWindow == 0));
  }

  if (Members () != 0) {
    CheckEverywhere ();
  }

  return 0;
}
