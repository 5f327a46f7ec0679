/** @file
  Event/: the event log that the executive monitor may ask for.

  It lies in pages of the executive monitor's, which reads it there. What the STM needs
  to write to it is in MSEG; of what is in the pages it reads two bits of an entry's
  header and believes neither.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_EVENT_H_
#define STM_EVENT_H_

#include "StmState.h"

/**
  Write an entry to the event log. Called by STM_EVENT.

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
  );

///
/// The same, if the executive monitor wants events of this type.
///
#define STM_EVENT(Processor, Type, Data, Size)                                 \
  do {                                                                         \
    if (((Processor)->Shared->Events.Enabled & (1U << (Type))) != 0) {         \
      StmEventWrite (Processor, Type, Data, Size);                             \
    }                                                                          \
  } while (FALSE)

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
  );

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
  );

#endif
