/** @file
  The API's fuzz target: the life of processors, the SMI handler's calls, the event log, and
  any number with any registers.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api.h"

/**
  INITIALIZE_PROTECTION, START, STOP.
**/
VOID
ApiCallLife (
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

  Others       = ApiMembers ();
  FreshList    = (BOOLEAN)(Others == 0);
  NoBit        = (BOOLEAN)(((Options & 1) != 0) && ((gApiMisc & VMX_MISC_BLOCK_UNBLOCKING) == 0));
  Registers[0] = Number;
  Registers[1] = 0x5555;
  Registers[2] = 0x6666;
  Registers[3] = Options;
  TestCall (Processor, Registers);
  FuzzCalls++;
  Status = (UINT32)Registers[0];
  switch (Number) {
    case STM_API_STOP:
      REQUIRE (Status == ((gApiLife[Processor] == Off) ? (UINT32)ERROR_STM_STOPPED : STM_SUCCESS));
      gApiLife[Processor] = Off;
      break;
    case STM_API_INITIALIZE_PROTECTION:
      if (gApiLife[Processor] != Off) {
        REQUIRE (Status == (UINT32)ERROR_STM_ALREADY_STARTED);
        break;
      }

      if (Status == STM_SUCCESS) {
        REQUIRE ((Others < gApiLimit) && ((gApiMisc & VMX_MISC_STORE_LMA) != 0));
        gApiLife[Processor] = Initialized;
        break;
      }

      if (((gApiMisc & VMX_MISC_STORE_LMA) != 0) && (!FreshList || gApiBiosIsSound)) {
        REQUIRE ((Status == (UINT32)ERROR_STM_OUT_OF_RESOURCES) && (Others >= gApiLimit));
      } else {
        REQUIRE ((Status == (UINT32)ERROR_STM_UNSPECIFIED) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE));
      }

      break;
    default:
      if (gApiLife[Processor] == Started) {
        REQUIRE (Status == (UINT32)ERROR_STM_ALREADY_STARTED);
      } else if (NoBit) {
        REQUIRE (Status == (UINT32)ERROR_STM_UNSUPPORTED_MSR_BIT);
      } else if ((gApiLife[Processor] == Off) && (Others == 0)) {
        REQUIRE ((Status == (UINT32)ERROR_STM_UNSPECIFIED) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE));
      } else if ((gApiLife[Processor] == Off) && ((gApiMisc & VMX_MISC_STORE_LMA) == 0)) {
        REQUIRE (Status == (UINT32)ERROR_STM_UNSPECIFIED);
      } else if ((gApiLife[Processor] == Off) && (Others >= gApiLimit)) {
        REQUIRE (Status == (UINT32)ERROR_STM_OUT_OF_RESOURCES);
      } else {
        REQUIRE (Status == STM_SUCCESS);
        gApiLife[Processor] = Started;
      }

      break;
  }

  if (FreshList && (ApiMembers () != 0)) {
    //
    // A session begins: the firmware's list is read, and nothing is protected.
    //
    gApiHistory.Count = 0;
    RefReadList ((CONST UINT8 *)(UINTN)TEST_BIOS_LIST, TEST_BIOS_LIST_SIZE, gApiPlaces.PhysicalBits, &gApiBios);
    ApiCheckEverywhere ();
  }

  REQUIRE (TestIsInside (Processor) == (gApiLife[Processor] != Off));
  if (gApiLife[Processor] == Off) {
    REQUIRE ((TestMonitorCtl (Processor) & ~(UINT64)BIT2) == (TEST_MSEG_BASE | BIT0));
  }
}

/**
  ADDRESS_LOOKUP and other calls of the SMI handler's: they write nothing outside the
  handler's SMRAM, and never tell where something protected is.
**/
VOID
ApiCallHandler (
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
    REQUIRE (RefProtectedAt (&gApiHistory, SpaceMemory, Request->PhysicalAddress) == 0);
    REQUIRE ((Request->PhysicalAddress < TEST_MSEG_BASE) || (Request->PhysicalAddress >= TEST_TSEG_END));
    REQUIRE ((Request->PhysicalAddress >> 52) == 0);
  }
}

/**
  MANAGE_EVENT_LOG, with a log that may lie in a page of its own or anywhere.
**/
VOID
ApiCallEventLog (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  )
{
  UINT64  Registers[4];
  UINT64  *Request;
  UINT32  Function;
  UINT64  Elsewhere;

  Request      = (UINT64 *)(UINTN)(TEST_EXECUTIVE_BASE + 5 * SIZE_4KB);
  Function     = (UINT32)FuzzTake (Input, 1);
  Elsewhere    = FuzzTake (Input, 6);
  Request[0]   = (Function & 7) | FuzzTake (Input, ((Function & 8) != 0) ? 4 : 1) << 32;
  Request[1]   = TEST_EXECUTIVE_BASE + 6 * SIZE_4KB;
  Request[2]   = TEST_EXECUTIVE_BASE + 7 * SIZE_4KB;
  Request[3]   = ((Elsewhere >= TEST_EXECUTIVE_BASE) && (Elsewhere < TEST_EXECUTIVE_BASE + SIZE_64KB)) ? 0 : Elsewhere;
  Registers[0] = STM_API_MANAGE_EVENT_LOG;
  Registers[1] = (UINT64)(UINTN)Request;
  Registers[2] = 0;
  Registers[3] = 0;
  if ((Function & 7) == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
    Request[0] = (Function & 7) | (UINT64)(1 + (Function >> 4) % 3) << 32;
  }

  TestCall (Processor, Registers);
  FuzzCalls++;
  REQUIRE ((gApiLife[Processor] != Off) || (Registers[0] == (UINT32)ERROR_STM_UNSPECIFIED));
  REQUIRE (TestShared ()->Events.PageCount <= 3);
}

/**
  Any number, any registers.
**/
VOID
ApiCallAnything (
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
      ApiCallEventLog (Input, Processor);
      return;
    case STM_API_INITIALIZE_PROTECTION:
    case STM_API_START:
    case STM_API_STOP:
      ApiCallLife (Processor, (UINT32)Registers[0], (UINT32)Registers[3]);
      return;
    case STM_API_PROTECT_RESOURCE:
    case STM_API_UNPROTECT_RESOURCE:
      Number = ((Registers[2] & MAX_UINT32) << 32 | (UINT32)Registers[1]) & ~0xFFFULL;
      if ((Number >= TEST_EXECUTIVE_BASE) && (Number < TEST_EXECUTIVE_BASE + API_LIST_PAGES * SIZE_4KB)) {
        ApiCallProtect (Processor, Number, (BOOLEAN)((UINT32)Registers[0] == STM_API_PROTECT_RESOURCE));
        return;
      }

      break;
    default:
      break;
  }

  __builtin_memcpy (&gApiBefore, TestProfile (), sizeof (gApiBefore));
  TestCall (Processor, Registers);
  FuzzCalls++;
  REQUIRE ((gApiLife[Processor] == Off) || ApiProfileIsAsBefore ());
}
