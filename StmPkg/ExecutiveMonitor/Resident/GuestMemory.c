/** @file
  Memory as the guest sees it, for what is carried out in its place: through EPT,
  and through the guest's own page tables.

  VMX root operation maps all physical memory. So whatever address comes from the
  guest goes through EPT first, or the guest would have us read what is hidden
  from it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define TABLE_INDEX_BITS  9
#define TABLE_INDEX_MASK  0x1FF
#define TOP_SHIFT         39            ///< of an address, for the index in a PML4
#define PAGE_SHIFT        12

#define PAGE_PRESENT   BIT0
#define PAGE_WRITABLE  BIT1
#define PAGE_USER      BIT2
#define PAGE_LARGE     BIT7

///
/// Paging with 32-bit entries: their index has 10 bits, and those of 4-MB pages hold
/// bits 39:32 of the address in bits 20:13.
///
#define LEGACY_TOP_SHIFT   22
#define LEGACY_INDEX_MASK  0x3FF
#define LEGACY_LARGE_MASK  0xFFC00000U
#define LEGACY_HIGH_SHIFT  13
#define LEGACY_HIGH_MASK   0xFF

///
/// PAE paging: PDPTEs are in the VMCS, page directories below them.
///
#define PAE_PDPTE_SHIFT  30
#define PAE_TOP_SHIFT    21

#define EFER_LMA  BIT10

/**
  Where guest-physical memory is.

  @param[in] Address  Guest-physical address.

  @return Its place in VMX root operation, readable to the end of its 4-KB page.
          Where there is nothing for the guest, a place that reads as ones.
**/
CONST VOID *
EFIAPI
ExecGuestMemory (
  IN UINT64  Address
  )
{
  UINT64  Entry;
  UINT64  Page;
  UINTN   Shift;

  Entry = (RShiftU64 (Address, TOP_SHIFT) < gExecParameters->TableCount) ? VmRead (VMCS_EPT_POINTER) : 0;
  for (Shift = TOP_SHIFT; (Entry & EPT_ADDRESS_MASK) != 0; Shift -= TABLE_INDEX_BITS) {
    Page  = Entry & EPT_ADDRESS_MASK;
    Entry = ((CONST UINT64 *)(UINTN)Page)[RShiftU64 (Address, Shift) & TABLE_INDEX_MASK];
    if ((Entry & EPT_READ) == 0) {
      break;
    }

    if ((Shift == PAGE_SHIFT) || ((Entry & EPT_LARGE_PAGE) != 0)) {
      Page = LShiftU64 (1, Shift) - 1;
      return (CONST VOID *)(UINTN)((Entry & EPT_ADDRESS_MASK & ~Page) | (Address & Page));
    }
  }

  return (CONST VOID *)(UINTN)(gExecParameters->UnbackedPage + (Address & (SIZE_4KB - 1)));
}

/**
  Walk page tables with 8-byte entries.

  @param[in]     Table   Guest-physical address of the first table.
  @param[in]     Shift   Of the linear address, for the index in the first table.
  @param[in]     Linear  Linear address.
  @param[in,out] Rights  Loses what an entry does not grant.

  @return Guest-physical address, or MAX_UINT64 if an entry is not present.
**/
STATIC
UINT64
WalkTables (
  IN     UINT64  Table,
  IN     UINTN   Shift,
  IN     UINT64  Linear,
  IN OUT UINT64  *Rights
  )
{
  UINT64  Entry;
  UINT64  Page;

  for (Entry = Table; ; Shift -= TABLE_INDEX_BITS) {
    Page  = (Entry & EPT_ADDRESS_MASK) + (RShiftU64 (Linear, Shift) & TABLE_INDEX_MASK) * sizeof (UINT64);
    Entry = *(CONST UINT64 *)ExecGuestMemory (Page);
    if ((Entry & PAGE_PRESENT) == 0) {
      return MAX_UINT64;
    }

    *Rights &= Entry;
    if ((Shift <= PAGE_SHIFT) || ((Shift < TOP_SHIFT) && ((Entry & PAGE_LARGE) != 0))) {
      Page = LShiftU64 (1, Shift) - 1;
      return (Entry & EPT_ADDRESS_MASK & ~Page) | (Linear & Page);
    }
  }
}

/**
  Walk page tables with 4-byte entries.

  @param[in]     Linear  Linear address.
  @param[in,out] Rights  Loses what an entry does not grant.

  @return Guest-physical address, or MAX_UINT64 if an entry is not present.
**/
STATIC
UINT64
WalkLegacyTables (
  IN     UINT32  Linear,
  IN OUT UINT64  *Rights
  )
{
  IA32_CR4  Cr4;
  UINT32    Entry;
  UINT64    Table;

  Cr4.UintN = (UINTN)VmRead (VMCS_GUEST_CR4);
  Table     = VmRead (VMCS_GUEST_CR3) & ~(UINT64)(SIZE_4KB - 1);
  Entry     = *(CONST UINT32 *)ExecGuestMemory (Table + (Linear >> LEGACY_TOP_SHIFT) * sizeof (UINT32));
  *Rights  &= Entry;
  if (((Entry & PAGE_PRESENT) != 0) && ((Entry & PAGE_LARGE) != 0) && (Cr4.Bits.PSE != 0)) {
    return LShiftU64 ((Entry >> LEGACY_HIGH_SHIFT) & LEGACY_HIGH_MASK, 32) |
           (Entry & LEGACY_LARGE_MASK) | (Linear & ~LEGACY_LARGE_MASK);
  }

  if ((Entry & PAGE_PRESENT) != 0) {
    Table    = Entry & ~(UINT32)(SIZE_4KB - 1);
    Entry    = *(CONST UINT32 *)ExecGuestMemory (Table + ((Linear >> PAGE_SHIFT) & LEGACY_INDEX_MASK) * sizeof (UINT32));
    *Rights &= Entry;
  }

  return ((Entry & PAGE_PRESENT) == 0) ? MAX_UINT64 :
         (Entry & ~(UINT32)(SIZE_4KB - 1)) | (Linear & (SIZE_4KB - 1));
}

