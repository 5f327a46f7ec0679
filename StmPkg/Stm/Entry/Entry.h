/** @file
  Entry/: where VM exits arrive.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_ENTRY_H_
#define STM_ENTRY_H_

#include "StmState.h"

/**
  SMM VM exits: called by Entry/Exit.nasm. The processor has made the SMM-transfer
  VMCS current.

  @param[in,out] Processor  This processor, registers in Interrupted.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchSmmExit (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  RSM: the handler is done. Called by Entry/Exit.nasm, the SMM-guest VMCS is current.

  @param[in,out] Processor  This processor; nobody needs the handler's registers any more.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchRsm (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  VM exits of the SMI handler other than RSM: called by Entry/Exit.nasm, the SMM-guest
  VMCS is current.

  @param[in,out] Processor  This processor, registers in Handler.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchHandlerExit (
  IN OUT STM_PROCESSOR  *Processor
  );

#endif
