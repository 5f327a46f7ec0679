/** @file
  Ring of binary records: what the STM writes on the path of a plain SMI.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"
#include <Library/SynchronizationLib.h>

///
/// Names of STM_RING_TYPE in line records.
///
STATIC CONST CHAR8  mTypeNames[][8] = { "none", "smi", "exit", "api", "state" };

/**
  The place of a record.

  @param[in] Shared    Shared state.
  @param[in] Sequence  Sequence number.

  @return The record.
**/
STATIC
STM_RING_RECORD *
RingPlace (
  IN CONST STM_SHARED  *Shared,
  IN UINT32            Sequence
  )
{
  return (STM_RING_RECORD *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_RING) + Sequence % STM_RING_RECORDS;
}

/**
  Put a record into the ring.

  @param[in] Processor      This processor.
  @param[in] Type           STM_RING_TYPE.
  @param[in] Reason         Exit reason field, or API number.
  @param[in] Qualification  Exit qualification, or status.
  @param[in] Rip            RIP of the interrupted code.
  @param[in] Address        See STM_RING_TYPE.
**/
VOID
StmRing (
  IN CONST STM_PROCESSOR  *Processor,
  IN STM_RING_TYPE        Type,
  IN UINT64               Reason,
  IN UINT64               Qualification,
  IN UINT64               Rip,
  IN UINT64               Address
  )
{
  STM_RING_RECORD  *Record;
  UINT32           Sequence;

  Sequence              = InterlockedIncrement (&Processor->Shared->RingSequence) - 1;
  Record                = RingPlace (Processor->Shared, Sequence);
  Record->Time          = AsmReadTsc ();
  Record->Sequence      = Sequence;
  Record->Type          = (UINT16)Type;
  Record->Processor     = (UINT16)Processor->Slot;
  Record->Reason        = Reason;
  Record->Qualification = Qualification;
  Record->Rip           = Rip;
  Record->Address       = Address;
}

/**
  Write all records that the ring still holds and that were not written before
  to the record port.

  @param[in,out] Shared  Shared state.
**/
VOID
StmRingFlush (
  IN OUT STM_SHARED  *Shared
  )
{
  CONST STM_RING_RECORD  *Record;
  UINT32                 End;
  UINT32                 Sequence;

  End      = Shared->RingSequence;
  Sequence = Shared->RingFlushed;
  if (End - Sequence > STM_RING_RECORDS) {
    Sequence = End - STM_RING_RECORDS;
  }

  for ( ; Sequence != End; Sequence++) {
    Record = RingPlace (Shared, Sequence);
    if ((Record->Type == StmRingNone) || (Record->Type >= ARRAY_SIZE (mTypeNames))) {
      continue;
    }

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
  }

  Shared->RingFlushed = End;
}
