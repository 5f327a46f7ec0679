/** @file
  What the STM loader does at a wake from standby, for SmmCpuFeaturesLib, which is
  called then. In the database of SMM, from the moment when MSEG holds an image
  and every processor's IA32_SMM_MONITOR_CTL names it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_WAKE_H_
#define STM_WAKE_H_

#include <Guid/StmStatusTable.h>

extern EFI_GUID  gStmWakeProtocolGuid;

/**
  Verify MSEG and write IA32_SMM_MONITOR_CTL of the processor that executes this
  code, in its first SMI after a wake. Every processor calls it once, in any order
  and at the same time as others.
**/
typedef
VOID
(EFIAPI *STM_WAKE_PROCESSOR)(
  VOID
  );

typedef struct {
  STM_WAKE_PROCESSOR        WakeProcessor;
  CONST STM_STATUS_TABLE    *Status;          ///< as published last, in SMRAM
} STM_WAKE_PROTOCOL;

#endif
