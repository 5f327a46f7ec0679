/** @file
  Four-level tables from a fixed pool.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "PageMap.h"

#define TOP_LEVEL    3
#define SPACE_LIMIT  (1ULL << 48)

/**
  Empty a table.

  @param[out] Table  The table.
**/
STATIC
VOID
ClearTable (
  OUT UINT64  *Table
  )
{
  UINTN  Index;

  for (Index = 0; Index < STM_PAGE_MAP_ENTRIES; Index++) {
    Table[Index] = 0;
  }
}

/**
  Start an empty set of tables.

  @param[out] Map              The set.
  @param[in]  Pool             Pages; they need not be zeroed.
  @param[in]  PoolPhysical     Their physical address, 4-KB aligned.
  @param[in]  PoolPages        Number of pages, 1 to STM_PAGE_MAP_MOST_PAGES.
  @param[in]  TableAttributes  Bits of an entry that refers to a table, not 0.
  @param[in]  HugePages        TRUE if leaves of 1 GB may be used.
**/
VOID
EFIAPI
StmPageMapInit (
  OUT STM_PAGE_MAP  *Map,
  IN  UINT64        *Pool,
  IN  UINT64        PoolPhysical,
  IN  UINT32        PoolPages,
  IN  UINT64        TableAttributes,
  IN  BOOLEAN       HugePages
  )
{
  UINTN  Index;

  Map->Pool            = Pool;
  Map->PoolPhysical    = PoolPhysical;
  Map->PoolPages       = PoolPages;
  Map->PoolUsed        = 1;
  Map->TableAttributes = TableAttributes;
  Map->HugePages       = HugePages ? 1 : 0;
  for (Index = 0; Index < STM_PAGE_MAP_WORDS; Index++) {
    Map->Retired[Index] = 0;
    Map->Free[Index]    = 0;
  }

  ClearTable (Pool);
}

/**
  The table that an entry refers to.

  @param[in] Map    The set.
  @param[in] Entry  A present entry that is not a leaf.

  @return Its table.
**/
UINT64 *
EFIAPI
StmPageMapTable (
  IN CONST STM_PAGE_MAP  *Map,
  IN UINT64              Entry
  )
{
  return Map->Pool + ((Entry & STM_PAGE_MAP_ADDRESS_MASK) - Map->PoolPhysical) / sizeof (UINT64);
}

/**
  Take a page for a table: one that was given back, else one that was never used.

  @param[in,out] Map  The set.

  @return An entry that refers to it, 0 if the pool is exhausted.
**/
STATIC
UINT64
TakePage (
  IN OUT STM_PAGE_MAP  *Map
  )
{
  UINT32  Page;

  for (Page = 0; Page < Map->PoolUsed; Page++) {
    if ((Map->Free[Page / 64] & (1ULL << (Page % 64))) != 0) {
      Map->Free[Page / 64] &= ~(1ULL << (Page % 64));
      break;
    }
  }

  if (Page == Map->PoolUsed) {
    if (Map->PoolUsed == Map->PoolPages) {
      return 0;
    }

    Map->PoolUsed++;
  }

  return (Map->PoolPhysical + (UINT64)Page * SIZE_4KB) | Map->TableAttributes;
}

/**
  The table one level down, made if there is none.

  @param[in,out] Map    The set.
  @param[in,out] Entry  Entry of the upper table.

  @return The lower table, NULL if the pool is exhausted or Entry is a leaf.
**/
STATIC
UINT64 *
Descend (
  IN OUT STM_PAGE_MAP  *Map,
  IN OUT UINT64        *Entry
  )
{
  UINT64  Link;

  if (*Entry == 0) {
    Link = TakePage (Map);
    if (Link == 0) {
      return NULL;
    }

    ClearTable (StmPageMapTable (Map, Link));
    *(volatile UINT64 *)Entry = Link;
  } else if ((*Entry & STM_PAGE_MAP_LARGE) != 0) {
    return NULL;
  }

  return StmPageMapTable (Map, *Entry);
}

