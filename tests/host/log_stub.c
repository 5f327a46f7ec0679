/** @file
  What Log/ of the STM needs from the processor, for tests on the host: a port
  that collects bytes, a clock that counts calls.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log/Log.h"
#include <Library/IoLib.h>
#include <Library/SynchronizationLib.h>

#define TEXT_LIMIT  0x40000

CHAR8          TestText[TEXT_LIMIT];
UINT32         TestTextLength;
UINT32         TestWrongPort;
UINT32         TestResets;
STATIC UINT64  mClock;
STATIC UINT8   mDynamic[STM_DYNAMIC_SHARED_SIZE];

STATIC STM_PROCESSOR  mProcessor;

/**
  Start over.
**/
VOID
TestStart (
  VOID
  )
{
  STM_SHARED  *Shared;

  __builtin_memset (mDynamic, 0, sizeof (mDynamic));
  TestTextLength    = 0;
  TestWrongPort     = 0;
  TestResets        = 0;
  mClock            = 1000;
  Shared            = (STM_SHARED *)mDynamic;
  Shared->Dynamic   = (UINT64)(UINTN)mDynamic;
  mProcessor.Shared = Shared;
  mProcessor.Slot   = 3;
}

/**
  Put one record into the ring.
**/
VOID
TestRing (
  IN UINT32  Type,
  IN UINT64  Reason,
  IN UINT64  Qualification,
  IN UINT64  Rip,
  IN UINT64  Address
  )
{
  StmRing (&mProcessor, (STM_RING_TYPE)Type, Reason, Qualification, Rip, Address);
}

VOID
TestFlush (
  VOID
  )
{
  StmRingFlush (mProcessor.Shared);
}

VOID
TestCrash (
  IN UINT32  Class,
  IN UINT64  Reason
  )
{
  StmCrash (mProcessor.Shared, (STM_CRASH_CLASS)Class, 1, Reason, 2, 3, 4);
}

UINT8
EFIAPI
IoWrite8 (
  IN UINTN  Port,
  IN UINT8  Value
  )
{
  TestWrongPort += (Port != STM_RECORD_PORT_STM);
  if (TestTextLength < TEXT_LIMIT) {
    TestText[TestTextLength++] = (CHAR8)Value;
  }

  return Value;
}

UINT32
EFIAPI
InterlockedIncrement (
  IN volatile UINT32  *Value
  )
{
  return ++*Value;
}

UINT64
EFIAPI
AsmReadTsc (
  VOID
  )
{
  return mClock++;
}

UINTN
EFIAPI
AsmReadCr2 (
  VOID
  )
{
  return 0xC2;
}

VOID
EFIAPI
VmxResetPlatform (
  VOID
  )
{
  TestResets++;
}

UINT64
EFIAPI
VmRead (
  IN UINT64  Field
  )
{
  return Field;
}

UINT64
EFIAPI
DivU64x32Remainder (
  IN  UINT64  Dividend,
  IN  UINT32  Divisor,
  OUT UINT32  *Remainder  OPTIONAL
  )
{
  *Remainder = (UINT32)(Dividend % Divisor);
  return Dividend / Divisor;
}
