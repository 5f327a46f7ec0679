/** @file
  The API's fuzz target: calls with lists of resources.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api.h"

STATIC UINT8  mListBefore[SIZE_4KB];

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

  for (Index = 0; Index < gApiList.Count; Index++) {
    mListBefore[gApiList.Items[Index].Offset + 6] ^= (mListBefore[gApiList.Items[Index].Offset + 6] ^ Page[gApiList.Items[Index].Offset + 6]) & 1;
  }

  REQUIRE (__builtin_memcmp (Page, mListBefore, SIZE_4KB) == 0);
}

/**
  PROTECT_RESOURCE or UNPROTECT_RESOURCE with a page of the executive monitor's.
**/
VOID
ApiCallProtect (
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
  RefReadList (Bytes, SIZE_4KB, gApiPlaces.PhysicalBits, &gApiList);
  __builtin_memcpy (mListBefore, Bytes, SIZE_4KB);
  __builtin_memcpy (&gApiBefore, TestProfile (), sizeof (gApiBefore));
  Generation   = TestShared ()->Generation;
  Registers[0] = Protect ? STM_API_PROTECT_RESOURCE : STM_API_UNPROTECT_RESOURCE;
  Registers[1] = Page | 0xABCD000000000FFFULL;
  Registers[2] = 0x1234000000000000ULL;
  Registers[3] = 0x77;
  TestCall (Processor, Registers);
  FuzzCalls++;
  Status = (UINT32)Registers[0];
  REQUIRE ((Registers[1] == (Page | 0xABCD000000000FFFULL)) && (Registers[2] == 0x1234000000000000ULL) && (Registers[3] == 0x77));
  if (gApiLife[Processor] == Off) {
    REQUIRE (Status == (UINT32)ERROR_STM_UNSPECIFIED);
    return;
  }

  CheckList (Bytes);
  if (!gApiList.Ended || gApiList.Returned || (gApiList.Next != 0)) {
    REQUIRE (Status == (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST);
  }

  Denied = FALSE;
  for (Index = 0; Index < gApiList.Count; Index++) {
    Item    = &gApiList.Items[Index];
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
    if (Item->Type == 7) {
      REQUIRE (Granted == !(Protect && RefClaims (&gApiBios, Item)));
      if (Granted) {
        ApiRememberAll (Protect);
      }

      continue;
    }

    if (Item->Space == SpaceNone) {
      continue;
    }

    REQUIRE (Granted || Protect);
    if (Protect && (ApiInTseg (Item) || RefIsStepPort (Item) || RefClaims (&gApiBios, Item))) {
      REQUIRE (!Granted);
    }

    if (Granted) {
      REQUIRE (Protect || !ApiInTseg (Item) || (Item->Last < TEST_MSEG_BASE));
      ApiRemember (Item, Protect);
    }
  }

  switch (Status) {
    case STM_SUCCESS:
    case (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE:
      REQUIRE (Denied == (Status != STM_SUCCESS));
      REQUIRE (TestShared ()->Generation != Generation);
      for (Index = 0; Index < gApiList.Count; Index++) {
        if (gApiList.Items[Index].Space != SpaceNone) {
          ApiCheckPlace (gApiList.Items[Index].Space, gApiList.Items[Index].First);
          ApiCheckPlace (gApiList.Items[Index].Space, gApiList.Items[Index].Last);
          ApiCheckPlace (gApiList.Items[Index].Space, gApiList.Items[Index].Last + 1);
        }
      }

      ApiCheckProfile ((BOOLEAN)(FuzzCalls % 32 == 0));
      break;
    case (UINT32)ERROR_STM_OUT_OF_RESOURCES:
      REQUIRE (Protect && ApiProfileIsAsBefore ());
      break;
    case (UINT32)ERROR_STM_UNSPECIFIED:
      REQUIRE (!Protect && ApiProfileIsAsBefore ());
      break;
    default:
      REQUIRE (Status == (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST);
      REQUIRE (!gApiList.Ended || gApiList.Returned || (gApiList.Next != 0));
      REQUIRE (ApiProfileIsAsBefore ());
      break;
  }
}

/**
  GET_BIOS_RESOURCES: pages that can be read, in their order, exact in length.
**/
VOID
ApiCallResources (
  IN UINT32  Processor,
  IN UINT32  Index
  )
{
  UINT64    Registers[4];
  UINT8     *Page;
  UINT32    Place;
  REF_LIST  *Read;

  Page         = (UINT8 *)(UINTN)(TEST_EXECUTIVE_BASE + API_LIST_PAGES * SIZE_4KB);
  Registers[0] = STM_API_GET_BIOS_RESOURCES;
  Registers[1] = (UINT64)(UINTN)Page;
  Registers[2] = 0;
  Registers[3] = Index;
  __builtin_memset (Page, 0xA5, SIZE_4KB);
  TestCall (Processor, Registers);
  FuzzCalls++;
  if (gApiLife[Processor] == Off) {
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
  Read = &gApiList;
  RefReadList (Page, SIZE_4KB, gApiPlaces.PhysicalBits, Read);
  REQUIRE (Read->Ended && (Read->Next == 0) && !Read->Returned);
  Place = (Read->Count == 0) ? 0 : (Read->Items[Read->Count - 1].Offset + Read->Items[Read->Count - 1].Length);
  for (Place += 16; Place < SIZE_4KB; Place++) {
    REQUIRE (Page[Place] == 0xA5);
  }
}