/**
  Map a range with the largest leaves that its alignment allows. The range must
  not have been mapped with larger leaves before; mapping it again with leaves
  of the same size replaces them.

  @param[in,out] Map         The set.
  @param[in]     Virtual     First address, 4-KB aligned, below 2^48.
  @param[in]     Physical    What it maps to, 4-KB aligned.
  @param[in]     Length      Bytes, multiple of 4 KB; 0 maps nothing.
  @param[in]     Attributes  Bits of a leaf, without STM_PAGE_MAP_LARGE. 0 with
                             Physical 0 removes leaves.

  @retval TRUE   Mapped.
  @retval FALSE  The pool is exhausted, an argument is not aligned, or a larger
                 leaf is in the way. Part of the range may be mapped.
**/
BOOLEAN
EFIAPI
StmPageMapRange (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Physical,
  IN     UINT64        Length,
  IN     UINT64        Attributes
  )
{
  UINT64  *Table;
  UINT64  *Entry;
  UINT64  Both;
  UINTN   Level;
  UINTN   Leaf;

  if ((((Virtual | Physical | Length) & (SIZE_4KB - 1)) != 0) ||
      (Virtual > SPACE_LIMIT) || (Length > SPACE_LIMIT - Virtual))
  {
    return FALSE;
  }

  while (Length != 0) {
    Both = Virtual | Physical;
    Leaf = 0;
    if (((Both & (STM_PAGE_MAP_SIZE (2) - 1)) == 0) && (Length >= STM_PAGE_MAP_SIZE (2)) && (Map->HugePages != 0)) {
      Leaf = 2;
    } else if (((Both & (STM_PAGE_MAP_SIZE (1) - 1)) == 0) && (Length >= STM_PAGE_MAP_SIZE (1))) {
      Leaf = 1;
    }

    Table = Map->Pool;
    for (Level = TOP_LEVEL; Level > Leaf; Level--) {
      Table = Descend (Map, &Table[(Virtual >> STM_PAGE_MAP_SHIFT (Level)) % STM_PAGE_MAP_ENTRIES]);
      if (Table == NULL) {
        return FALSE;
      }
    }

    Entry = &Table[(Virtual >> STM_PAGE_MAP_SHIFT (Leaf)) % STM_PAGE_MAP_ENTRIES];
    if ((Leaf > 0) && (*Entry != 0) && ((*Entry & STM_PAGE_MAP_LARGE) == 0)) {
      return FALSE;
    }

    *Entry = 0;
    if (Attributes != 0) {
      *Entry = Physical | Attributes | ((Leaf > 0) ? STM_PAGE_MAP_LARGE : 0);
    }

    Virtual  += STM_PAGE_MAP_SIZE (Leaf);
    Physical += STM_PAGE_MAP_SIZE (Leaf);
    Length   -= STM_PAGE_MAP_SIZE (Leaf);
  }

  return TRUE;
}

/**
  Split a leaf into the 512 of the level below.

  @param[in,out] Map    The set.
  @param[in,out] Entry  A leaf above the lowest level.
  @param[in]     Level  Its level.

  @return The new table, NULL if the pool is exhausted.
**/
STATIC
UINT64 *
Split (
  IN OUT STM_PAGE_MAP  *Map,
  IN OUT UINT64        *Entry,
  IN     UINTN         Level
  )
{
  UINT64  Leaf;
  UINT64  Link;
  UINT64  *Table;
  UINTN   Index;

  Link = TakePage (Map);
  if (Link == 0) {
    return NULL;
  }

  Leaf = *Entry;
  if (Level == 1) {
    Leaf &= ~(UINT64)STM_PAGE_MAP_LARGE;
  }

  Table = StmPageMapTable (Map, Link);
  for (Index = 0; Index < STM_PAGE_MAP_ENTRIES; Index++) {
    Table[Index] = Leaf + Index * STM_PAGE_MAP_SIZE (Level - 1);
  }

  *(volatile UINT64 *)Entry = Link;
  return Table;
}

