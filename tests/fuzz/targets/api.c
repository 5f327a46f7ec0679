/** @file
  Calls of the executive monitor and of the SMI handler, in any order, by several
  processors, with lists that are good, bad, and rewritten while the STM runs.

  After every call: what must hold of its answer (api_lists.c, api_calls.c), and of what
  it protects (api_check.c).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api.h"

#define MOST_CALLS  400

FUZZ_PLACES  gApiPlaces;
UINT32       gApiLimit;
UINT64       gApiMisc;
API_LIFE     gApiLife[API_PROCESSORS];
BOOLEAN      gApiBiosIsSound;
REF_LIST     gApiBios;
REF_HISTORY  gApiHistory;
STM_PROFILE  gApiBefore;
REF_LIST     gApiList;

STATIC
VOID
Start (
  IN OUT FUZZ_INPUT  *Input
  )
{
  UINT8  Shape;

  Shape                   = (UINT8)FuzzTake (Input, 1);
  gApiPlaces.PhysicalBits = ((Shape & 1) != 0) ? 39 : 36;
  gApiPlaces.Bases[0]     = 0x100000;
  gApiPlaces.Bases[1]     = TEST_TSEG_BASE;
  gApiPlaces.Bases[2]     = TEST_MSEG_BASE;
  gApiPlaces.Bases[3]     = TEST_TSEG_END;
  gApiPlaces.Bases[4]     = SIZE_4GB;
  gApiPlaces.Bases[5]     = 1ULL << gApiPlaces.PhysicalBits;
  gApiLimit               = 1 + (Shape >> 1 & 3) % API_PROCESSORS;
  gApiMisc                = VMX_MISC_STORE_LMA | (((Shape & 0x10) != 0) ? 0 : VMX_MISC_BLOCK_UNBLOCKING);
  gApiHistory.Count       = 0;
  gApiBios.Count          = 0;
  __builtin_memset (gApiLife, 0, sizeof (gApiLife));
  TestStart (gApiPlaces.PhysicalBits, gApiLimit, TRUE);
  TestCapabilities (gApiMisc);
  TestFirmwareCode = (Shape >> 5) & 3;
  TestGiveList (((Shape & 0x80) != 0) ? TEST_BIOS_LIST : 0);
  __builtin_memset ((VOID *)(UINTN)TEST_BIOS_LIST, 0, SIZE_4KB);
  ((STM_RSC *)(UINTN)TEST_BIOS_LIST)->Header.Length = sizeof (STM_RSC_END);
  gApiBiosIsSound                                   = TRUE;
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

  FuzzMakeList (Input, &gApiPlaces, (UINT8 *)(UINTN)TEST_BIOS_LIST, SIZE_4KB, &Spoiled);
  TestGiveList (TEST_BIOS_LIST);
  RefReadList ((CONST UINT8 *)(UINTN)TEST_BIOS_LIST, SIZE_4KB, gApiPlaces.PhysicalBits, &gApiList);
  gApiBiosIsSound = (BOOLEAN)(!Spoiled && gApiList.Ended);
  for (Index = 0; Index < gApiList.Count; Index++) {
    //
    // What a firmware must not claim, or may not in every version of the STM.
    //
    Item = &gApiList.Items[Index];
    if ((Item->Type >= 5) || ((Item->Space == SpaceMsr) && (Item->First == 0x9B * 64)) || ApiInTseg (Item)) {
      gApiBiosIsSound = FALSE;
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
  while (!FuzzIsEmpty (&Input) && (FuzzCalls - First < MOST_CALLS) && (gApiHistory.Count < REF_CHANGES - 256)) {
    Choice    = (UINT8)FuzzTake (&Input, 1);
    Processor = (Choice >> 4 & 3) % API_PROCESSORS;
    Page      = TEST_EXECUTIVE_BASE + (Choice >> 6) * SIZE_4KB;
    switch (Choice & 15) {
      case 0:
      case 1:
      case 2:
        FuzzMakeList (&Input, &gApiPlaces, (UINT8 *)(UINTN)Page, SIZE_4KB, &Spoiled);
      case 3:
        ApiCallProtect (Processor, Page, TRUE);
        break;
      case 4:
        FuzzMakeList (&Input, &gApiPlaces, (UINT8 *)(UINTN)Page, SIZE_4KB, &Spoiled);
      case 5:
      case 6:
        ApiCallProtect (Processor, Page, FALSE);
        break;
      case 7:
        ApiCallResources (Processor, (UINT32)FuzzTake (&Input, 1) % 6);
        break;
      case 8:
      case 9:
        ApiCallLife (Processor, STM_API_INITIALIZE_PROTECTION, 0);
        break;
      case 10:
        ApiCallLife (Processor, STM_API_START, Choice >> 7);
        break;
      case 11:
        ApiCallLife (Processor, STM_API_STOP, 0);
        break;
      case 12:
        MakeBiosList (&Input);
        break;
      case 13:
        if (gApiLife[Processor] == Started) {
          ApiCallHandler (&Input, Processor);
        }

        break;
      case 14:
        ApiCallAnything (&Input, Processor);
        break;
      default:
        ((UINT8 *)(UINTN)Page)[FuzzTake (&Input, 2) & 0xFFF] = (UINT8)FuzzTake (&Input, 1);
        break;
    }

    REQUIRE ((TestOpenWindows == 0) && (TestWorstWindow == 0));
  }

  if (ApiMembers () != 0) {
    ApiCheckEverywhere ();
  }

  return 0;
}
