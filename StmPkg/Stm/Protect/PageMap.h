/** @file
  Four-level tables from a fixed pool: the STM's own page tables and the EPT of
  the SMI handler have the same shape and differ only in attribute bits.

  Pure code: compiles on the host. The pool is addressed twice, by pointer and
  by physical address, which are equal in the STM and differ in a test.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PAGE_MAP_H_
#define STM_PAGE_MAP_H_

#include <Base.h>

#define STM_PAGE_MAP_LARGE         BIT7                  ///< leaf above the lowest level, page tables and EPT alike
#define STM_PAGE_MAP_ADDRESS_MASK  0x000FFFFFFFFFF000ULL

///
/// Entries of a table, and bytes that one entry of a level covers; level 0 is the lowest.
///
#define STM_PAGE_MAP_ENTRIES  512
#define STM_PAGE_MAP_SHIFT(Level)  (12 + 9 * (Level))
#define STM_PAGE_MAP_SIZE(Level)   (1ULL << STM_PAGE_MAP_SHIFT (Level))

///
/// Most pages of a pool, and words of a set of them.
///
#define STM_PAGE_MAP_MOST_PAGES  512
#define STM_PAGE_MAP_WORDS       (STM_PAGE_MAP_MOST_PAGES / 64)

///
/// One set of tables. Page 0 of the pool is the top table.
///
/// A table that is not needed any more is *retired*: a processor may still hold on to it
/// in its caches of paging structures, and would read what is written there next.
/// StmPageMapReclaim makes it free.
///
typedef struct {
  UINT64    *Pool;                       ///< pages of 512 entries
  UINT64    PoolPhysical;                ///< physical address of Pool
  UINT32    PoolPages;                   ///< pages in the pool, 1 to STM_PAGE_MAP_MOST_PAGES
  UINT32    PoolUsed;                    ///< pages that were ever taken, the top table included
  UINT64    TableAttributes;             ///< bits of an entry that refers to a table; not 0
  UINT64    HugePages;                   ///< not 0: leaves of 1 GB may be used
  UINT64    Retired[STM_PAGE_MAP_WORDS]; ///< a bit a page: not in use, but not yet to be written
  UINT64    Free[STM_PAGE_MAP_WORDS];    ///< a bit a page: to be taken again
} STM_PAGE_MAP;

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
  );

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
  );

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
  );

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
  );

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
  );

/**
  Make the retired tables free: no processor has them in its caches any more.

  @param[in,out] Map  The set.
**/
VOID
EFIAPI
StmPageMapReclaim (
  IN OUT STM_PAGE_MAP  *Map
  );

/**
  How many tables can still be made.

  @param[in] Map  The set.

  @return Tables.
**/
UINT32
EFIAPI
StmPageMapRoom (
  IN CONST STM_PAGE_MAP  *Map
  );

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
  );

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
  );

#endif