/**
  Replace attribute bits of the leaves of a range. Leaves that reach out of it, and
  whose bits would change, are split; what is not mapped stays so.

  Each entry changes by one store, and a new table is complete before an entry
  refers to it: others may walk the tables at the same time.

  @param[in,out] Map        The set.
  @param[in]     Virtual    First address, 4-KB aligned, below 2^48.
  @param[in]     Length     Bytes, multiple of 4 KB.
  @param[in]     Mask       Attribute bits to replace.
  @param[in]     Bits       Their new value.

  @retval TRUE   Done.
  @retval FALSE  The pool is exhausted, or an argument is not aligned. Part of the range
                 may be changed.
**/
BOOLEAN
EFIAPI
StmPageMapChange (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Length,
  IN     UINT64        Mask,
  IN     UINT64        Bits
  )
{
  UINT64  *Table;
  UINT64  *Entry;
  UINT64  Size;
  UINT64  End;
  UINTN   Level;

  if ((((Virtual | Length) & (SIZE_4KB - 1)) != 0) || (Virtual > SPACE_LIMIT) || (Length > SPACE_LIMIT - Virtual)) {
    return FALSE;
  }

  End = Virtual + Length;
  while (Virtual < End) {
    Table = Map->Pool;
    for (Level = TOP_LEVEL; ; Level--) {
      Size  = STM_PAGE_MAP_SIZE (Level);
      Entry = &Table[(Virtual >> STM_PAGE_MAP_SHIFT (Level)) % STM_PAGE_MAP_ENTRIES];
      if ((*Entry == 0) || (Level == 0)) {
        break;
      }

      if ((*Entry & STM_PAGE_MAP_LARGE) == 0) {
        Table = StmPageMapTable (Map, *Entry);
        continue;
      }

      if (((*Entry & Mask) == Bits) || (((Virtual & (Size - 1)) == 0) && (End - Virtual >= Size))) {
        break;
      }

      Table = Split (Map, Entry, Level);
      if (Table == NULL) {
        return FALSE;
      }
    }

    if ((*Entry != 0) && ((*Entry & Mask) != Bits)) {
      *(volatile UINT64 *)Entry = (*Entry & ~Mask) | Bits;
    }

    Virtual = (Virtual & ~(Size - 1)) + Size;
  }

  return TRUE;
}

/**
  Find the leaf of an address.

  @param[in]  Map      The set.
  @param[in]  Virtual  Address below 2^48.
  @param[out] Size     Bytes that the leaf or the empty entry covers.

  @return The leaf, 0 if the address is not mapped.
**/
UINT64
EFIAPI
StmPageMapLookup (
  IN  CONST STM_PAGE_MAP  *Map,
  IN  UINT64              Virtual,
  OUT UINT64              *Size
  )
{
  CONST UINT64  *Table;
  UINT64        Entry;
  UINTN         Level;

  Table = Map->Pool;
  for (Level = TOP_LEVEL; ; Level--) {
    Entry = Table[(Virtual >> STM_PAGE_MAP_SHIFT (Level)) % STM_PAGE_MAP_ENTRIES];
    *Size = STM_PAGE_MAP_SIZE (Level);
    if ((Entry == 0) || (Level == 0) || ((Entry & STM_PAGE_MAP_LARGE) != 0)) {
      return Entry;
    }

    Table = StmPageMapTable (Map, Entry);
  }
}

/**
  How many tables it takes to let a leaf begin at an address. For a series of
  addresses in ascending order, with what is counted once for several of them.

  @param[in]     Map      The set.
  @param[in]     Virtual  The address, 4-KB aligned, below 2^48.
  @param[in,out] Counted  Addresses of the leaves that were counted last, one for each
                          of the two levels that can be split; MAX_UINT64 to begin.

  @return Tables.
**/
UINT32
EFIAPI
StmPageMapCost (
  IN     CONST STM_PAGE_MAP  *Map,
  IN     UINT64              Virtual,
  IN OUT UINT64              Counted[2]
  )
{
  UINT64  Size;
  UINT32  Cost;
  UINTN   Level;

  Cost = 0;
  if (StmPageMapLookup (Map, Virtual, &Size) == 0) {
    return 0;
  }

  for (Level = 2; Level > 0; Level--) {
    if ((Size < STM_PAGE_MAP_SIZE (Level)) || ((Virtual & (STM_PAGE_MAP_SIZE (Level) - 1)) == 0)) {
      continue;
    }

    if (Counted[Level - 1] != (Virtual & ~(STM_PAGE_MAP_SIZE (Level) - 1))) {
      Counted[Level - 1] = Virtual & ~(STM_PAGE_MAP_SIZE (Level) - 1);
      Cost++;
    }
  }

  return Cost;
}
