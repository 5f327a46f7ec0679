/** @file
  Entries of the event log, and MANAGE_EVENT_LOG.

  "StmApi.h" has the format: entries of 256 bytes, 16 of them in a page, each with a
  serial number. When the last one is written the first one follows. An entry that the
  executive monitor has not marked as read is overwritten all the same, and says so.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Event.h"
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Session/Session.h"
#include "State/State.h"

#define ENTRY_ROOM  (STM_LOG_ENTRY_SIZE - sizeof (LOG_ENTRY_HEADER))

///
/// LOG_ENTRY_HEADER, the 16 bits behind Type.
///
#define ENTRY_LOCK     BIT0
#define ENTRY_VALID    BIT1
#define ENTRY_READ     BIT2
#define ENTRY_WRAPPED  BIT3
#define ENTRY_FLAGS    3      ///< as an index of UINT16s

///
/// The start of STM_EVENT_LOG_MANAGEMENT_REQUEST.
///
typedef struct {
  UINT32    SubFunction;
  UINT32    Value;     ///< PageCount, or EventEnableBitmap
} EVENT_REQUEST;

STATIC_ASSERT (sizeof (EVENT_REQUEST) + STM_EVENT_PAGES * sizeof (UINT64) <= SIZE_4KB, "a request is one page");
STATIC_ASSERT (EvtMleMax <= 32, "a bit for each event");

/**
  Wait until no other processor uses the log, and keep others from it.

  @param[in,out] Log  The log.
**/
STATIC
VOID
LockLog (
  IN OUT STM_EVENT_LOG  *Log
  )
{
  while (InterlockedCompareExchange32 (&Log->Lock, 0, 1) != 0) {
    CpuPause ();
  }
}

/**
  Let others use the log.

  @param[in,out] Log  The log.
**/
STATIC
VOID
UnlockLog (
  IN OUT STM_EVENT_LOG  *Log
  )
{
  *(volatile UINT32 *) &Log->Lock = 0;
}

/**
  Fill an entry in the executive monitor's memory, which may change at any time.

  @param[out] Entry   The entry.
  @param[in]  Serial  Number of the event.
  @param[in]  Type    EVENT_TYPE.
  @param[in]  Data    What follows the header.
  @param[in]  Size    Bytes, at most ENTRY_ROOM.
**/
STATIC
VOID
FillEntry (
  OUT UINT8       *Entry,
  IN  UINT32      Serial,
  IN  UINT32      Type,
  IN  CONST VOID  *Data,
  IN  UINTN       Size
  )
{
  volatile UINT16  *Header;
  UINT16           Was;

  Header = (volatile UINT16 *)Entry;
  Was    = Header[ENTRY_FLAGS];
  if ((Was & ENTRY_LOCK) != 0) {
    //
    // Somebody reads it. The event is lost, which its serial number shows.
    //
    return;
  }

  Header[ENTRY_FLAGS] = ENTRY_LOCK;
  ZeroMem (Entry + sizeof (LOG_ENTRY_HEADER), ENTRY_ROOM);
  CopyMem (Entry + sizeof (LOG_ENTRY_HEADER), Data, Size);
  *(volatile UINT32 *)Entry = Serial;
  Header[2]                 = (UINT16)Type;
  Header[ENTRY_FLAGS]       = (UINT16)(ENTRY_VALID | (((Was & (ENTRY_VALID | ENTRY_READ)) == ENTRY_VALID) ? ENTRY_WRAPPED : 0));
}

/**
  Write an entry, the log being locked.

  @param[in] Processor  This processor.
  @param[in] Type       EVENT_TYPE.
  @param[in] Data       What follows the header.
  @param[in] Size       Bytes.
**/
STATIC
VOID
WriteEntry (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Type,
  IN CONST VOID           *Data,
  IN UINTN                Size
  )
{
  STM_EVENT_LOG  *Log;
  UINT8          *Page;

  Log  = &Processor->Shared->Events;
  Page = StmOpenWindow (Processor, Log->Pages[Log->Next / STM_EVENT_ENTRIES], TRUE);
  FillEntry (
    Page + (Log->Next % STM_EVENT_ENTRIES) * STM_LOG_ENTRY_SIZE,
    Log->Serial,
    Type,
    Data,
    MIN (Size, ENTRY_ROOM)
    );
  StmCloseWindow (Processor);
  Log->Serial++;
  Log->Next = (Log->Next + 1) % ((UINT64)Log->PageCount * STM_EVENT_ENTRIES);
}

