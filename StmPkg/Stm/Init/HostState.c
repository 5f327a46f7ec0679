/** @file
  The STM's own environment: page tables with W^X, IDT, and per processor a GDT
  and a TSS.

  The page tables are those of the activation, with other leaves: the top of them would be
  the same, and MSEG has no room for a second one. What an activation finds there it must
  get along with, whatever it brings: EFER.NXE may be 0, which makes bit 63 of an entry a
  reserved one, until Entry/Activate.nasm has set it. Up to there it fetches text and writes
  to the page of pointers, so that neither has the bit, and both are read-only: the
  processor comes with CR0.WP = 0.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Bitmap.h"
#include "Protect/Ept.h"

#define PAGE_PRESENT  BIT0
#define PAGE_WRITE    BIT1
#define PAGE_NX       BIT63

//
// Accessed and dirty are preset, so that the processor never writes the tables.
//
#define PAGE_PRESET     (BIT5 | BIT6)
#define PAGE_TABLE      (PAGE_PRESENT | PAGE_WRITE | BIT5)
#define PAGE_CODE       (PAGE_PRESENT | PAGE_PRESET)
#define PAGE_READ_ONLY  (PAGE_PRESENT | PAGE_PRESET | PAGE_NX)
#define PAGE_DATA       (PAGE_PRESENT | PAGE_WRITE | PAGE_PRESET | PAGE_NX)

#define PAGE_LARGE  BIT7

/**
  The leaf that maps a page: TSEG identity-mapped, nothing else. Of MSEG only the text is
  executable and writable, but for the top tables, only the dynamic area.

  @param[in] Shared  Shared state with the memory map filled in.
  @param[in] Page    Physical address.

  @return The leaf, 0 for none.
**/
STATIC
UINT64
LeafOf (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  )
{
  CONST STM_LAB_HEADER  *Header;
  UINT64                Tables;

  Header = (CONST STM_LAB_HEADER *)(UINTN)(Shared->MsegBase + STM_MSEG_LAB_HEADER_OFFSET);
  Tables = Shared->ActivationTables;
  if ((Page < Shared->TsegBase) || (Page >= Shared->TsegEnd)) {
    return 0;
  }

  if ((Page - Shared->MsegBase - Header->TextOffset < Header->TextSize) || (Page == Tables + STM_TABLES_POINTERS)) {
    return Page | PAGE_CODE;
  }

  if (((Page >= Shared->MsegBase) && (Page < Tables)) || (Page == STM_DIRECTORY_OF (Shared))) {
    return Page | PAGE_READ_ONLY;
  }

  return Page | PAGE_DATA;
}

/**
  Make the activation tables the STM's own.

  They may be in use: by processors that wait for the lock, and by one that is leaving. These
  need the image and the front of the dynamic area. So each entry changes by one store, and
  what maps these is at the same place and says the same at each activation, even if TSEG is
  told otherwise.

  @param[in,out] Shared  Shared state with the memory map filled in.
  @param[out]    Used    Pages of the pool that they take.

  @retval TRUE   Done; Shared->HostCr3 and Shared->Windows are set.
  @retval FALSE  TSEG lies in more than one GB, or the tables do not fit into their pages.
**/
STATIC
BOOLEAN
BuildPageTables (
  IN OUT STM_SHARED  *Shared,
  OUT    UINT32      *Used
  )
{
  volatile UINT64  *Directory;
  volatile UINT64  *Table;
  UINT64           First;
  UINT64           Region;
  UINT64           Entry;
  UINTN            MsegFirst;
  UINTN            MsegTables;
  UINTN            Index;
  UINTN            Page;
  UINTN            Number;

  Directory = (volatile UINT64 *)(UINTN)STM_DIRECTORY_OF (Shared);
  First     = Shared->TsegBase & ~(UINT64)(SIZE_1GB - 1);

  //
  // Windows in the same GB as TSEG take one table of their own: in its second 2 MB, so that
  // none is at address 0, or behind TSEG if it begins there.
  //
  Shared->HostCr3    = Shared->ActivationTables;
  Shared->WindowBase = First + SIZE_2MB;
  if (Shared->TsegBase < Shared->WindowBase + SIZE_2MB) {
    Shared->WindowBase = ALIGN_VALUE (Shared->TsegEnd, SIZE_2MB);
  }

  if (MAX (Shared->TsegEnd, Shared->WindowBase + SIZE_2MB) > First + SIZE_1GB) {
    return FALSE;
  }

  //
  // The first pages are for what others need. Behind that MSEG is data, for which a large
  // leaf is enough: where a boundary of 2 MB lies there, the EPT gets the table that the
  // second half would take.
  //
  MsegFirst  = (UINTN)(Shared->MsegBase - First) / SIZE_2MB;
  MsegTables = (UINTN)(Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP - 1 - First) / SIZE_2MB - MsegFirst + 1;
  *Used      = (UINT32)MsegTables;
  for (Index = 0; Index < STM_PAGE_MAP_ENTRIES; Index++) {
    Region = First + Index * SIZE_2MB;
    Entry  = 0;
    if ((Region == Shared->WindowBase) || ((Region < Shared->TsegEnd) && (Region + SIZE_2MB > Shared->TsegBase))) {
      Entry  = Region | PAGE_DATA | PAGE_LARGE;
      Number = Index - MsegFirst;
      if ((Number < MsegTables) || (Region < Shared->TsegBase) || (Region + SIZE_2MB > Shared->TsegEnd)) {
        if (Number >= MsegTables) {
          Number = *Used;
          *Used += 1;
        }

        if (Number >= Shared->PoolPages) {
          return FALSE;
        }

        Table = (volatile UINT64 *)(UINTN)(Shared->Pool + Number * SIZE_4KB);
        Entry = (UINTN)Table | PAGE_TABLE;
        if (Region == Shared->WindowBase) {
          Shared->Windows = (UINT64 *)Table;
        }

        for (Page = 0; Page < STM_PAGE_MAP_ENTRIES; Page++) {
          Table[Page] = LeafOf (Shared, Region + Page * SIZE_4KB);
        }
      }
    }

    Directory[Index] = Entry;
  }

  return TRUE;
}

