/** @file
  The STM's event log: MANAGE_EVENT_LOG, and what is in the log's pages (StmApi.h).

  The pages are ours and not the guest's: a guest could otherwise change what the STM
  tells of it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

#define PAGE_ENTRIES  (SIZE_4KB / STM_LOG_ENTRY_SIZE)

///
/// LOG_ENTRY_HEADER, the 16 bits behind Type.
///
#define ENTRY_FLAGS  3            ///< as an index of UINT16s
#define ENTRY_LOCK   BIT0
#define ENTRY_READ   BIT2

///
/// The STM holds an entry for as long as it takes to write 256 bytes.
///
#define MOST_TRIES  100000

/**
  MANAGE_EVENT_LOG. A new log gets pages of our own.

  @param[in,out] Processor    This processor, a guest; Detail is set on failure.
  @param[in]     SubFunction  STM_EVENT_LOG_MANAGEMENT_REQUEST_*.
  @param[in]     Value        PageCount, at most EXEC_LOG_PAGES, or EventEnableBitmap.

  @retval ExecOk                Done.
  @retval ExecStmRefused        Detail is the STM's status.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecManageLog (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT32          SubFunction,
  IN     UINT32          Value
  )
{
  EXEC_PARAMETERS                   *Shared;
  STM_EVENT_LOG_MANAGEMENT_REQUEST  *Request;
  EXEC_RESULT                       Result;
  UINT32                            Index;

  Processor->Detail = 0;
  if (!Processor->StmActive) {
    return ExecActivationFailed;
  }

  Shared  = Processor->Shared;
  Request = (STM_EVENT_LOG_MANAGEMENT_REQUEST *)(UINTN)Processor->ResourceList;
  ZeroMem (Request, SIZE_4KB);
  Request->SubFunctionIndex       = SubFunction;
  Request->Data.EventEnableBitmap = Value;
  if (SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
    for (Index = 0; Index < EXEC_LOG_PAGES; Index++) {
      Request->Data.LogBuffer.Pages[Index] = Shared->LogPages + (UINT64)Index * SIZE_4KB;
    }
  }

  Result = ExecCallStm (STM_API_MANAGE_EVENT_LOG, Processor->ResourceList, Processor);
  if (Result == ExecOk) {
    if (SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
      Shared->LogPageCount = Value;
    } else if (SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_DELETE_LOG) {
      Shared->LogPageCount = 0;
    }
  }

  return Result;
}

/**
  Copy an entry of the event log to ResourceList, and mark the entry as read.

  @param[in] Processor  This processor.
  @param[in] Place      Of the entry, from 0.

  @retval EXEC_HYPERCALL_SUCCESS    It is there.
  @retval EXEC_HYPERCALL_BAD_INPUT  There is no log, or no such place in it.
  @retval EXEC_HYPERCALL_BUSY       Another processor's STM writes there.
**/
UINT32
ExecReadLog (
  IN CONST EXEC_PROCESSOR  *Processor,
  IN UINT64                Place
  )
{
  volatile UINT16  *Entry;
  UINT16           Flags;
  UINTN            Tries;

  if (Place >= (UINT64)Processor->Shared->LogPageCount * PAGE_ENTRIES) {
    return EXEC_HYPERCALL_BAD_INPUT;
  }

  //
  // Lock keeps the STM of another processor from the entry; an event that comes then is
  // lost, and the next serial number shows it.
  //
  Entry = (volatile UINT16 *)(UINTN)(Processor->Shared->LogPages + Place * STM_LOG_ENTRY_SIZE);
  for (Tries = 0; ; Tries++) {
    Flags = Entry[ENTRY_FLAGS];
    if (((Flags & ENTRY_LOCK) == 0) &&
        (InterlockedCompareExchange16 (&Entry[ENTRY_FLAGS], Flags, Flags | ENTRY_LOCK) == Flags))
    {
      break;
    }

    if (Tries == MOST_TRIES) {
      return EXEC_HYPERCALL_BUSY;
    }

    CpuPause ();
  }

  CopyMem ((VOID *)(UINTN)Processor->ResourceList, (CONST VOID *)Entry, STM_LOG_ENTRY_SIZE);
  ((UINT16 *)(UINTN)Processor->ResourceList)[ENTRY_FLAGS] = Flags;
  Entry[ENTRY_FLAGS]                                      = Flags | ENTRY_READ;
  return EXEC_HYPERCALL_SUCCESS;
}
