/** @file
  Protect/: what the SMI handler can reach.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PROTECT_H_
#define STM_PROTECT_H_

#include "StmState.h"

/**
  Build the EPT of the SMI handler.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages, or the processor lacks
                 what it needs.
**/
BOOLEAN
StmBuildEpt (
  IN OUT STM_SHARED  *Shared
  );

/**
  Fill the bitmaps of the SMI handler, which are zeroed.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  );

#endif
