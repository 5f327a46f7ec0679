/** @file
  Processors that run the STM's session code, one access to shared memory at a
  time, in the order that a test gives.

  Each processor is a coroutine with a stack of its own. It stops before every
  access to a shared word (Session.c, with its volatile accesses made calls), and
  where it enters or leaves something. All that can change is in mState, so that a
  test can save and restore it, and search through everything that can happen.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Session/Session.h"

#define PROCESSORS  3
#define STACK_SIZE  1024

///
/// What a processor waits to do.
///
enum {
  PointOutside = 1,  ///< comes in, if the test lets it
  PointChoice  = 2,  ///< its call is INITIALIZE_PROTECTION (1) or START (0)
  PointStep    = 3
};

typedef struct {
  UINT64    Rsp;          ///< of the coroutine while it does not run
  UINT32    Point;
  UINT32    Choice;       ///< what the test has chosen
  UINT8     OnTables;     ///< uses the STM's own page tables, IDT and so on
  UINT8     Counted;      ///< has counted itself in and not out
  UINT8     InBlock;      ///< uses its block
  UINT8     Member;
  UINT8     Stack[STACK_SIZE] __attribute__ ((aligned (16)));
} TEST_PROCESSOR;

typedef struct {
  UINT32            Lock;
  UINT32            Inside;
  UINT32            Session;
  UINT32            Limit;
  UINT32            Building;     ///< number of the processor that builds, + 1
  UINT32            Built;
  TEST_PROCESSOR    Processors[PROCESSORS];
} TEST_STATE;

STATIC TEST_STATE  mState;
STATIC STM_SHARED  mShared;
STATIC UINT64      mScheduler;
STATIC UINT32      mRunning;
STATIC CHAR8       mOrder[16];     ///< steps of the way out, from Leave.nasm
STATIC UINT32      mTouchBlocks;   ///< a build writes to blocks, as it once did
CONST CHAR8        *TestFault;
UINT32             TestStatuses;    ///< bit 0 success, 1 unspecified, 2 stopped, 3 out of resources

VOID
TestSwitch (
  OUT UINT64  *From,
  IN  UINT64  To
  );

__asm__ (
  ".text\n"
  ".globl TestSwitch\n"
  "TestSwitch:\n"
  "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
  "  mov %rsp, (%rdi)\n"
  "  mov %rsi, %rsp\n"
  "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"
  "  ret\n"
  );

STATIC
VOID
Fault (
  IN CONST CHAR8  *Text
  )
{
  if (TestFault == NULL) {
    TestFault = Text;
  }
}

STATIC
TEST_PROCESSOR *
Own (
  VOID
  )
{
  return &mState.Processors[mRunning];
}

/**
  Stop before what comes next, and check what must hold when it happens.
**/
STATIC
VOID
Stop (
  IN UINT32  Point
  )
{
  TEST_PROCESSOR  *Processor;

  Processor        = Own ();
  Processor->Point = Point;
  TestSwitch (&Processor->Rsp, mScheduler);
  if (Own ()->OnTables && (mState.Building != 0) && (mState.Building != mRunning + 1)) {
    Fault ("what all share is rebuilt under a processor that uses it");
  }
}

STATIC
VOID
BuildStep (
  VOID
  )
{
  UINT32  Index;

  for (Index = 0; Index < PROCESSORS; Index++) {
    if ((Index != mRunning) && mState.Processors[Index].OnTables) {
      Fault ("what all share is rebuilt under a processor that uses it");
    }

    if ((Index != mRunning) && (mTouchBlocks != 0) && mState.Processors[Index].InBlock) {
      Fault ("a block is written under its processor");
    }
  }
}

STATIC
VOID
Build (
  VOID
  )
{
  if (mState.Building != 0) {
    Fault ("two processors build");
  }

  mState.Built    = 0;
  mState.Building = mRunning + 1;
  BuildStep ();
  Stop (PointStep);
  BuildStep ();
  mState.Building = 0;
  mState.Built    = 1;
}

/**
  The way out, in the order of Leave.nasm: T page tables, R registers, C count, E
  VM entry.
**/
STATIC
VOID
Leave (
  VOID
  )
{
  UINTN  Index;

  for (Index = 0; mOrder[Index] != '\0'; Index++) {
    Stop (PointStep);
    switch (mOrder[Index]) {
      case 'T':
        Own ()->OnTables = FALSE;
        break;
      case 'C':
        if (mShared.Inside == 0) {
          Fault ("counted out more often than in");
        }

        mShared.Inside--;
        Own ()->Counted = FALSE;
        break;
      case 'E':
        Own ()->OnTables = FALSE;
        Own ()->InBlock  = FALSE;
        break;
      default:
        break;
    }
  }
}

STATIC
VOID
Call (
  VOID
  )
{
  UINT32  Status;

  Stop (PointChoice);
  Status = StmSessionJoin (&mShared, (BOOLEAN)Own ()->Choice);
  switch (Status) {
    case STM_SUCCESS:
      TestStatuses |= BIT0;
      break;
    case (UINT32)ERROR_STM_UNSPECIFIED:
      TestStatuses |= BIT1;
      return;
    case (UINT32)ERROR_STM_STOPPED:
      TestStatuses |= BIT2;
      return;
    case (UINT32)ERROR_STM_OUT_OF_RESOURCES:
      TestStatuses |= BIT3;
      return;
    default:
      Fault ("a status that is none of the session's");
      return;
  }

  if (!mState.Built || (mState.Building != 0)) {
    Fault ("member of a session that is not built");
  }

  Stop (PointStep);
  StmSessionPart (&mShared);
}

