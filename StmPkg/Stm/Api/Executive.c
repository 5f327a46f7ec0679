/** @file
  Calls of the STM API, by number, from the executive monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "State/State.h"

/**
  API calls of the executive monitor: VMCALL in VMX root operation outside SMM.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiExecutive (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  StmReadInterrupted (Processor);
  switch ((UINT32)Processor->Interrupted.Rax) {
    case STM_API_INITIALIZE_PROTECTION:
      return StmApiInitializeProtection (Processor);
    case STM_API_START:
      return StmApiStart (Processor);
    case STM_API_STOP:
      return StmApiStop (Processor);
    case STM_API_PROTECT_RESOURCE:
      return StmApiProtect (Processor, TRUE);
    case STM_API_UNPROTECT_RESOURCE:
      return StmApiProtect (Processor, FALSE);
    case STM_API_GET_BIOS_RESOURCES:
      return StmApiGetBiosResources (Processor);
    case STM_API_MANAGE_VMCS_DATABASE:
      return StmApiManageVmcsDatabase (Processor);
    case STM_API_MANAGE_EVENT_LOG:
      return StmApiManageEventLog (Processor);
    default:
      return StmApiAnswer (Processor, (UINT32)ERROR_INVALID_API);
  }
}
