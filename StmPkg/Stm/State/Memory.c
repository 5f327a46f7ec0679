/** @file
  Which memory is SMRAM, and whose.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

///
/// SMRAM of the first processors with SMM. The chipset still has it, whether the
/// firmware uses it or not, and what lies there differs between SMM and outside.
///
#define LEGACY_SMRAM_BASE  0xA0000
#define LEGACY_SMRAM_END   0xC0000

/**
  Does a range lie in TSEG and outside MSEG?

  @param[in] Shared  Shared state.
  @param[in] Base    Physical address.
  @param[in] Length  Bytes, not 0.

  @retval TRUE   Every byte does.
  @retval FALSE  Some byte does not.
**/
BOOLEAN
StmInHandlerSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Base,
  IN UINT64            Length
  )
{
  UINT64  End;

  End = Base + Length;
  return (BOOLEAN)((End > Base) &&
                   (Base >= Shared->TsegBase) && (End <= Shared->TsegEnd) &&
                   ((End <= Shared->MsegBase) || (Base >= Shared->MsegEnd)));
}

/**
  Do page tables of the SMI handler begin in its SMRAM?

  Outside it another processor or a device could change them while the handler runs.
  Where the top table refers to tables outside, the handler has put that there itself.

  @param[in] Shared  Shared state.
  @param[in] Cr3     Value of CR3. Whatever the paging mode, the first table is in that page.

  @retval TRUE   They do.
  @retval FALSE  They do not, or a bit beyond the physical width is set.
**/
BOOLEAN
StmIsHandlerCr3 (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Cr3
  )
{
  return StmInHandlerSmram (Shared, Cr3 & ~(UINT64)(SIZE_4KB - 1), SIZE_4KB);
}

/**
  Where the STM has memory of the SMI handler's page tables, which are in its SMRAM.
  VMX_GUEST_MEMORY.

  @param[in] Address  Physical address, in a page that StmIsHandlerCr3 has accepted.

  @return The address.
**/
CONST VOID *
EFIAPI
StmTableMemory (
  IN UINT64  Address
  )
{
  return (CONST VOID *)(UINTN)Address;
}

/**
  Does a page that the executive monitor names overlap SMRAM: TSEG, or the legacy
  region at A0000H? The processor reads VMCS regions while still in SMM, so it
  would accept one there (DM-RET-70), and what the executive monitor cannot write
  itself would be read from a place that it chooses.

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address of a 4-KB page.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
BOOLEAN
StmPageInSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  )
{
  return (BOOLEAN)(((Page < Shared->TsegEnd) && (Page + SIZE_4KB > Shared->TsegBase)) ||
                   ((Page < LEGACY_SMRAM_END) && (Page + SIZE_4KB > LEGACY_SMRAM_BASE)));
}

/**
  May the executive monitor name a page for the STM to read and write?

  Where a write from SMM could do more than the executive monitor's own it may not:
  in SMRAM, and among the registers and the flash memory below 4 GB.

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address, aligned to 4 KB.

  @retval TRUE   It may.
  @retval FALSE  The page is in SMRAM, between TSEG and 4 GB, or beyond the physical
                 width.
**/
BOOLEAN
StmPageIsExecutives (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  )
{
  return (BOOLEAN)(((Page >> Shared->PhysicalBits) == 0) && !StmPageInSmram (Shared, Page) &&
                   ((Page < Shared->TsegBase) || (Page >= SIZE_4GB)));
}
