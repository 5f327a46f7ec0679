/** @file
  From a linear address to a physical one, by the page tables of whoever was
  interrupted, or of the SMI handler: what a processor does, without its caches and
  without permissions.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Walk.h"
#include <Register/Vmx.h>
#include <Library/BaseLib.h>

#define ENTRY_PRESENT  BIT0
#define ENTRY_LARGE    BIT7
#define ENTRY_ADDRESS  0x000FFFFFFFFFF000ULL
#define EPT_PRESENT    (EPT_READ | EPT_WRITE | EPT_EXECUTE)

#define PDPT_ADDRESS  0xFFFFFFE0

///
/// Of 32-bit paging: a page directory entry of 4 MB, with bits 39:32 of the address
/// in 20:13 ("Use of the PDE with 4-MByte pages", table 4-4).
///
#define PSE_ADDRESS  0xFFC00000
#define PSE_OFFSET   0x003FFFFF
#define PSE_HIGH(Entry)  LShiftU64 (((Entry) >> 13) & 0xFF, 32)

#define LEVEL_SHIFT(Level)  (12 + 9 * (Level))
#define LEVEL_MASK(Level)   (LShiftU64 (1, LEVEL_SHIFT (Level)) - 1)

/**
  Read an 8-byte entry of a table.

  @param[in]  Space    Whose tables.
  @param[in]  Address  Where: as the tables say, guest-physical below EPT.
  @param[out] Entry    The entry.

  @retval TRUE   Read.
  @retval FALSE  The address leads nowhere, or to memory that must not be read.
**/
STATIC
BOOLEAN
ReadEntry (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Address,
  OUT UINT64                   *Entry
  );

/**
  Walk tables of 512 entries.

  @param[in]  Space     How to read them; below EPT, if Space says so.
  @param[in]  Table     Address of the first one.
  @param[in]  Level     Its level, 0 for the lowest.
  @param[in]  Present   An entry is there if one of these bits is set.
  @param[in]  Address   What to translate.
  @param[out] Physical  Where it is.

  @retval TRUE   Found.
  @retval FALSE  An entry is not there.
**/
STATIC
BOOLEAN
WalkTables (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Table,
  IN  UINTN                    Level,
  IN  UINT64                   Present,
  IN  UINT64                   Address,
  OUT UINT64                   *Physical
  )
{
  UINT64  Entry;

  for ( ; ; Level--) {
    Table += (RShiftU64 (Address, LEVEL_SHIFT (Level)) & 0x1FF) * sizeof (UINT64);
    if (!ReadEntry (Space, Table, &Entry) || ((Entry & Present) == 0)) {
      return FALSE;
    }

    if ((Level == 0) || ((Level < 3) && ((Entry & ENTRY_LARGE) != 0))) {
      *Physical = (Entry & ENTRY_ADDRESS & ~LEVEL_MASK (Level)) | (Address & LEVEL_MASK (Level));
      return TRUE;
    }

    Table = Entry & ENTRY_ADDRESS;
  }
}

/**
  From a guest-physical address to a physical one.

  @param[in]  Space     Whose EPT; without one both are the same.
  @param[in]  Address   Guest-physical address.
  @param[out] Physical  Where it is.

  @retval TRUE   Found.
  @retval FALSE  An entry is not there.
**/
STATIC
BOOLEAN
TranslateEpt (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Address,
  OUT UINT64                   *Physical
  )
{
  STM_ADDRESS_SPACE  Below;

  *Physical = Address;
  if (Space->EptPointer == 0) {
    return TRUE;
  }

  if (RShiftU64 (Address, 48) != 0) {
    return FALSE;
  }

  Below            = *Space;
  Below.EptPointer = 0;
  return WalkTables (&Below, Space->EptPointer & ENTRY_ADDRESS, 3, EPT_PRESENT, Address, Physical);
}

