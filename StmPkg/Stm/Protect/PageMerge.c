/** @file
  Tables that are not needed any more: leaves that are alike again become one, and the
  pages of the tables go back to the pool.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "PageMap.h"

/**
  Replace a table by one leaf, if its leaves are alike and follow one another.

  @param[in,out] Map    The set.
  @param[in,out] Entry  An entry above the lowest level.
  @param[in]     Level  Its level.
**/
STATIC
VOID
Collapse (
  IN OUT STM_PAGE_MAP  *Map,
  IN OUT UINT64        *Entry,
  IN     UINTN         Level
  )
{
  CONST UINT64  *Table;
  UINT64        First;
  UINT64        Page;
  UINTN         Index;

  if ((*Entry == 0) || ((*Entry & STM_PAGE_MAP_LARGE) != 0)) {
    return;
  }

  Table = StmPageMapTable (Map, *Entry);
  First = Table[0];
  if ((First == 0) || ((Level > 1) && ((First & STM_PAGE_MAP_LARGE) == 0)) ||
      ((First & STM_PAGE_MAP_ADDRESS_MASK & (STM_PAGE_MAP_SIZE (Level) - 1)) != 0))
  {
    return;
  }

  for (Index = 1; Index < STM_PAGE_MAP_ENTRIES; Index++) {
    if (Table[Index] != First + Index * STM_PAGE_MAP_SIZE (Level - 1)) {
      return;
    }
  }

  Page                      = ((*Entry & STM_PAGE_MAP_ADDRESS_MASK) - Map->PoolPhysical) / SIZE_4KB;
  *(volatile UINT64 *)Entry = First | STM_PAGE_MAP_LARGE;
  Map->Retired[Page / 64]  |= 1ULL << (Page % 64);
}

/**
  Put leaves together that can be one larger leaf, and retire the tables that held them.
  Each entry changes by one store.

  @param[in,out] Map        The set.
  @param[in]     Virtual    First address, below 2^48, of what has changed.
  @param[in]     Length     Bytes.
**/
VOID
EFIAPI
StmPageMapMerge (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Length
  )
{
  UINT64  *Entry;
  UINT64  *Table;
  UINT64  Address;
  UINT64  End;
  UINTN   Index;

  End = Virtual + Length;
  for (Address = Virtual & ~(STM_PAGE_MAP_SIZE (2) - 1); Address < End; Address += STM_PAGE_MAP_SIZE (2)) {
    Entry = &Map->Pool[(Address >> STM_PAGE_MAP_SHIFT (3)) % STM_PAGE_MAP_ENTRIES];
    if (*Entry == 0) {
      continue;
    }

    Entry = &StmPageMapTable (Map, *Entry)[(Address >> STM_PAGE_MAP_SHIFT (2)) % STM_PAGE_MAP_ENTRIES];
    if ((*Entry == 0) || ((*Entry & STM_PAGE_MAP_LARGE) != 0)) {
      continue;
    }

    Table = StmPageMapTable (Map, *Entry);
    for (Index = 0; Index < STM_PAGE_MAP_ENTRIES; Index++) {
      if ((Address + (Index + 1) * STM_PAGE_MAP_SIZE (1) > Virtual) && (Address + Index * STM_PAGE_MAP_SIZE (1) < End)) {
        Collapse (Map, &Table[Index], 1);
      }
    }

    if (Map->HugePages != 0) {
      Collapse (Map, Entry, 2);
    }
  }
}

/**
  Make the retired tables free: no processor has them in its caches any more.

  @param[in,out] Map  The set.
**/
VOID
EFIAPI
StmPageMapReclaim (
  IN OUT STM_PAGE_MAP  *Map
  )
{
  UINTN  Index;

  for (Index = 0; Index < STM_PAGE_MAP_WORDS; Index++) {
    Map->Free[Index]   |= Map->Retired[Index];
    Map->Retired[Index] = 0;
  }
}

/**
  How many tables can still be made.

  @param[in] Map  The set.

  @return Tables.
**/
UINT32
EFIAPI
StmPageMapRoom (
  IN CONST STM_PAGE_MAP  *Map
  )
{
  UINT32  Room;
  UINTN   Index;
  UINT64  Bits;

  Room = Map->PoolPages - Map->PoolUsed;
  for (Index = 0; Index < STM_PAGE_MAP_WORDS; Index++) {
    for (Bits = Map->Free[Index]; Bits != 0; Bits &= Bits - 1) {
      Room++;
    }
  }

  return Room;
}
