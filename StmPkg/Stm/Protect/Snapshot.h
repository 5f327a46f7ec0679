/** @file
  The snapshot policy: the SMI handler reads copies of memory outside SMRAM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_SNAPSHOT_H_
#define STM_SNAPSHOT_H_

#include "StmState.h"

///
/// STM_SNAPSHOT_USE.Page of the page that keeps what a copy was before it was written.
///
#define STM_SNAPSHOT_BEFORE  2

/**
  Is a page among what the snapshot policy copies, if there is the policy: memory outside
  SMRAM? Between SMRAM and 4 GB lie the chipset's registers, and above it there may be PCI
  configuration space.

  @param[in] Shared  Shared state.
  @param[in] Ecam    STM_ECAM.
  @param[in] Page    The page.

  @retval TRUE   It is.
  @retval FALSE  It is not: the handler accesses what is there, if it may.
**/
BOOLEAN
StmIsSnapshot (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Ecam,
  IN UINT64            Page
  );

/**
  A page of the policy.

  @param[in] Shared  Shared state.
  @param[in] Number  Its number.

  @return Where it is.
**/
VOID *
StmSnapshotPage (
  IN CONST STM_SHARED  *Shared,
  IN UINT32            Number
  );

/**
  Take a page, until the end of the SMI. Crashes if there is none.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       What it is going to be a copy of, or STM_SNAPSHOT_BEFORE.

  @return Its number.
**/
UINT32
StmSnapshotTake (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  );

/**
  Find a processor's next page.

  @param[in]     Processor  The processor.
  @param[in,out] Number     Page to begin with; gets the one behind it.

  @return What it is used for.
**/
STM_SNAPSHOT_USE *
StmSnapshotNext (
  IN     CONST STM_PROCESSOR  *Processor,
  IN OUT UINT32               *Number
  );

/**
  The entry of a page in tables of a processor's own.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       The page.

  @return It; NULL if the shared tables have none yet.
**/
UINT64 *
StmSnapshotEntry (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  );

/**
  Let a processor's tables be the shared ones again.

  @param[in] Processor  This processor.
**/
VOID
StmSnapshotResetMap (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  What is protected has changed while the handler has copies: it keeps them, but has to
  touch each again to see it.

  @param[in,out] Processor  This processor; the caller flushes its translations.
**/
VOID
StmSnapshotHide (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Give the handler a page of memory outside SMRAM that it is going to access, under the
  snapshot policy.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Address    Guest-physical address.
  @param[in]     Access     STM_ACCESS_READ and so on.
  @param[out]    Physical   Where that is, in the copy. OPTIONAL

  @retval TRUE   The handler can access it.
  @retval FALSE  It is no such memory, it is protected, or the tables have none yet.
**/
BOOLEAN
StmSnapshotTouch (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address,
  IN     UINT32         Access,
  OUT    UINT64         *Physical OPTIONAL
  );

/**
  The handler has ended, and has touched memory outside SMRAM: write what it has changed to
  where it belongs, and forget the copies.

  @param[in,out] Processor  This processor.
**/
VOID
StmSnapshotEnd (
  IN OUT STM_PROCESSOR  *Processor
  );

#endif
