/** @file
  A look at a page outside TSEG: the STM's page tables map none. Each block has a
  window of its own, one entry in the last of the tables, so that processors need
  no lock.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define PAGE_PRESENT   BIT0
#define PAGE_WRITE     BIT1
#define PAGE_ACCESSED  BIT5
#define PAGE_DIRTY     BIT6
#define PAGE_NX        BIT63

/**
  Map a page into this processor's window. The processor is on the STM's own page
  tables.

  @param[in] Processor  This processor.
  @param[in] Page       Physical address, aligned to 4 KB, within the physical
                        width.
  @param[in] Writable   TRUE if the STM is going to write there.

  @return Where the page is, until StmCloseWindow.
**/
VOID *
StmOpenWindow (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN BOOLEAN              Writable
  )
{
  CONST STM_SHARED  *Shared;

  Shared                           = Processor->Shared;
  Shared->Windows[Processor->Slot] = Page | PAGE_PRESENT | PAGE_ACCESSED | PAGE_NX |
                                     (Writable ? PAGE_WRITE | PAGE_DIRTY : 0);
  AsmWriteCr3 (Shared->HostCr3);
  return (VOID *)(UINTN)(Shared->WindowBase + (UINT64)Processor->Slot * SIZE_4KB);
}

/**
  Empty this processor's window.

  @param[in] Processor  This processor.
**/
VOID
StmCloseWindow (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  Processor->Shared->Windows[Processor->Slot] = 0;
  AsmWriteCr3 (Processor->Shared->HostCr3);
}
