/** @file
  Pages of the snapshot policy, and the EPT tables by which a processor's SMI handler sees
  its copies.

  Each processor has a top table of its own. Between SMIs it refers to the tables that all
  share, in which memory outside SMRAM is closed. Where the handler gets a copy, the tables
  on the way to it are replaced by private ones, so that nobody else's handler sees it:

    top table ---- shared -------- shared ----- shared
       |
       +---------- private ------- private ---- private --- copy

  At the end of the SMI the top table is made as it was, and all that was taken is free.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Snapshot.h"
#include "Log/Log.h"
#include <Library/SynchronizationLib.h>

#define EPT_TABLE  (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define TOP_LEVEL  3

///
/// STM_SNAPSHOT_USE.Page of a table. A page has an address that is a multiple of 4 KB.
///
#define USED_AS_TABLE  1

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
  )
{
  return (BOOLEAN)((Shared->Snapshot.Pages != 0) && ((Page < Shared->TsegBase) || (Page >= SIZE_4GB)) &&
                   (Page - STM_ECAM_BASE (Ecam) >= STM_ECAM_SIZE (Ecam)));
}

/**
  The top table of a processor's EPT.

  @param[in] Processor  The processor.

  @return It.
**/
STATIC
UINT64 *
RootOf (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return (UINT64 *)(UINTN)STM_SNAPSHOT_ROOT (Processor);
}

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
  )
{
  return (VOID *)(UINTN)(Shared->Snapshot.Pool + (UINT64)Number * SIZE_4KB);
}

/**
  Take a page, until the end of the SMI. Without one the handler can neither go on nor be
  told: the platform is reset.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       What it is going to be a copy of, or STM_SNAPSHOT_BEFORE.

  @return Its number.
**/
UINT32
StmSnapshotTake (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  )
{
  STM_SNAPSHOTS  *Snapshot;
  UINT32         Number;

  Snapshot = &Processor->Shared->Snapshot;
  for (Number = 0; Number < Snapshot->Pages; Number++) {
    if ((*(volatile UINT32 *)&Snapshot->Uses[Number].Owner == 0) &&
        (InterlockedCompareExchange32 (&Snapshot->Uses[Number].Owner, 0, Processor->Slot + 1) == 0))
    {
      Snapshot->Uses[Number].Page   = Page;
      Snapshot->Uses[Number].Before = 0;
      Processor->SnapshotPages++;
      return Number;
    }
  }

  StmCrash (
    Processor,
    StmCrashSnapshotFull,
    VmRead (VMCS_EXIT_REASON),
    VmRead (VMCS_GUEST_PHYSICAL_ADDRESS),
    VmRead (VMCS_GUEST_RIP),
    Snapshot->Pages
    );
  return 0;
}

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
  )
{
  STM_SNAPSHOT_USE  *Use;

  do {
    Use      = &Processor->Shared->Snapshot.Uses[*Number];
    *Number += 1;
  } while (*(volatile UINT32 *)&Use->Owner != Processor->Slot + 1);

  return Use;
}

/**
  A table of a processor's own, in place of what an entry says.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in,out] Entry      Entry of a table of its own; not 0.
  @param[in]     Level      The entry's level, above 0.

  @return The table.
**/
STATIC
UINT64 *
OwnTable (
  IN OUT STM_PROCESSOR  *Processor,
  IN OUT UINT64         *Entry,
  IN     UINTN          Level
  )
{
  CONST STM_SNAPSHOTS  *Snapshot;
  UINT64               *Table;
  UINT64               Leaf;
  UINTN                Index;

  Snapshot = &Processor->Shared->Snapshot;
  Table    = (UINT64 *)(UINTN)(*Entry & EPT_ADDRESS_MASK);
  if (((*Entry & EPT_LARGE_PAGE) == 0) && ((UINTN)Table - Snapshot->Pool < (UINT64)Snapshot->Pages * SIZE_4KB)) {
    return Table;
  }

  Leaf  = *Entry;
  Table = StmSnapshotPage (Processor->Shared, StmSnapshotTake (Processor, USED_AS_TABLE));
  if ((Leaf & EPT_LARGE_PAGE) == 0) {
    CopyMem (Table, (CONST VOID *)(UINTN)(Leaf & EPT_ADDRESS_MASK), SIZE_4KB);
  } else {
    if (Level == 1) {
      Leaf &= ~(UINT64)EPT_LARGE_PAGE;
    }

    for (Index = 0; Index < EPT_ENTRIES_PER_TABLE; Index++) {
      Table[Index] = Leaf + Index * STM_PAGE_MAP_SIZE (Level - 1);
    }
  }

  *Entry = (UINTN)Table | EPT_TABLE;
  return Table;
}

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
  )
{
  UINT64  *Table;
  UINT64  *Entry;
  UINTN   Index;
  UINTN   Level;

  Table = RootOf (Processor);
  for (Level = TOP_LEVEL; ; Level--) {
    Index = (UINTN)(Page >> STM_PAGE_MAP_SHIFT (Level)) % EPT_ENTRIES_PER_TABLE;
    Entry = &Table[Index];
    if (Level == 0) {
      return Entry;
    }

    if ((*Entry == 0) && (Level == TOP_LEVEL)) {
      //
      // Memory above 512 GB that was mapped since the last SMI.
      //
      *Entry = Processor->Shared->Ept.Pool[Index];
    }

    if (*Entry == 0) {
      return NULL;
    }

    Table = OwnTable (Processor, Entry, Level);
  }
}

/**
  Let a processor's tables be the shared ones again.

  @param[in] Processor  This processor.
**/
VOID
StmSnapshotResetMap (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CopyMem (RootOf (Processor), Processor->Shared->Ept.Pool, SIZE_4KB);
}

/**
  What is protected has changed while the handler has copies: it keeps them, but has to
  touch each again to see it.

  @param[in,out] Processor  This processor; the caller flushes its translations.
**/
VOID
StmSnapshotHide (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SNAPSHOT_USE  *Use;
  UINT32            Number;
  UINT32            Left;

  StmSnapshotResetMap (Processor);
  Number = 0;
  for (Left = Processor->SnapshotPages; Left != 0; Left--) {
    Use = StmSnapshotNext (Processor, &Number);
    if (Use->Page == USED_AS_TABLE) {
      *(volatile UINT32 *) &Use->Owner = 0;
      Processor->SnapshotPages--;
    }
  }
}
