/** @file
  The page that a call of the executive monitor names.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Guest/Guest.h"
#include "State/State.h"

/**
  The page that a call names: EBX and ECX are the halves of its address, the low 12
  bits do not count ("StmApi.h").

  @param[in] Processor  This processor.

  @return Its physical address.
**/
UINT64
StmApiPage (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return LShiftU64 ((UINT32)Processor->Interrupted.Rcx, 32) |
         ((UINT32)Processor->Interrupted.Rbx & ~(UINT32)(SIZE_4KB - 1));
}

/**
  May this processor make a call that names a page, and this page?

  @param[in] Processor  This processor.

  @retval STM_SUCCESS                   It may.
  @retval ERROR_STM_UNSPECIFIED         The STM is not active on this processor.
  @retval ERROR_STM_SECURITY_VIOLATION  The page is not memory of the executive
                                        monitor's.
**/
UINT32
StmApiCheckPage (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  if (Processor->State == StmProcessorOff) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  return StmPageIsExecutives (Processor->Shared, StmApiPage (Processor)) ? STM_SUCCESS : (UINT32)ERROR_STM_SECURITY_VIOLATION;
}

/**
  Copy a request from the page that a call names. The executive monitor can change the
  page at any time; what has been checked is the copy.

  @param[in]  Processor  This processor.
  @param[out] Request    The copy.
  @param[in]  Size       Bytes, from the start of the page.

  @retval STM_SUCCESS                   Copied.
  @retval ERROR_STM_UNSPECIFIED         See StmApiCheckPage.
  @retval ERROR_STM_SECURITY_VIOLATION  Likewise.
**/
UINT32
StmApiCopyRequest (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT VOID                 *Request,
  IN  UINTN                Size
  )
{
  UINT32  Status;

  Status = StmApiCheckPage (Processor);
  if (Status == STM_SUCCESS) {
    CopyMem (Request, StmOpenWindow (Processor, StmApiPage (Processor), FALSE), Size);
    StmCloseWindow (Processor);
  }

  return Status;
}
