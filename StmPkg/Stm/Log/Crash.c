/** @file
  The end: one crash record, then a platform reset. Allocates nothing, takes no
  lock, and works before the STM has its own tables.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"

///
/// In the order of STM_CRASH_CLASS.
///
STATIC CONST CHAR8  mClassNames[][24] = {
  "entry-failure",
  "unexpected-exit",
  "exception",
  "handler-triple-fault",
  "image-modified",
  "bad-state"
};

/**
  Write the crash record and reset the platform. Does not return.

  @param[in] Shared         Shared state, NULL while there is none.
  @param[in] Class          Why.
  @param[in] Processor      Slot of the processor.
  @param[in] Reason         Exit reason, exception vector, or 0.
  @param[in] Qualification  Exit qualification, or 0.
  @param[in] Rip            RIP of the failing code.
  @param[in] Error          VM-instruction error, exception error code, or STM_BAD_STATE.
**/
VOID
StmCrash (
  IN STM_SHARED       *Shared,
  IN STM_CRASH_CLASS  Class,
  IN UINT32           Processor,
  IN UINT64           Reason,
  IN UINT64           Qualification,
  IN UINT64           Rip,
  IN UINT64           Error
  )
{
  //
  // The crash record first: what comes after may fail.
  //
  STM_RECORD (
    "crash",
    "class=%a cpu=%u reason=0x%lx qual=0x%lx rip=0x%lx error=0x%lx cr2=0x%lx",
    mClassNames[Class],
    Processor,
    Reason,
    Qualification,
    Rip,
    Error,
    (UINT64)AsmReadCr2 ()
    );

  //
  // An exception may mean that the ring is not readable.
  //
  if ((Shared != NULL) && (Class != StmCrashException)) {
    StmRingFlush (Shared);
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
    Processor->Shared,
    Class,
    Processor->Slot,
    VmRead (VMCS_EXIT_REASON),
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    VmRead (VMCS_INSTRUCTION_ERROR)
    );
}
