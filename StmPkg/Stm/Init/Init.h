/** @file
  Init/: activation of a processor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_INIT_H_
#define STM_INIT_H_

#include "StmState.h"

/**
  Build the STM's page tables, IDT, EPT and bitmaps: once, by the first
  processor.

  @param[in,out] Shared  Shared state with the memory map filled in.
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
