/** @file
  No TPM will measure: by this protocol the driver TpmAbsentDxe tells so, and the STM
  loader does not wait for one.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_TPM_ABSENT_H_
#define STM_TPM_ABSENT_H_

typedef struct {
  BOOLEAN    Failed;   ///< there is a TPM, and firmware could not use it
} STM_TPM_ABSENT_PROTOCOL;

extern EFI_GUID  gStmTpmAbsentProtocolGuid;

#endif
