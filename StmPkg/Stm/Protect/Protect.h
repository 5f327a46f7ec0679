/** @file
  Protect/: what the SMI handler can reach.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PROTECT_H_
#define STM_PROTECT_H_

#include "StmState.h"

/**
  Forget translations that this processor has from the EPT.
**/
VOID
StmFlushEpt (
  VOID
  );

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
  Are there enough pages for the tables that a profile takes?

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.

  @retval TRUE   There are: StmApplyEpt cannot fail.
  @retval FALSE  There are not.
**/
BOOLEAN
StmEptHasRoom (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile
  );

/**
  Bring the EPT of the SMI handler in line with a profile, within a range.

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
  Fill the bitmaps of the SMI handler, which are zeroed.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  );

/**
  Bring the bitmaps of the SMI handler in line with a profile, within a range.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Ports or MSRs that the profile may have changed in.
**/
VOID
StmApplyBitmaps (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  );

/**
  Read the firmware's list of resources, unless that is done.

  @param[in] Processor  This processor; its PSD names the list.

  @retval STM_SUCCESS              It is there.
  @retval ERROR_STM_UNPROTECTABLE  It claims what the STM needs for itself.
  @retval ERROR_STM_UNSPECIFIED    It is malformed or too long: the record tells.
**/
UINT32
StmLoadBiosList (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Copy a page of the firmware's list to the executive monitor.

  @param[in] Processor  This processor.
  @param[in] Index      Which page.
  @param[in] Page       Where to; a page that the executive monitor may name.

  @return The index of the next page, 0 after the last one.
**/
UINT32
StmCopyBiosPage (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Index,
  IN UINT64               Page
  );

/**
  PROTECT_RESOURCE or UNPROTECT_RESOURCE.

  @param[in] Processor  This processor.
  @param[in] Page       Where the list is; a page that the executive monitor may name.
  @param[in] Protect    TRUE for PROTECT_RESOURCE.

  @return The status of the call.
**/
UINT32
StmChangeProtection (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN BOOLEAN              Protect
  );

/**
  See to it that the next entry to the SMI handler knows what is protected now.

  @param[in,out] Processor  This processor.
**/
VOID
StmSeeProtection (
  IN OUT STM_PROCESSOR  *Processor
  );

///
/// The same, if anything has changed: before each entry to the SMI handler.
///
#define STM_SEE_PROTECTION(Processor)                                          \
  do {                                                                         \
    if ((Processor)->Generation != *(volatile UINT32 *)&(Processor)->Shared->Generation) { \
      StmSeeProtection (Processor);                                            \
    }                                                                          \
  } while (FALSE)

/**
  The accesses to a place that the executive monitor has protected.

  @param[in] Processor  This processor.
  @param[in] Space      STM_SPACE.
  @param[in] Place      Address, port or MSR.
  @param[in] Length     Places.

  @return STM_ACCESS_READ and so on.
**/
UINT32
StmProtectedAt (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Space,
  IN UINT64               Place,
  IN UINT64               Length
  );

#endif
