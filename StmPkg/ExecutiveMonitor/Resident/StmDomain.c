/** @file
  The domain types of our guests: MANAGE_VMCS_DATABASE (StmApi.h).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

/**
  Add the guest VMCS of one processor to the database, or remove it.

  @param[in,out] Processor  This processor; Detail is set on failure.
  @param[in]     Vmcs       The guest VMCS.
  @param[in]     Domain     EXEC_DOMAIN, and EXEC_DOMAIN_ADD to add.

  @return See ExecCallStm.
**/
STATIC
EXEC_RESULT
ManageOne (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT64          Vmcs,
  IN     UINT64          Domain
  )
{
  STM_VMCS_DATABASE_REQUEST  *Request;

  Request = (STM_VMCS_DATABASE_REQUEST *)(UINTN)Processor->ResourceList;
  ZeroMem (Request, sizeof (*Request));
  Request->VmcsPhysPointer   = Vmcs;
  Request->DomainType        = EXEC_DOMAIN_TYPE (Domain);
  Request->XStatePolicy      = EXEC_DOMAIN_XSTATE (Domain);
  Request->DegradationPolicy = EXEC_DOMAIN_DEGRADATION (Domain);
  Request->AddOrRemove       = ((Domain & EXEC_DOMAIN_ADD) != 0) ? STM_VMCS_DATABASE_REQUEST_ADD
                                                                 : STM_VMCS_DATABASE_REQUEST_REMOVE;
  return ExecCallStm (STM_API_MANAGE_VMCS_DATABASE, Processor->ResourceList, Processor);
}

/**
  Record what the database holds of a processor's guest.

  @param[in] Processor  The processor.
  @param[in] Domain     EXEC_DOMAIN, and EXEC_DOMAIN_ADD if it was added.
**/
STATIC
VOID
RecordDomain (
  IN CONST EXEC_PROCESSOR  *Processor,
  IN UINT64                Domain
  )
{
  EXEC_RECORD (
    "domain",
    "cpu=%u vmcs=0x%lx added=%u type=%u xstate=%u degradation=%u",
    Processor->Number,
    Processor->GuestVmcs,
    (UINT32)((Domain & EXEC_DOMAIN_ADD) != 0),
    EXEC_DOMAIN_TYPE (Domain),
    EXEC_DOMAIN_XSTATE (Domain),
    EXEC_DOMAIN_DEGRADATION (Domain)
    );
}

/**
  MANAGE_VMCS_DATABASE for the guest VMCS of every processor.

  @param[in,out] Processor  This processor, a guest; Detail is set on failure.
  @param[in]     Domain     EXEC_DOMAIN, and EXEC_DOMAIN_ADD to add.

  @retval ExecOk                Done for all.
  @retval ExecStmRefused        Detail is the STM's status; nothing has changed.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecManageDomain (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT64          Domain
  )
{
  EXEC_PARAMETERS  *Shared;
  EXEC_RESULT      Result;
  UINT64           Refusal;
  UINTN            Number;

  Processor->Detail = 0;
  if (!Processor->StmActive) {
    return ExecActivationFailed;
  }

  Shared = Processor->Shared;
  Result = ExecOk;
  for (Number = 0; Number < Shared->Processors; Number++) {
    Result = ManageOne (Processor, EXEC_PROCESSOR_OF (Shared, Number)->GuestVmcs, Domain);
    if (Result != ExecOk) {
      break;
    }
  }

  if (Result == ExecOk) {
    for (Number = 0; Number < Shared->Processors; Number++) {
      RecordDomain (EXEC_PROCESSOR_OF (Shared, Number), Domain);
    }

    return ExecOk;
  }

  //
  // All or none. Only additions fail in the midst, when the database is full: we add and
  // remove all at a time.
  //
  Refusal = Processor->Detail;
  while ((Number-- > 0) && ((Domain & EXEC_DOMAIN_ADD) != 0)) {
    ManageOne (Processor, EXEC_PROCESSOR_OF (Shared, Number)->GuestVmcs, Domain & ~(UINT64)EXEC_DOMAIN_ADD);
  }

  Processor->Detail = Refusal;
  return Result;
}
