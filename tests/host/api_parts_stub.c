/** @file
  Parts of the STM that are not compiled with its API on the host: windows on the executive
  monitor's memory, VMCSs, the firmware's set-up and teardown code, records.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api_stub_state.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Session/Session.h"

UINT8  gTestInside[TEST_PROCESSORS];

STATIC UINT8   mElsewhere[SIZE_4KB] __attribute__ ((aligned (8)));
STATIC UINT8   mLater[SIZE_4KB];
STATIC UINT32  mWindowsUntilLater;

VOID
StmWriteCr3Targets (
  IN BOOLEAN  Free
  )
{
}

VOID *
StmOpenWindow (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN BOOLEAN              Writable
  )
{
  TestOpenWindows++;
  TestLookAtEcam ();
  __builtin_memset (mElsewhere, 0, sizeof (mElsewhere));
  if (TestIsBridge (Page, (UINT32 *)mElsewhere)) {
    return mElsewhere;
  }

  if (!StmPageIsExecutives (Processor->Shared, Page)) {
    TestWorstWindow++;
  }

  if ((Page >= TEST_EXECUTIVE_BASE) && (Page < TEST_EXECUTIVE_BASE + TEST_EXECUTIVE_PAGES * SIZE_4KB)) {
    return (VOID *)(UINTN)Page;
  }

  return mElsewhere;
}

VOID
StmCloseWindow (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  TestOpenWindows--;
  if ((mWindowsUntilLater != 0) && (--mWindowsUntilLater == 0)) {
    __builtin_memcpy ((VOID *)(UINTN)TEST_EXECUTIVE_BASE, mLater, SIZE_4KB);
  }
}

/**
  What another processor writes to the first page of the executive monitor's during a call.

  @param[in] Page     The page.
  @param[in] Windows  It comes when so many windows have been closed; 0 for never.
**/
VOID
TestChangeLater (
  IN CONST UINT8  *Page,
  IN UINT32       Windows
  )
{
  __builtin_memcpy (mLater, Page, SIZE_4KB);
  mWindowsUntilLater = Windows;
}

VOID
StmMakeCurrent (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
}

VOID
StmClearOwnVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
}

BOOLEAN
StmSetUpSmmGuestVmcs (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  return TRUE;
}

VOID
StmReadInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  )
{
}

BOOLEAN
StmRestoreRevision (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Region
  )
{
  return TRUE;
}

BOOLEAN
StmPrepareHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  )
{
  if ((TestFirmwareCode & ((Event == StmEventSetup) ? TEST_SETUP : TEST_TEARDOWN)) == 0) {
    return FALSE;
  }

  Processor->Event = Event;
  return TRUE;
}

UINT32
StmReturnFromProtectionException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Choice
  )
{
  return (UINT32)ERROR_STM_UNSPECIFIED;
}

VOID
EFIAPI
AsmLeave (
  IN CONST VMX_REGISTERS  *Registers,
  IN volatile UINT32      *Inside,
  IN UINT64               Tables,
  IN BOOLEAN              Launched
  )
{
  gTestInside[gTestRunning] = FALSE;
  --*Inside;
}

BOOLEAN
StmLockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Crash
  )
{
  return TRUE;
}

VOID
StmUnlockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Taken
  )
{
}

VOID
EFIAPI
StmRecord (
  IN UINT16       Port,
  IN CONST CHAR8  *Source,
  IN CONST CHAR8  *Event,
  IN CONST CHAR8  *Format,
  ...
  )
{
}

CONST CHAR8 *
EFIAPI
StmRecordBytes (
  IN  CONST UINT8  *Bytes,
  IN  UINTN        Length,
  OUT CHAR8        *Text
  )
{
  return Text;
}

VOID
StmRing (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_RING_TYPE  Type,
  IN     UINT64         Reason,
  IN     UINT64         Qualification,
  IN     UINT64         Rip,
  IN     UINT64         Address
  )
{
}

VOID
StmRingFlush (
  IN OUT STM_PROCESSOR  *Processor
  )
{
}