/**
  Build the STM's page tables, IDT, EPT and bitmaps: once, by the first
  processor. Where only the EPT does not fit, the STM works, but can only refuse.

  @param[in,out] Shared  Shared state with the memory map filled in. EptPointer is 0
                         afterwards if MSEG has too few pages for the EPT.
  @param[in]     Stubs   First exception stub.

  @return 0, or why it cannot be done (STM_BAD_STATE).
**/
UINT32
StmBuildShared (
  IN OUT STM_SHARED  *Shared,
  IN     UINTN       Stubs
  )
{
  UINT32  Used;

  VmxBuildIdt (Shared->Idt, Stubs);
  if (!BuildPageTables (Shared, &Used)) {
    return StmBadPageTables;
  }

  //
  // What they have left of the pool is the EPT's.
  //
  Shared->EptPool  = Shared->Pool + (UINT64)Used * SIZE_4KB;
  Shared->EptPages = Shared->PoolPages - Used;
  StmBuildBitmaps (Shared);
  if (!StmCanUseEpt ()) {
    return StmBadProtection;
  }

  StmBuildEpt (Shared);
  return 0;
}

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
  )
{
  IA32_DESCRIPTOR  Gdtr;
  IA32_DESCRIPTOR  Idtr;
  IA32_CR0         Cr0;
  IA32_CR4         Cr4;

  VmxBuildHostTables (
    &Processor->Host,
    (UINTN)Processor - STM_BLOCK_PROCESSOR +
    ((Shared->Vmcss == 0) ? STM_BLOCK_CRASH_STACK_TOP : STM_LARGE_BLOCK_CRASH_STACK_TOP)
    );
  Gdtr.Limit = sizeof (Processor->Host.Gdt) - 1;
  Gdtr.Base  = (UINTN)&Processor->Host.Gdt;
  Idtr.Limit = sizeof (Shared->Idt) - 1;
  Idtr.Base  = (UINTN)Shared->Idt;
  AsmLoadTables (&Gdtr, &Idtr);

  //
  // The executive monitor's EFER is part of the guest state, but the activating
  // VMCS holds it only if its controls say so (DM-ACT-33): keep it. Entry/Activate.nasm
  // has set NXE since.
  //
  Processor->Efer = Processor->Interrupted.Reserved;

  Cr0.UintN   = AsmReadCr0 ();
  Cr0.Bits.WP = 1;
  AsmWriteCr0 (Cr0.UintN);

  //
  // OSFXSR: without it FXSAVE need not save the XMM registers.
  //
  Cr4.UintN       = 0;
  Cr4.Bits.PAE    = 1;
  Cr4.Bits.MCE    = 1;
  Cr4.Bits.OSFXSR = 1;
  Cr4.Bits.VMXE   = 1;
  AsmWriteCr4 (Cr4.UintN);
  AsmWriteCr3 (Shared->HostCr3);
}
