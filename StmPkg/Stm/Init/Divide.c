/** @file
  Who gets which page of MSEG behind what all processors share.

  What the needed size has room for is the least with which the STM works: the loader may
  set aside no more. There a processor has the records of its own block, the firmware's
  list one page, and the EPT few tables. What MSEG has beyond that goes to the list, to the
  ring, to tables, and to more blocks, in this order.

  The firmware makes activation tables for 4 GB: a PML4, a page of pointers, and four page
  directories in a row. Each activation goes through them, but needs the directory of the
  GB of MSEG only. That stays where it is, since processors that wait for the lock go through
  it and may remember where it was found; the other three serve as memory (StmMemory.h).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init.h"
#include "Guest/Guest.h"

#define ENTRY_ADDRESS  0x000FFFFFFFFFF000ULL
#define DIRECTORIES    4

/**
  Take the page directories of the activation that map other than MSEG.

  @param[in,out] Shared  Shared state: MsegBase, MsegEnd and ActivationTables are read.

  @retval TRUE   Done: nothing refers to them any more.
  @retval FALSE  MSEG lies in more than one GB, or the tables are others than expected.
**/
BOOLEAN
StmTakeTables (
  IN OUT STM_SHARED  *Shared
  )
{
  UINT64  Tables;
  UINT64  *Pointers;
  UINT64  Directory;
  UINT64  Own;
  UINT64  Index;

  Tables    = Shared->ActivationTables;
  Own       = Shared->MsegBase / SIZE_1GB;
  Pointers  = (UINT64 *)(UINTN)(Tables + STM_TABLES_POINTERS);
  Directory = (Own < DIRECTORIES) ? Pointers[Own] & ENTRY_ADDRESS : 0;
  if (((Shared->MsegEnd - 1) / SIZE_1GB != Own) ||
      ((*(CONST UINT64 *)(UINTN)Tables & ENTRY_ADDRESS) != Tables + STM_TABLES_POINTERS) ||
      (Directory != Tables + STM_TABLES_DIRECTORY (Own)))
  {
    return FALSE;
  }

  for (Index = 0; Index < DIRECTORIES; Index++) {
    if (Index != Own) {
      Pointers[Index] = 0;
    }
  }

  //
  // The processor may remember the tables as they were, and is not to go through memory.
  //
  AsmWriteCr3 (AsmReadCr3 ());
  Shared->Draft          = Tables + STM_TABLES_DRAFT (Own);
  Shared->BiosList       = Tables + STM_TABLES_BIOS_LIST (Own);
  Shared->BiosRoom       = 1;
  Shared->Domains.Places = (UINT64 *)(UINTN)(Tables + STM_TABLES_DOMAINS);
  return TRUE;
}

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
  )
{
  BOOLEAN  Large;
  UINT64   First;
  UINT64   Each;
  UINT64   End;
  UINT64   Needed;
  UINT64   Reserve;
  UINT64   Rest;
  UINT64   ListPages;
  UINT64   List;
  UINT64   RingPages;
  UINT32   Records;

  First = Shared->Dynamic + STM_DYNAMIC_SHARED_SIZE;
  Large = (BOOLEAN)(Shared->VmcsSize > STM_VMCS_ROOM);
  if (Large) {
    Shared->BlockSize  = STM_LARGE_BLOCK_SIZE;
    Shared->FirstBlock = First - STM_LARGE_BLOCK_START;
    Each               = STM_LARGE_BLOCK_SIZE + STM_LARGE_VMCSS_SIZE;
    Reserve            = STM_LARGE_RESERVE_PAGES;
  } else {
    Shared->BlockSize  = STM_BLOCK_SIZE;
    Shared->FirstBlock = First;
    Each               = STM_BLOCK_SIZE;
    Reserve            = STM_RESERVE_PAGES;
  }

  Needed = First + Processors * Each + Reserve * SIZE_4KB;
  End    = (Shared->Snapshot.Pages == 0) ? Shared->MsegEnd : Shared->Snapshot.Roots;
  if (End < Needed) {
    return FALSE;
  }

  Rest      = (End - Needed) / SIZE_4KB;
  ListPages = (STM_BIOS_LIST_PAGES (Rest) == STM_BIOS_PAGES) ? STM_BIOS_PAGES : 0;
  Rest     -= ListPages;
  RingPages = STM_RING_MOST_PAGES;
  while (RingPages > Rest) {
    RingPages /= 2;
  }

  Rest             -= RingPages;
  Shared->PoolPages = (UINT32)MIN (Reserve + Rest, STM_POOL_MOST_PAGES);
  Shared->Pool      = End - (UINT64)Shared->PoolPages * SIZE_4KB;
  Shared->Ring      = Shared->Pool - RingPages * SIZE_4KB;
  List              = Shared->Ring - ListPages * SIZE_4KB;
  if (ListPages != 0) {
    Shared->BiosList = List;
    Shared->BiosRoom = STM_BIOS_PAGES;
  }

  Shared->ProcessorLimit = Processors;
  Shared->BlockLimit     = (UINT32)MIN ((List - First) / Each, STM_WINDOWS - 1);
  if (Shared->Snapshot.Pages != 0) {
    //
    // With the spare one as many as there are top tables.
    //
    Shared->BlockLimit = MIN (Shared->BlockLimit, Processors);
  }

  if (Large) {
    Shared->Vmcss = List - (UINT64)Shared->BlockLimit * STM_LARGE_VMCSS_SIZE;
  }

  //
  // Parts of a power of two. One that is no larger than what a block has is of no use.
  //
  Records = (UINT32)RingPages * STM_RECORDS_A_PAGE;
  while ((UINT64)Records * Processors > RingPages * STM_RECORDS_A_PAGE) {
    Records /= 2;
  }

  Shared->RingRecords = (Records > STM_BLOCK_RING_RECORDS) ? Records : 0;
  return (BOOLEAN)((Processors != 0) && (Processors <= Shared->BlockLimit));
}
