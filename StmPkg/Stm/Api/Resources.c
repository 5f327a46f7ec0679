/** @file
  PROTECT_RESOURCE, UNPROTECT_RESOURCE, GET_BIOS_RESOURCES.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Protect/Protect.h"
#include "State/State.h"

/**
  The page that a call names: EBX and ECX are the halves of its address, the low 12
  bits do not count ("StmApi.h").

  @param[in] Processor  This processor.

  @return Its physical address.
**/
STATIC
UINT64
PageOf (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return LShiftU64 ((UINT32)Processor->Interrupted.Rcx, 32) |
         ((UINT32)Processor->Interrupted.Rbx & ~(UINT32)(SIZE_4KB - 1));
}

/**
  May this processor make a call about resources, and with this page?

  @param[in] Processor  This processor.

  @retval STM_SUCCESS                   It may.
  @retval ERROR_STM_UNSPECIFIED         The STM is not active on this processor.
  @retval ERROR_STM_SECURITY_VIOLATION  The page is not memory of the executive
                                        monitor's.
**/
STATIC
UINT32
CheckCall (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  if (Processor->State == StmProcessorOff) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  return StmPageIsExecutives (Processor->Shared, PageOf (Processor)) ? STM_SUCCESS : (UINT32)ERROR_STM_SECURITY_VIOLATION;
}

/**
  PROTECT_RESOURCE (10003H) and UNPROTECT_RESOURCE (10004H).

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Protect    TRUE for PROTECT_RESOURCE.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiProtect (
  IN OUT STM_PROCESSOR  *Processor,
  IN     BOOLEAN        Protect
  )
{
  UINT32  Status;

  Status = CheckCall (Processor);
  if (Status == STM_SUCCESS) {
    Status = StmChangeProtection (Processor, PageOf (Processor), Protect);
  }

  return StmApiAnswer (Processor, Status);
}

/**
  GET_BIOS_RESOURCES (10005H).

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiGetBiosResources (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;
  UINT32  Index;

  Index  = (UINT32)Processor->Interrupted.Rdx;
  Status = CheckCall (Processor);
  if ((Status == STM_SUCCESS) && (Index >= Processor->Shared->BiosPages)) {
    Status = (UINT32)ERROR_STM_PAGE_NOT_FOUND;
  }

  if (Status == STM_SUCCESS) {
    Processor->Interrupted.Rdx = StmCopyBiosPage (Processor, Index, PageOf (Processor));
  }

  return StmApiAnswer (Processor, Status);
}
