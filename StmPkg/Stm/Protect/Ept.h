/** @file
  EPT: what memory the SMI handler can reach, and what other processors know of it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_EPT_H_
#define STM_EPT_H_

#include "StmState.h"

/**
  Forget translations that this processor has from the EPT.
**/
VOID
StmFlushEpt (
  VOID
  );

/**
  Has the processor what the EPT of the SMI handler needs?

  @retval TRUE   It has.
  @retval FALSE  It has not.
**/
BOOLEAN
StmCanUseEpt (
  VOID
  );

/**
  Build the EPT of the SMI handler.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages.
**/
BOOLEAN
StmBuildEpt (
  IN OUT STM_SHARED  *Shared
  );

/**
  Are there enough pages for the tables that a profile takes?

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Ecam     STM_ECAM to guard with it.

  @retval TRUE   There are: StmApplyEpt cannot fail.
  @retval FALSE  There are not.
**/
BOOLEAN
StmEptHasRoom (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN UINT64             Ecam
  );

/**
  Bring the EPT of the SMI handler in line with a profile, within a range. Tables that
  it takes no more are retired.

  @param[in,out] Shared     Shared state.
  @param[in]     Profile    The profile; StmEptHasRoom has said that there is room.
  @param[in]     Range      Memory that the profile may have changed in.
**/
VOID
StmApplyEpt (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST STM_RANGE    *Range
  );

/**
  Map 1 GB of memory that the SMI handler has touched. To map all that it can address would
  take more tables than MSEG has: with leaves of 1 GB the one of each 512 GB, without them one
  of each GB.

  @param[in,out] Shared   Shared state.
  @param[in]     Profile  The profile.
  @param[in]     Address  Guest-physical address of an EPT violation.
  @param[in]     Access   STM_ACCESS_READ and so on, that the handler has tried.

  @retval TRUE   Mapped, as the profile says, now or by another processor since: the handler
                 can try again.
  @retval FALSE  It is mapped and closed to this access, is none that the processor has, or
                 there is no room.
**/
BOOLEAN
StmMapOnDemand (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Address,
  IN     UINT32             Access
  );

/**
  Give tables of the EPT back that no processor uses any more.

  @param[in,out] Processor  This processor, which is not in the SMI handler; nobody else
                            changes what is protected meanwhile.
**/
VOID
StmReclaimEpt (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Wait until every processor that is in the SMI handler knows what is protected now.

  @param[in] Processor  This processor, which is not in the SMI handler.
**/
VOID
StmShootDown (
  IN CONST STM_PROCESSOR  *Processor
  );

#endif
