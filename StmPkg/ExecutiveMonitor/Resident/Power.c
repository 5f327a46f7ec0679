/** @file
  The end: before the platform sleeps or is reset, the STM is stopped and VMX
  operation left on every processor.

  A processor may be anywhere in its guest, halted with interrupts off or waiting
  for a start-up IPI. INIT exits from all of these but the last, where only a SIPI
  does ("Other Causes of VM Exits", 25.2 [26.2]); in VMX root operation INIT waits.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

///
/// How often to look whether the others have left, before going on without them.
///
#define LEAVE_WAIT_LIMIT  1000000000

/**
  Leave VMX operation, one processor at a time.

  @param[in,out] Processor  This processor.
**/
STATIC
VOID
ExecLeaveInTurn (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  ExecLock (&Processor->Shared->LeaveLock);
  if (ExecLeaveVmx (Processor) != ExecOk) {
    EXEC_RECORD ("leave-failed", "cpu=%u detail=0x%lx", Processor->Number, Processor->Detail);
  }

  ExecUnlock (&Processor->Shared->LeaveLock);
  InterlockedDecrement (&Processor->Shared->Guests);
}

/**
  Leave VMX operation and halt until the platform's end. Does not return.

  @param[in,out] Processor  This processor.
**/
STATIC
VOID
ExecLeaveAndHalt (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  ExecLeaveInTurn (Processor);
  AsmHalt ();
}

/**
  Leave VMX operation on all processors, because the platform is about to sleep or
  to be reset. The other processors halt; this one returns, in VMX root operation
  no longer.

  @param[in,out] Processor  This processor.
  @param[in]     Event      Name of what is about to happen, for the record.
**/
VOID
ExecLeaveEverywhere (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     CONST CHAR8     *Event
  )
{
  EXEC_PARAMETERS  *Shared;
  UINTN            Count;

  Shared = Processor->Shared;
  if (InterlockedCompareExchange32 (&Shared->Leaving, 0, 1) != 0) {
    //
    // Two processors at once: the first one's end is the platform's.
    //
    ExecLeaveAndHalt (Processor);
  }

  EXEC_RECORD (
    "power",
    "event=%a cpu=%u rip=0x%lx published=0x%lx",
    Event,
    Processor->Number,
    VmRead (VMCS_GUEST_RIP),
    Shared->Published
    );
  if (Shared->Guests > 1) {
    ExecSendIpi (EXEC_IPI_OTHERS_INIT);
    ExecSendIpi (EXEC_IPI_OTHERS_SIPI);
  }

  for (Count = 0; (Shared->Guests > 1) && (Count < LEAVE_WAIT_LIMIT); Count++) {
    CpuPause ();
  }

  if (Shared->Guests > 1) {
    EXEC_RECORD ("power-timeout", "left=%u", Shared->Guests - 1);
  }

  ExecLeaveInTurn (Processor);

  //
  // If it is a sleep the guest wakes without us, and can know that.
  //
  ExecPublish (Shared, ExecStateOff, FALSE);
}

/**
  Leave VMX operation and halt, if another processor has asked for it: the first
  thing that exits on INIT and SIPI do.

  @param[in,out] Processor  This processor.
**/
VOID
ExecLeaveIfAsked (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  if (Processor->Shared->Leaving != 0) {
    ExecLeaveAndHalt (Processor);
  }
}
