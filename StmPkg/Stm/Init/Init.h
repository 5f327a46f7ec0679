/** @file
  Init/: activation of a processor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_INIT_H_
#define STM_INIT_H_

#include "StmState.h"

///
/// Windows there are, less one for the processor that is refused.
///
#define STM_MOST_PROCESSORS  511

/**
  How many bytes a VMCS region takes ("Basic VMX Information", A.1).

  @return Bytes, 1 to 4096.
**/
UINT32
StmVmcsSize (
  VOID
  );

/**
  Say what a loader of ours would have said. No digest: nobody has told what the image
  must be.

  @param[in]  Tables  Physical address of the activation page tables.
  @param[out] Place   Filled in.

  @retval TRUE   Done.
  @retval FALSE  Nothing says where SMRAM is: TsegBase and TsegSize are MSEG's.
**/
BOOLEAN
StmFindPlace (
  IN  UINT64           Tables,
  OUT STM_LOADER_DATA  *Place
  );

/**
  Take the page directories of the activation that map other than MSEG.

  @param[in,out] Shared  Shared state: MsegBase, MsegEnd and ActivationTables are read.

  @retval TRUE   Done: nothing refers to them any more.
  @retval FALSE  MSEG lies in more than one GB, or the tables are others than expected.
**/
BOOLEAN
StmTakeTables (
  IN OUT STM_SHARED  *Shared
  );

/**
  Divide MSEG behind the shared part of the dynamic area.

  @param[in,out] Shared      Shared state: MsegEnd, Dynamic and VmcsSize are read, and what
                             says where blocks, ring, list and pool are is written.
  @param[in]     Processors  How many are served, at least 1.

  @retval TRUE   Done.
  @retval FALSE  MSEG is smaller than the needed size, or there are more processors than
                 windows.
**/
BOOLEAN
StmDivideMseg (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Processors
  );

/**
  Build the STM's page tables, IDT, EPT and bitmaps: once, by the first
  processor. Where only the EPT does not fit, the STM works, but can only refuse.

  @param[in,out] Shared  Shared state with the memory map filled in. EptPointer is 0
                         afterwards if MSEG has too few pages for the EPT.
  @param[in]     Stubs   First exception stub.

  @return 0, or why it cannot be done (STM_BAD_STATE).
**/
UINT32
StmBuildShared (
  IN OUT STM_SHARED  *Shared,
  IN     UINTN       Stubs
  );

/**
  Fill in a processor's GDT and TSS and move to the STM's own GDT, IDT, TR and
  page tables.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.
**/
VOID
StmEnterHostState (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Add blocks to a SHA-256 state with the SHA extensions: STM_SHA256_BLOCKS. x87 and SSE
  state comes out as it went in.

  @param[in,out] State   8 words.
  @param[in]     Data    The blocks, 64 bytes each.
  @param[in]     Blocks  Their number, not 0.
**/
VOID
EFIAPI
AsmSha256Blocks (
  IN OUT UINT32       *State,
  IN     CONST UINT8  *Data,
  IN     UINTN        Blocks
  );

/**
  Load the STM's own GDT, IDT, segments and TR.

  @param[in] Gdtr  Pseudo-descriptor (16-bit limit, 64-bit base).
  @param[in] Idtr  Pseudo-descriptor.
**/
VOID
EFIAPI
AsmLoadTables (
  IN CONST IA32_DESCRIPTOR  *Gdtr,
  IN CONST IA32_DESCRIPTOR  *Idtr
  );

/**
  Move the interrupted side to the SMM-transfer VMCS in MSEG and set that up.
  Afterwards it is the current VMCS.

  @param[in,out] Processor  This processor. Refused is set if the executive
                            monitor's regions are where they must not be.
**/
VOID
StmSetUpTransferVmcs (
  IN OUT STM_PROCESSOR  *Processor
  );

#endif
