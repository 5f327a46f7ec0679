/** @file
  Calls of the STM API, by number, from the SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Exit/Exit.h"
#include "Guest/Guest.h"

/**
  API calls of the SMI handler: VMCALL in the guest of the STM.

  The handler maps memory itself, since it runs with EPT: StmApi.h allows
  ERROR_STM_FUNCTION_NOT_SUPPORTED for the two calls that would do it.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiHandler (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;

  switch ((UINT32)Processor->Handler.Rax) {
    case STM_API_MAP_ADDRESS_RANGE:
    case STM_API_UNMAP_ADDRESS_RANGE:
      Status = (UINT32)ERROR_STM_FUNCTION_NOT_SUPPORTED;
      break;
    case STM_API_ADDRESS_LOOKUP:
      Status = StmApiAddressLookup (Processor);
      break;
    case STM_API_RETURN_FROM_PROTECTION_EXCEPTION:
      Status = StmReturnFromProtectionException (Processor, (UINT32)Processor->Handler.Rbx);
      if (Status == STM_SUCCESS) {
        //
        // More a jump than a call: all registers are those of the frame.
        //
        return StmResumeHandler (Processor);
      }

      break;
    default:
      Status = (UINT32)ERROR_INVALID_API;
      break;
  }

  return StmApiAnswerHandler (Processor, Status);
}
