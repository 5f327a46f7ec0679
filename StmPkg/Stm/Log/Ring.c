/** @file
  Ring of binary records: what the STM writes on the path of a plain SMI.

  Each processor has a part of its own, which it alone writes and turns into
  lines: no lock, no atomic instruction, and no record that two of them write.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"

///
/// Names of STM_RING_TYPE in line records.
///
STATIC CONST CHAR8  mTypeNames[][8] = { "none", "smi", "exit", "api", "state" };

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
  )
{
  STM_RING_RECORD  *Record;
  UINT32           Sequence;

  Sequence                = Processor->RingSequence;
  Processor->RingSequence = Sequence + 1;
  Record                  = &Processor->Ring[Sequence & Processor->RingMask];
  Record->Time            = AsmReadTsc ();
  Record->Sequence        = Sequence;
  Record->Type            = (UINT16)Type;
  Record->Processor       = (UINT16)Processor->Slot;
  Record->Reason          = Reason;
  Record->Qualification   = Qualification;
  Record->Rip             = Rip;
  Record->Address         = Address;
}

/**
  Write all records that the processor's part of the ring still holds and that
  were not written before to the record port.

  @param[in,out] Processor  This processor.
**/
VOID
StmRingFlush (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  CONST STM_RING_RECORD  *Record;
  UINT32                 Sequence;
  BOOLEAN                Taken;

  Sequence = Processor->RingFlushed;
  if (Processor->RingSequence - Sequence > Processor->RingMask + 1) {
    Sequence = Processor->RingSequence - (Processor->RingMask + 1);
  }

  for ( ; Sequence != Processor->RingSequence; Sequence++) {
    Record = &Processor->Ring[Sequence & Processor->RingMask];
    if ((Record->Type == StmRingNone) || (Record->Type >= ARRAY_SIZE (mTypeNames))) {
      continue;
    }

    //
    // The lock for a line at a time: others with something to say need not wait
    // for the whole ring.
    //
    Taken = StmLockRecords (Processor, FALSE);
    StmRecordAt (
      STM_RECORD_PORT_STM,
      "STM",
      mTypeNames[Record->Type],
      Record->Time,
      "cpu=%u seq=%u reason=0x%lx rip=0x%lx qual=0x%lx address=0x%lx",
      (UINT32)Record->Processor,
      Record->Sequence,
      Record->Reason,
      Record->Rip,
      Record->Qualification,
      Record->Address
      );
    StmUnlockRecords (Processor, Taken);
  }

  Processor->RingFlushed = Sequence;
}
