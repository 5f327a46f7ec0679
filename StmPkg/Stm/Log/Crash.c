/** @file
  The end: one crash record, then a platform reset. Allocates nothing, and works
  before the STM has its own tables.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"
#include <Library/SynchronizationLib.h>

///
/// How long a processor that has crashed gives others to do the same, in PAUSE
/// instructions: what brings down one of several often brings down all of them,
/// and the reset would cut their records off.
///
#define OTHERS_PAUSES       300000
#define OTHERS_MOST_PAUSES  10000000

///
/// In the order of STM_CRASH_CLASS.
///
STATIC CONST CHAR8  mClassNames[][24] = {
  "entry-failure",
  "unexpected-exit",
  "exception",
  "handler-triple-fault",
  "image-modified",
  "bad-state",
  "protection-exception",
  "handler-timeout",
  "snapshot-full"
};

/**
  Wait for the crash records of other processors, then keep any record from being
  begun: the reset must find no line half written.

  @param[in] Processor  This processor.
**/
STATIC
VOID
WaitForOthers (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  STM_SHARED  *Shared;
  UINT32      Pauses;

  Shared = Processor->Shared;
  if (*(volatile UINT32 *)&Shared->Inside > 1) {
    for (Pauses = 0; Pauses < OTHERS_MOST_PAUSES; Pauses++) {
      if ((Pauses >= OTHERS_PAUSES) && (*(volatile UINT32 *)&Shared->Crashing == 0)) {
        break;
      }

      CpuPause ();
    }
  }

  StmLockRecords (Processor, TRUE);
}

/**
  Write the crash record and reset the platform. Does not return.

  @param[in] Processor      This processor, NULL while it has no block.
  @param[in] Class          Why.
  @param[in] Reason         Exit reason, exception vector, or 0.
  @param[in] Qualification  Exit qualification, or 0.
  @param[in] Rip            RIP of the failing code.
  @param[in] Error          VM-instruction error, exception error code, or STM_BAD_STATE.
**/
VOID
StmCrash (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_CRASH_CLASS      Class,
  IN UINT64               Reason,
  IN UINT64               Qualification,
  IN UINT64               Rip,
  IN UINT64               Error
  )
{
  if (Processor != NULL) {
    InterlockedIncrement (&Processor->Shared->Crashing);
    if (!StmLockRecords (Processor, TRUE)) {
      //
      // Whoever was writing, the line ends here: the crash record is one of its own.
      //
      StmRecordEndLine (STM_RECORD_PORT_STM);
    }
  }

  //
  // The crash record first: what comes after may fail.
  //
  STM_RECORD_UNLOCKED (
    "crash",
    "class=%a cpu=%u reason=0x%lx qual=0x%lx rip=0x%lx error=0x%lx cr2=0x%lx",
    mClassNames[Class],
    (Processor == NULL) ? 0 : Processor->Slot,
    Reason,
    Qualification,
    Rip,
    Error,
    (UINT64)AsmReadCr2 ()
    );

  //
  // An exception may mean that the ring is not readable. Of the others' parts of
  // it nothing is written: they may be writing them.
  //
  if ((Processor != NULL) && (Class != StmCrashException)) {
    StmRingFlush ((STM_PROCESSOR *)Processor);
  }

  if (Processor != NULL) {
    StmUnlockRecords (Processor, TRUE);
    InterlockedDecrement (&Processor->Shared->Crashing);
    WaitForOthers (Processor);
  }

  VmxResetPlatform ();
}

/**
  Crash on behalf of the exit recorded in the current VMCS.

  @param[in] Processor  This processor.
  @param[in] Class      Why.
**/
VOID
StmCrashFromVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_CRASH_CLASS      Class
  )
{
  StmCrash (
    Processor,
    Class,
    VmRead (VMCS_EXIT_REASON),
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    VmRead (VMCS_INSTRUCTION_ERROR)
    );
}
