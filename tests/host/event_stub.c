/** @file
  What Event/ of the STM needs, for tests on the host: some pages of an executive
  monitor, and a window that says if it is used wrongly.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Event/Event.h"
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Session/Session.h"
#include "State/State.h"
#include "copy_stub.h"
#include "exchange_stub.h"

#define FIRST_PAGE  0x100000
#define PAGES       80

UINT8          TestMemory[PAGES][SIZE_4KB];
UINT32         TestFaults;           ///< uses of a window that is open, closed, read-only or of no page
STATIC UINT32  mOpen;
STATIC UINT8   mCopy[SIZE_4KB];

STATIC STM_SHARED     mShared;
STATIC STM_PROCESSOR  mProcessor;

VOID
TestStart (
  VOID
  )
{
  __builtin_memset (&mShared, 0, sizeof (mShared));
  __builtin_memset (TestMemory, 0, sizeof (TestMemory));
  mShared.Session   = STM_SESSION_OPEN | 1;
  mProcessor.Shared = &mShared;
  TestFaults        = 0;
  mOpen             = 0;
}

VOID
TestSession (
  IN UINT32  Session
  )
{
  mShared.Session = Session;
}

UINT32
TestManage (
  IN UINT64  Page
  )
{
  return StmEventManage (&mProcessor, Page);
}

VOID
TestEvent (
  IN UINT32      Type,
  IN CONST VOID  *Data,
  IN UINTN       Size
  )
{
  STM_EVENT (&mProcessor, Type, Data, Size);
}

VOID
TestResource (
  IN UINT32         Type,
  IN CONST STM_RSC  *Resource
  )
{
  StmEventResource (&mProcessor, Type, Resource);
}

BOOLEAN
StmPageIsExecutives (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  )
{
  return (BOOLEAN)((Page >= FIRST_PAGE) && (Page < FIRST_PAGE + PAGES * SIZE_4KB));
}

VOID *
StmOpenWindow (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN BOOLEAN              Writable
  )
{
  UINT64  Number;

  Number      = (Page - FIRST_PAGE) / SIZE_4KB;
  TestFaults += (mOpen != 0) || (Number >= PAGES) || ((Page % SIZE_4KB) != 0);
  mOpen       = 1;
  if (Number >= PAGES) {
    return mCopy;
  }

  //
  // What is written to a window that is open for reads is lost, and found.
  //
  __builtin_memcpy (mCopy, TestMemory[Number], SIZE_4KB);
  return Writable ? TestMemory[Number] : mCopy;
}

VOID
StmCloseWindow (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  TestFaults += (mOpen == 0);
  mOpen       = 0;
}

VOID
EFIAPI
CpuPause (
  VOID
  )
{
  //
  // There is one processor: a lock that it does not get is one that it has not released.
  //
  __builtin_trap ();
}
