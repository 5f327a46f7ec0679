/** @file
  MANAGE_VMCS_DATABASE.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include <Library/SynchronizationLib.h>
#include "State/State.h"

/**
  MANAGE_VMCS_DATABASE (10006H).

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiManageVmcsDatabase (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_VMCS_DATABASE_REQUEST  Request;
  STM_DOMAINS                *Domains;
  UINT32                     Status;

  Status = StmApiCopyRequest (Processor, &Request, sizeof (Request));
  if ((Status == STM_SUCCESS) &&
      !StmPageIsExecutives (Processor->Shared, Request.VmcsPhysPointer & ~(UINT64)(SIZE_4KB - 1)))
  {
    Status = (UINT32)ERROR_STM_SECURITY_VIOLATION;
  }

  if (Status == STM_SUCCESS) {
    Domains = &Processor->Shared->Domains;
    while (InterlockedCompareExchange32 (&Domains->Lock, 0, 1) != 0) {
      CpuPause ();
    }

    Status                              = StmDomainManage (Domains, &Request);
    *(volatile UINT32 *) &Domains->Lock = 0;
  }

  return StmApiAnswer (Processor, Status);
}