STATIC
VOID
ProcessorMain (
  VOID
  )
{
  for ( ; ;) {
    Stop (PointOutside);
    do {
      Stop (PointStep);
    } while (mShared.Lock != 0);

    mShared.Lock    = 1;
    Own ()->InBlock = TRUE;
    if (StmSessionEnter (&mShared)) {
      Build ();
      StmSessionReady (&mShared);
    }

    Stop (PointStep);
    Own ()->OnTables = TRUE;
    mShared.Lock     = 0;
    Call ();
    Leave ();
  }
}

/**
  The access itself comes behind the stop: it is one step.
**/
UINT32 *
TestAccess (
  IN VOID  *Word
  )
{
  Stop (PointStep);
  return Word;
}

UINT32
EFIAPI
InterlockedIncrement (
  IN volatile UINT32  *Value
  )
{
  Stop (PointStep);
  if (Value == &mShared.Inside) {
    Own ()->Counted = TRUE;
  }

  return ++*Value;
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

  Stop (PointStep);
  Old = *Value;
  if (Old == CompareValue) {
    *Value = ExchangeValue;
    if ((ExchangeValue & STM_SESSION_PHASE) == STM_SESSION_OVER) {
      Own ()->Member = FALSE;
    } else {
      Own ()->Member = (BOOLEAN)((ExchangeValue & STM_SESSION_MEMBERS) > (Old & STM_SESSION_MEMBERS));
    }
  }

  return Old;
}

VOID
EFIAPI
CpuPause (
  VOID
  )
{
  Stop (PointStep);
}

/**
  What must hold between any two steps.
**/
STATIC
VOID
CheckCounts (
  VOID
  )
{
  UINT32  Index;
  UINT32  Counted;
  UINT32  Members;

  Counted = 0;
  Members = 0;
  for (Index = 0; Index < PROCESSORS; Index++) {
    Counted += mState.Processors[Index].Counted;
    Members += mState.Processors[Index].Member;
  }

  if (Counted != mShared.Inside) {
    Fault ("the count of those inside is wrong");
  }

  if (Members != (mShared.Session & STM_SESSION_MEMBERS)) {
    Fault ("the count of members is wrong");
  }

  if (Members > mShared.ProcessorLimit) {
    Fault ("more members than there is room for");
  }

  if ((Members != 0) != ((mShared.Session & STM_SESSION_PHASE) == STM_SESSION_OPEN)) {
    Fault ("a session is open exactly while it has members");
  }
}

VOID
TestStart (
  IN UINT32       Processors,
  IN UINT32       Limit,
  IN CONST CHAR8  *Order,
  IN UINT32       TouchBlocks
  )
{
  UINT64  *Top;

  __builtin_memset (&mState, 0, sizeof (mState));
  __builtin_memset (&mShared, 0, sizeof (mShared));
  __builtin_strcpy (mOrder, Order);
  mTouchBlocks           = TouchBlocks;
  mShared.ProcessorLimit = Limit;
  TestFault              = NULL;
  TestStatuses           = 0;
  for (mRunning = 0; mRunning < Processors; mRunning++) {
    //
    // As if called with an aligned stack; six registers below the entry point.
    //
    Top           = (UINT64 *)(Own ()->Stack + STACK_SIZE) - 2;
    *Top          = (UINT64)(UINTN)ProcessorMain;
    Own ()->Rsp   = (UINT64)(UINTN)(Top - 6);
    Own ()->Point = PointStep;
    TestSwitch (&mScheduler, Own ()->Rsp);
  }
}

/**
  Let a processor do its next step.

  @return What it waits for then.
**/
UINT32
TestStep (
  IN UINT32  Processor,
  IN UINT32  Choice
  )
{
  UINT8  *Used;

  mRunning       = Processor;
  Own ()->Choice = Choice;
  TestSwitch (&mScheduler, Own ()->Rsp);
  Own ()->Choice = 0;

  //
  // What lies below the stack pointer has no meaning, but would tell equal states
  // from each other.
  //
  Used = (UINT8 *)(UINTN)Own ()->Rsp;
  __builtin_memset (Own ()->Stack, 0, (UINTN)(Used - Own ()->Stack));
  CheckCounts ();
  return Own ()->Point;
}

UINT32
TestSize (
  VOID
  )
{
  return sizeof (mState);
}

VOID
TestSave (
  OUT VOID  *Buffer
  )
{
  mState.Lock    = mShared.Lock;
  mState.Inside  = mShared.Inside;
  mState.Session = mShared.Session;
  mState.Limit   = mShared.ProcessorLimit;
  __builtin_memcpy (Buffer, &mState, sizeof (mState));
}

VOID
TestRestore (
  IN CONST VOID  *Buffer
  )
{
  __builtin_memcpy (&mState, Buffer, sizeof (mState));
  mShared.Lock           = mState.Lock;
  mShared.Inside         = mState.Inside;
  mShared.Session        = mState.Session;
  mShared.ProcessorLimit = mState.Limit;
}

UINT32
TestPoint (
  IN UINT32  Processor
  )
{
  return mState.Processors[Processor].Point;
}
