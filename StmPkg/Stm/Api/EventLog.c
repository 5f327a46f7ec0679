/** @file
  MANAGE_EVENT_LOG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Event/Event.h"

/**
  MANAGE_EVENT_LOG (10008H).

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiManageEventLog (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;

  Status = StmApiCheckPage (Processor);
  if (Status == STM_SUCCESS) {
    Status = StmEventManage (Processor, StmApiPage (Processor));
  }

  return StmApiAnswer (Processor, Status);
}