/**
  Write an entry to the event log. Called by STM_EVENT.

  The pages are the executive monitor's as long as a session is open: after it they may
  be anything.

  @param[in] Processor  This processor; its window is closed.
  @param[in] Type       EVENT_TYPE.
  @param[in] Data       What follows the header, see LOG_ENTRY_DATA.
  @param[in] Size       Bytes; what does not fit into an entry is left out.
**/
VOID
StmEventWrite (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Type,
  IN CONST VOID           *Data,
  IN UINTN                Size
  )
{
  STM_SHARED  *Shared;

  Shared = Processor->Shared;
  LockLog (&Shared->Events);
  if (((Shared->Events.Enabled & (1U << Type)) != 0) &&
      ((*(volatile UINT32 *)&Shared->Session & STM_SESSION_PHASE) == STM_SESSION_OPEN))
  {
    WriteEntry (Processor, Type, Data, Size);
  }

  UnlockLog (&Shared->Events);
}

/**
  Write an entry for a resource.

  @param[in] Processor  This processor; its window is closed.
  @param[in] Type       EvtHandledProtectionException and so on.
  @param[in] Resource   The descriptor, well-formed.
**/
VOID
StmEventResource (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Type,
  IN CONST STM_RSC        *Resource
  )
{
  STM_EVENT (Processor, Type, Resource, Resource->Header.Length);
}

/**
  Empty all pages of the log.

  @param[in] Processor  This processor.
**/
STATIC
VOID
ClearPages (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  STM_EVENT_LOG  *Log;
  UINT32         Index;

  Log = &Processor->Shared->Events;
  for (Index = 0; Index < Log->PageCount; Index++) {
    ZeroMem (StmOpenWindow (Processor, Log->Pages[Index], TRUE), SIZE_4KB);
    StmCloseWindow (Processor);
  }

  Log->Next   = 0;
  Log->Serial = 0;
}

/**
  Check the pages of NEW_LOG, which are copied.

  @param[in] Processor  This processor.
  @param[in] Count      How many.

  @retval STM_SUCCESS                   They can be taken.
  @retval ERROR_INVALID_PARAMETER       One is not aligned, or named twice.
  @retval ERROR_STM_SECURITY_VIOLATION  One is not the executive monitor's.
**/
STATIC
UINT32
CheckPages (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Count
  )
{
  CONST UINT64  *Pages;
  UINT32        Index;
  UINT32        Other;

  Pages = Processor->Shared->Events.Pages;
  for (Index = 0; Index < Count; Index++) {
    if ((Pages[Index] & (SIZE_4KB - 1)) != 0) {
      return (UINT32)ERROR_INVALID_PARAMETER;
    }

    if (!StmPageIsExecutives (Processor->Shared, Pages[Index])) {
      return (UINT32)ERROR_STM_SECURITY_VIOLATION;
    }

    for (Other = 0; Other < Index; Other++) {
      if (Pages[Other] == Pages[Index]) {
        return (UINT32)ERROR_INVALID_PARAMETER;
      }
    }
  }

  return STM_SUCCESS;
}

/**
  NEW_LOG.

  @param[in] Processor  This processor.
  @param[in] Page       Where the request is.
  @param[in] Count      PageCount of the copy.

  @return See StmEventManage.
**/
STATIC
UINT32
NewLog (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN UINT32               Count
  )
{
  STM_EVENT_LOG  *Log;
  CONST UINT8    *Window;
  UINT32         Status;

  Log = &Processor->Shared->Events;
  if (Log->PageCount != 0) {
    return (UINT32)ERROR_STM_LOG_ALLOCATED;
  }

  if ((Count == 0) || (Count > STM_EVENT_PAGES)) {
    return (UINT32)ERROR_STM_INVALID_PAGECOUNT;
  }

  Window = StmOpenWindow (Processor, Page, FALSE);
  CopyMem (Log->Pages, Window + sizeof (EVENT_REQUEST), Count * sizeof (UINT64));
  StmCloseWindow (Processor);
  Status = CheckPages (Processor, Count);
  if (Status == STM_SUCCESS) {
    Log->PageCount = Count;
    Log->Wanted    = 0;
    ClearPages (Processor);
  }

  return Status;
}