/**
  Read an 8-byte entry of a table.

  @param[in]  Space    Whose tables.
  @param[in]  Address  Where: as the tables say, guest-physical below EPT.
  @param[out] Entry    The entry.

  @retval TRUE   Read.
  @retval FALSE  The address leads nowhere, or to memory that must not be read.
**/
STATIC
BOOLEAN
ReadEntry (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Address,
  OUT UINT64                   *Entry
  )
{
  UINT64  Physical;

  return (BOOLEAN)(TranslateEpt (Space, Address, &Physical) && Space->Read (Space->Context, Physical, Entry));
}

/**
  32-bit paging.

  @param[in]  Space     Whose tables.
  @param[in]  Linear    Address below 4 GB.
  @param[out] Physical  Where it is, guest-physical below EPT.

  @retval TRUE   Found.
  @retval FALSE  An entry is not there.
**/
STATIC
BOOLEAN
Walk32 (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Linear,
  OUT UINT64                   *Physical
  )
{
  UINT64  Pair;
  UINT64  Table;
  UINT64  Address;
  UINT32  Entry;
  UINTN   Level;

  Table = Space->Cr3 & ENTRY_ADDRESS & MAX_UINT32;
  for (Level = 1; ; Level--) {
    Address = Table + ((UINT32)Linear >> (12 + 10 * Level) & 0x3FF) * sizeof (UINT32);
    if (!ReadEntry (Space, Address & ~(UINT64)7, &Pair)) {
      return FALSE;
    }

    Entry = (UINT32)(((Address & 4) != 0) ? RShiftU64 (Pair, 32) : Pair);
    if ((Entry & ENTRY_PRESENT) == 0) {
      return FALSE;
    }

    if (Level == 0) {
      *Physical = (Entry & ENTRY_ADDRESS) | (Linear & (SIZE_4KB - 1));
      return TRUE;
    }

    if (Space->Pse && ((Entry & ENTRY_LARGE) != 0)) {
      *Physical = PSE_HIGH (Entry) | (Entry & PSE_ADDRESS) | (Linear & PSE_OFFSET);
      return TRUE;
    }

    Table = Entry & ENTRY_ADDRESS;
  }
}

/**
  PAE paging.

  @param[in]  Space     Whose tables.
  @param[in]  Linear    Address below 4 GB.
  @param[out] Physical  Where it is, guest-physical below EPT.

  @retval TRUE   Found.
  @retval FALSE  An entry is not there.
**/
STATIC
BOOLEAN
WalkPae (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Linear,
  OUT UINT64                   *Physical
  )
{
  UINT64  Entry;

  if (!ReadEntry (Space, (Space->Cr3 & PDPT_ADDRESS) + (RShiftU64 (Linear, 30) & 3) * sizeof (UINT64), &Entry) ||
      ((Entry & ENTRY_PRESENT) == 0))
  {
    return FALSE;
  }

  return WalkTables (Space, Entry & ENTRY_ADDRESS, 1, ENTRY_PRESENT, Linear, Physical);
}

/**
  Find where a linear address is, by page tables and EPT.

  @param[in]  Space     Whose.
  @param[in]  Linear    The address.
  @param[out] Physical  Where it is.

  @retval TRUE   Found.
  @retval FALSE  It is not mapped, or the tables are where they must not be read.
**/
BOOLEAN
StmWalk (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Linear,
  OUT UINT64                   *Physical
  )
{
  UINT64   Address;
  BOOLEAN  Found;

  if (Space->Flat) {
    Address = Linear;
    Found   = (BOOLEAN)(Linear <= MAX_UINT32);
  } else if (Space->Ia32e) {
    //
    // Canonical: bits 63:47 are equal.
    //
    Found = (BOOLEAN)((RShiftU64 (Linear + LShiftU64 (1, 47), 48) == 0) &&
                      WalkTables (Space, Space->Cr3 & ENTRY_ADDRESS, 3, ENTRY_PRESENT, Linear, &Address));
  } else if (Linear > MAX_UINT32) {
    Found = FALSE;
  } else {
    Found = Space->Pae ? WalkPae (Space, Linear, &Address) : Walk32 (Space, Linear, &Address);
  }

  return (BOOLEAN)(Found && TranslateEpt (Space, Address, Physical));
}
