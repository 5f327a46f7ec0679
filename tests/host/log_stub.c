/** @file
  What Log/ of the STM needs from the processor, for tests on the host: a port
  that collects bytes, a clock that counts calls. Processors take turns where the
  STM waits, and where a test says so: at each byte of a record.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log/Log.h"
#include <Library/IoLib.h>
#include <Library/SynchronizationLib.h>

#define TEXT_LIMIT  0x40000
#define PROCESSORS  3

CHAR8   TestText[TEXT_LIMIT];
UINT32  TestTextLength;
UINT32  TestWrongPort;
UINT32  TestResets;
UINT32  TestLocks;                          ///< how often the lock was taken
VOID    (*TestTurn)(
  UINT32  Point
  );                                        ///< another processor's turn: 0 at a wait, 1 at a byte, 2 at a reset
STATIC UINT64  mClock;
STATIC UINT32  mPauses;
UINT32         TestRecords = STM_RING_MOST_PAGES * STM_RECORDS_A_PAGE;
STATIC UINT8   mDynamic[STM_DYNAMIC_SHARED_SIZE];

STATIC STM_PROCESSOR    mProcessors[PROCESSORS];
STATIC STM_RING_RECORD  mRing[STM_RING_MOST_PAGES * STM_RECORDS_A_PAGE];
STATIC STM_RING_RECORD  mShortRing[STM_BLOCK_RING_RECORDS];

STATIC
VOID
Turn (
  IN UINT32  Point
  )
{
  if (TestTurn != NULL) {
    TestTurn (Point);
  }
}

/**
  Start over, with a number of processors that share the ring as the STM does it.
  Slots count from 3; the last processor has the short ring.
**/
VOID
TestStart (
  IN UINT32  Parts
  )
{
  STM_SHARED  *Shared;
  UINT32      Index;

  __builtin_memset (mDynamic, 0, sizeof (mDynamic));
  __builtin_memset (mRing, 0, sizeof (mRing));
  TestTextLength      = 0;
  TestWrongPort       = 0;
  TestResets          = 0;
  TestLocks           = 0;
  mClock              = 1000;
  Shared              = (STM_SHARED *)mDynamic;
  Shared->Dynamic     = (UINT64)(UINTN)mDynamic;
  Shared->Inside      = 1;
  Shared->RingRecords = TestRecords / Parts;
  for (Index = 0; Index < PROCESSORS; Index++) {
    __builtin_memset (&mProcessors[Index], 0, sizeof (mProcessors[Index]));
    mProcessors[Index].Shared   = Shared;
    mProcessors[Index].Slot     = 3 + Index;
    mProcessors[Index].Ring     = mRing + Index * Shared->RingRecords;
    mProcessors[Index].RingMask = Shared->RingRecords - 1;
  }

  if (Parts > 1) {
    mProcessors[PROCESSORS - 1].Ring     = mShortRing;
    mProcessors[PROCESSORS - 1].RingMask = STM_BLOCK_RING_RECORDS - 1;
  }
}

/**
  Put one record into a processor's part of the ring.
**/
VOID
TestRing (
  IN UINT32  Processor,
  IN UINT32  Type,
  IN UINT64  Reason,
  IN UINT64  Qualification,
  IN UINT64  Rip,
  IN UINT64  Address
  )
{
  StmRing (&mProcessors[Processor], (STM_RING_TYPE)Type, Reason, Qualification, Rip, Address);
}

VOID
TestFlush (
  IN UINT32  Processor
  )
{
  StmRingFlush (&mProcessors[Processor]);
}

VOID
TestRecord (
  IN UINT32  Processor,
  IN UINT64  Value
  )
{
  STM_RECORD (&mProcessors[Processor], "start", "cpu=%u value=0x%lx", mProcessors[Processor].Slot, Value);
}

VOID
TestUnlocked (
  IN UINT32  Processor,
  IN UINT64  Value
  )
{
  STM_RECORD_UNLOCKED ("start", "cpu=%u value=0x%lx", mProcessors[Processor].Slot, Value);
}

/**
  A processor has the lock and does not release it.
**/
VOID
TestHold (
  IN UINT32  Processor
  )
{
  ((STM_SHARED *)mDynamic)->RecordLock = mProcessors[Processor].Slot + 1;
}

VOID
TestInside (
  IN UINT32  Inside
  )
{
  ((STM_SHARED *)mDynamic)->Inside = Inside;
}

UINT32
TestLockOwner (
  VOID
  )
{
  return ((STM_SHARED *)mDynamic)->RecordLock;
}

VOID
TestCrash (
  IN UINT32  Processor,
  IN UINT32  Class,
  IN UINT64  Reason
  )
{
  StmCrash (&mProcessors[Processor], (STM_CRASH_CLASS)Class, Reason, 2, 3, 4);
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

  Turn (1);
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

UINT32
EFIAPI
InterlockedDecrement (
  IN volatile UINT32  *Value
  )
{
  return --*Value;
}

UINT32
EFIAPI
InterlockedCompareExchange32 (
  IN OUT volatile UINT32  *Value,
  IN     UINT32           CompareValue,
  IN     UINT32           ExchangeValue
  )
{
  UINT32  Old;

  Old = *Value;
  if (Old == CompareValue) {
    *Value = ExchangeValue;
    TestLocks++;
  }

  return Old;
}

VOID
EFIAPI
CpuPause (
  VOID
  )
{
  //
  // Who waits for a number of pauses shall not take as many turns.
  //
  if (mPauses++ % 10000 == 0) {
    Turn (0);
  }
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
  Turn (2);
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