/**
  CONFIGURE_LOG, CLEAR_LOG, DELETE_LOG, or START_LOG, for which the log has to be
  stopped.

  @param[in] Processor  This processor.
  @param[in] Request    A copy of the request.

  @return See StmEventManage.
**/
STATIC
UINT32
ChangeStopped (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST EVENT_REQUEST  *Request
  )
{
  STM_EVENT_LOG          *Log;
  ENTRY_EVT_LOG_STARTED  Started;

  Log = &Processor->Shared->Events;
  if (Log->Started != 0) {
    return (UINT32)ERROR_STM_LOG_NOT_STOPPED;
  }

  switch (Request->SubFunction) {
    case STM_EVENT_LOG_MANAGEMENT_REQUEST_CONFIGURE_LOG:
      if ((Request->Value >> EvtMleMax) != 0) {
        return (UINT32)ERROR_STM_RESERVED_BIT_SET;
      }

      Log->Wanted = Request->Value;
      break;
    case STM_EVENT_LOG_MANAGEMENT_REQUEST_CLEAR_LOG:
      ClearPages (Processor);
      break;
    case STM_EVENT_LOG_MANAGEMENT_REQUEST_DELETE_LOG:
      Log->PageCount = 0;
      break;
    default:
      if (Log->Wanted == 0) {
        return (UINT32)ERROR_STM_NO_EVENTS_ENABLED;
      }

      Log->Started     = 1;
      Log->Enabled     = Log->Wanted;
      Started.Reserved = 0;
      if ((Log->Enabled & (1U << EvtLogStarted)) != 0) {
        WriteEntry (Processor, EvtLogStarted, &Started, sizeof (Started));
      }

      break;
  }

  return STM_SUCCESS;
}

/**
  STOP_LOG.

  @param[in] Processor  This processor.

  @return See StmEventManage.
**/
STATIC
UINT32
StopLog (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  STM_EVENT_LOG          *Log;
  ENTRY_EVT_LOG_STOPPED  Stopped;

  Log = &Processor->Shared->Events;
  if (Log->Started == 0) {
    return (UINT32)ERROR_STM_LOG_NOT_STARTED;
  }

  Stopped.Reserved = 0;
  if ((Log->Enabled & (1U << EvtLogStopped)) != 0) {
    WriteEntry (Processor, EvtLogStopped, &Stopped, sizeof (Stopped));
  }

  Log->Started = 0;
  Log->Enabled = 0;
  return STM_SUCCESS;
}

/**
  Serve a request of MANAGE_EVENT_LOG.

  @param[in] Processor  This processor; its window is closed.
  @param[in] Page       Where the request is; a page that the executive monitor may name.

  @retval STM_SUCCESS                   Done.
  @retval ERROR_INVALID_API             There is no such sub-function.
  @retval ERROR_STM_LOG_ALLOCATED       NEW_LOG: there is a log.
  @retval ERROR_STM_INVALID_PAGECOUNT   NEW_LOG: no page, or more than STM_EVENT_PAGES.
  @retval ERROR_STM_SECURITY_VIOLATION  NEW_LOG: a page is not the executive monitor's.
  @retval ERROR_INVALID_PARAMETER       NEW_LOG: a page is not aligned, or named twice.
  @retval ERROR_STM_LOG_NOT_ALLOCATED   The others: there is no log.
  @retval ERROR_STM_LOG_NOT_STOPPED     CONFIGURE_LOG, START_LOG, CLEAR_LOG, DELETE_LOG:
                                        the log is started.
  @retval ERROR_STM_LOG_NOT_STARTED     STOP_LOG: it is not.
  @retval ERROR_STM_RESERVED_BIT_SET    CONFIGURE_LOG: a bit of no event.
  @retval ERROR_STM_NO_EVENTS_ENABLED   START_LOG: no event is wanted.
**/
UINT32
StmEventManage (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page
  )
{
  STM_EVENT_LOG  *Log;
  EVENT_REQUEST  Request;
  UINT32         Status;

  Log = &Processor->Shared->Events;
  CopyMem (&Request, StmOpenWindow (Processor, Page, FALSE), sizeof (Request));
  StmCloseWindow (Processor);
  if ((Request.SubFunction < STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) ||
      (Request.SubFunction > STM_EVENT_LOG_MANAGEMENT_REQUEST_DELETE_LOG))
  {
    return (UINT32)ERROR_INVALID_API;
  }

  LockLog (Log);
  if (Request.SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
    Status = NewLog (Processor, Page, Request.Value);
  } else if (Log->PageCount == 0) {
    Status = (UINT32)ERROR_STM_LOG_NOT_ALLOCATED;
  } else if (Request.SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_STOP_LOG) {
    Status = StopLog (Processor);
  } else {
    Status = ChangeStopped (Processor, &Request);
  }

  UnlockLog (Log);
  return Status;
}