/**
  Translate a linear address of the guest.

  @param[in]  Linear    Linear address.
  @param[in]  Needed    PAGE_USER, PAGE_WRITABLE: what the entries must grant.
  @param[out] Physical  Guest-physical address.

  @retval TRUE   Translated.
  @retval FALSE  The guest would take a page fault.
**/
STATIC
BOOLEAN
TranslateLinear (
  IN  UINT64  Linear,
  IN  UINT64  Needed,
  OUT UINT64  *Physical
  )
{
  IA32_CR0  Cr0;
  IA32_CR4  Cr4;
  UINT64    Entry;
  UINT64    Rights;

  Cr0.UintN = (UINTN)VmRead (VMCS_GUEST_CR0);
  Cr4.UintN = (UINTN)VmRead (VMCS_GUEST_CR4);
  Rights    = PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
  if (Cr0.Bits.PG == 0) {
    *Physical = Linear;
    return TRUE;
  }

  if ((VmRead (VMCS_GUEST_IA32_EFER) & EFER_LMA) != 0) {
    *Physical = WalkTables (
                  VmRead (VMCS_GUEST_CR3),
                  (Cr4.Bits.LA57 != 0) ? TOP_SHIFT + TABLE_INDEX_BITS : TOP_SHIFT,
                  Linear,
                  &Rights
                  );
  } else if (Cr4.Bits.PAE != 0) {
    Entry     = VmRead (VMCS_GUEST_PDPTE0 + 2 * ((UINT32)Linear >> PAE_PDPTE_SHIFT));
    *Physical = ((Entry & PAGE_PRESENT) == 0) ? MAX_UINT64 : WalkTables (Entry, PAE_TOP_SHIFT, Linear, &Rights);
  } else {
    *Physical = WalkLegacyTables ((UINT32)Linear, &Rights);
  }

  return (BOOLEAN)((*Physical != MAX_UINT64) && ((Rights & Needed) == Needed));
}

/**
  Read memory of the guest at a linear address.

  @param[in]  Linear  Linear address.
  @param[out] Buffer  What was read.
  @param[in]  Size    Bytes.
  @param[in]  User    With the guest's present privilege; FALSE for an access that the
                      processor makes of itself.

  @retval TRUE   Done.
  @retval FALSE  The guest would take a page fault.
**/
BOOLEAN
ExecReadGuest (
  IN  UINT64   Linear,
  OUT VOID     *Buffer,
  IN  UINTN    Size,
  IN  BOOLEAN  User
  )
{
  UINT64  Physical;
  UINT64  Needed;
  UINTN   Index;

  Needed = 0;
  if (User && ((VmRead (VMCS_GUEST_SS_ACCESS_RIGHTS) & VMX_ACCESS_DPL_MASK) == VMX_ACCESS_DPL_MASK)) {
    Needed = PAGE_USER;
  }

  for (Index = 0; Index < Size; Index++) {
    if (!TranslateLinear (Linear + Index, Needed, &Physical)) {
      return FALSE;
    }

    ((UINT8 *)Buffer)[Index] = *(CONST UINT8 *)ExecGuestMemory (Physical);
  }

  return TRUE;
}

/**
  Write memory of the guest at a linear address, as the processor does of itself. What
  the guest has no access to is not written, as on a bus without a device.

  @param[in] Linear  Linear address.
  @param[in] Buffer  What to write.
  @param[in] Size    Bytes.

  @retval TRUE   Done.
  @retval FALSE  The guest would take a page fault; some bytes may be written.
**/
BOOLEAN
ExecWriteGuest (
  IN UINT64      Linear,
  IN CONST VOID  *Buffer,
  IN UINTN       Size
  )
{
  IA32_CR0  Cr0;
  UINT64    Physical;
  UINT64    Host;
  UINTN     Index;

  Cr0.UintN = (UINTN)VmRead (VMCS_GUEST_CR0);
  for (Index = 0; Index < Size; Index++) {
    if (!TranslateLinear (Linear + Index, (Cr0.Bits.WP != 0) ? PAGE_WRITABLE : 0, &Physical)) {
      return FALSE;
    }

    Host = (UINT64)(UINTN)ExecGuestMemory (Physical);
    if (Host - gExecParameters->UnbackedPage >= SIZE_4KB) {
      *(UINT8 *)(UINTN)Host = ((CONST UINT8 *)Buffer)[Index];
    }
  }

  return TRUE;
}
