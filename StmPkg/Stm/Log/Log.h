/** @file
  Log/: records in the ring and on the record port, and the crash record.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_LOG_H_
#define STM_LOG_H_

#include "StmState.h"
#include <Library/StmRecordLib.h>

///
/// Write one line record, under the lock of the record port.
///
#define STM_RECORD(Processor, Event, ...)                                      \
  do {                                                                         \
    BOOLEAN  RecordTaken;                                                      \
    RecordTaken = StmLockRecords (Processor, FALSE);                           \
    STM_RECORD_UNLOCKED (Event, __VA_ARGS__);                                  \
    StmUnlockRecords (Processor, RecordTaken);                                 \
  } while (FALSE)

#define STM_RECORD_UNLOCKED(Event, ...)  StmRecord (STM_RECORD_PORT_STM, "STM", Event, __VA_ARGS__)

///
/// Why the STM cannot go on. Names in crash records: Crash.c.
///
typedef enum {
  StmCrashEntryFailure,
  StmCrashUnexpectedExit,
  StmCrashException,
  StmCrashHandlerTripleFault,
  StmCrashImageModified,
  StmCrashBadState,
  StmCrashProtectionException,
  StmCrashHandlerTimeout,
  StmCrashSnapshotFull
} STM_CRASH_CLASS;

///
/// What is wrong, in the error= of a crash record of class bad-state.
///
typedef enum {
  StmBadLoaderData       = 1,   ///< the loader's data contradict each other or the processor
  StmBadPageTables       = 2,   ///< the STM's page tables do not fit into their pages
  StmBadProtection       = 3,   ///< no EPT as the STM needs it
  StmBadProcessorCount   = 4,   ///< more processors than even the blocks that serve to refuse them
  StmBadActivatingVmcs   = 5,   ///< qual: its address, not readable
  StmBadOwnVmcs          = 6,   ///< qual: address of a VMCS in MSEG that the processor refuses
  StmBadPsd              = 7,   ///< qual: SMBASE whose PSD is malformed or outside the handler's SMRAM
  StmBadExecutivePointer = 8,   ///< qual: executive-VMCS pointer, in SMRAM, and nobody can be told
  StmBadSmbase           = 9    ///< qual: SMBASE that the handler wrote to the save state
} STM_BAD_STATE;

/**
  Take the lock of the record port.

  @param[in] Processor  This processor.
  @param[in] Crash      TRUE to take it by force if it is not to be had.

  @retval TRUE   Taken.
  @retval FALSE  This processor had it already, for a record within which the
                 caller was called or has crashed; or it took it by force.
**/
BOOLEAN
StmLockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Crash
  );

/**
  Release the lock of the record port.

  @param[in] Processor  This processor.
  @param[in] Taken      What StmLockRecords has returned: FALSE leaves the lock as
                        it is.
**/
VOID
StmUnlockRecords (
  IN CONST STM_PROCESSOR  *Processor,
  IN BOOLEAN              Taken
  );

/**
  Put a record into the processor's part of the ring.

  @param[in,out] Processor      This processor.
  @param[in]     Type           STM_RING_TYPE.
  @param[in]     Reason         Exit reason field, or API number.
  @param[in]     Qualification  Exit qualification, or status.
  @param[in]     Rip            RIP of the interrupted code.
  @param[in]     Address        See STM_RING_TYPE.
**/
VOID
StmRing (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_RING_TYPE  Type,
  IN     UINT64         Reason,
  IN     UINT64         Qualification,
  IN     UINT64         Rip,
  IN     UINT64         Address
  );

/**
  Write all records that the processor's part of the ring still holds and that
  were not written before to the record port.

  @param[in,out] Processor  This processor.
**/
VOID
StmRingFlush (
  IN OUT STM_PROCESSOR  *Processor
  );

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
  );

/**
  Crash on behalf of the exit recorded in the current VMCS.

  @param[in] Processor  This processor.
  @param[in] Class      Why.
**/
VOID
StmCrashFromVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_CRASH_CLASS      Class
  );

#endif
