/** @file
  Api/: calls of the STM API.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_API_FOLDER_H_
#define STM_API_FOLDER_H_

#include "StmState.h"

/**
  API calls of the executive monitor: VMCALL in VMX root operation outside SMM.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiExecutive (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  API calls of the SMI handler: VMCALL in the guest of the STM.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiHandler (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Answer the executive monitor and return to it.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswer (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  );

/**
  Answer the SMI handler and let it continue.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswerHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  );

/**
  The page that a call of the executive monitor names.

  @param[in] Processor  This processor.

  @return Its physical address.
**/
UINT64
StmApiPage (
  IN CONST STM_PROCESSOR  *Processor
  );

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
  );

/**
  Copy a request from the page that a call names.

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
  );

/**
  Return to the executive monitor by the VM entry that deactivates the dual-monitor
  treatment. Does not return.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current, its call
                            answered.
**/
VOID
StmLeave (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiInitializeProtection (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiStart (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  PROTECT_RESOURCE and UNPROTECT_RESOURCE.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Protect    TRUE for PROTECT_RESOURCE.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiProtect (
  IN OUT STM_PROCESSOR  *Processor,
  IN     BOOLEAN        Protect
  );

STM_ENTER
StmApiGetBiosResources (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiManageVmcsDatabase (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiManageEventLog (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
StmApiStop (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Second half of START, after the RSM of the firmware's setup code.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiCompleteStart (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Second half of STOP, after the RSM of the firmware's teardown code.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiCompleteStop (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  ADDRESS_LOOKUP (3).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @retval STM_SUCCESS                       PhysicalAddress is written.
  @retval ERROR_STM_BAD_CR3                 Nobody was interrupted with this CR3.
  @retval ERROR_STM_PAGE_NOT_FOUND          The address is not mapped, or the tables are
                                            in memory that must not be read.
  @retval ERROR_STM_SECURITY_VIOLATION      What is there is protected.
  @retval ERROR_STM_FUNCTION_NOT_SUPPORTED  A mapping is asked for.
  @retval ERROR_STM_UNSPECIFIED             The descriptor is not in the handler's SMRAM, a
                                            reserved field is set, Length is 0 or above
                                            64 KB, or InterruptedEptp is not that of the
                                            interrupted guest.
**/
UINT32
StmApiAddressLookup (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Look for what would keep the first SMI from its handler.

  @param[in] Processor  This processor.

  @return Name of the member of the PSD, or SMBASE. NULL if all is well.
**/
CONST CHAR8 *
StmFindPsdProblem (
  IN CONST STM_PROCESSOR  *Processor
  );

#endif
