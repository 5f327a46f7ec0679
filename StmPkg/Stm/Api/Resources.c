/** @file
  PROTECT_RESOURCE, UNPROTECT_RESOURCE, GET_BIOS_RESOURCES.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Protect/Protect.h"

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

  Status = StmApiCheckPage (Processor);
  if (Status == STM_SUCCESS) {
    Status = StmChangeProtection (Processor, StmApiPage (Processor), Protect);
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
  Status = StmApiCheckPage (Processor);
  if ((Status == STM_SUCCESS) && (Index >= Processor->Shared->BiosPages)) {
    Status = (UINT32)ERROR_STM_PAGE_NOT_FOUND;
  }

  if (Status == STM_SUCCESS) {
    Processor->Interrupted.Rdx = StmCopyBiosPage (Processor, Index, StmApiPage (Processor));
  }

  return StmApiAnswer (Processor, Status);
}
