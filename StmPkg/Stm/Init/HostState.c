/** @file
  The STM's own environment: page tables with W^X, IDT, and per processor a GDT
  and a TSS.

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

#define EFER_NXE  BIT11

/**
  Build the page tables: TSEG identity-mapped, nothing else but empty windows. Of
  MSEG only the text is executable and only the dynamic area is writable.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->HostCr3 and Shared->Windows are set.
  @retval FALSE  The tables do not fit into their pages.
**/
STATIC
BOOLEAN
BuildPageTables (
  IN OUT STM_SHARED  *Shared
  )
{
  CONST STM_LAB_HEADER  *Header;
  STM_PAGE_MAP          *Map;
  UINT64                Base;
  UINT64                Window;
  UINT64                Text;
  UINT64                TextEnd;
  UINT64                Table;
  UINT32                Index;

  Map     = &Shared->PageTables;
  Base    = Shared->MsegBase;
  Header  = (CONST STM_LAB_HEADER *)(UINTN)(Base + STM_MSEG_LAB_HEADER_OFFSET);
  Text    = Base + Header->TextOffset;
  TextEnd = Text + Header->TextSize;
  StmPageMapInit (
    Map,
    (UINT64 *)(UINTN)Shared->Pool,
    Shared->Pool,
    Shared->PoolPages,
    PAGE_TABLE,
    FALSE
    );
  Shared->HostCr3 = Map->PoolPhysical;

  //
  // Windows in the same GB as TSEG take one table of their own: in its second 2 MB, so that
  // none is at address 0, or behind TSEG if it begins there. An empty leaf makes the tables
  // above it. The last of them, which has it, is the last one taken from the pool.
  //
  Window = (Shared->TsegBase & ~(UINT64)(SIZE_1GB - 1)) + SIZE_2MB;
  if (Shared->TsegBase < Window + SIZE_2MB) {
    Window = ALIGN_VALUE (Shared->TsegEnd, SIZE_2MB);
  }

  if (!StmPageMapRange (Map, Window, 0, SIZE_4KB, 0)) {
    return FALSE;
  }

  Shared->WindowBase = Window;
  Shared->Windows    = Map->Pool + (UINTN)(Map->PoolUsed - 1) * (SIZE_4KB / sizeof (UINT64));

  for (Index = 0; Index < STM_MSEG_ACTIVATION_TABLES_PAGES; Index++) {
    Table = Shared->ActivationTables + Index * SIZE_4KB;
    if (!StmPageMapRange (Map, Table, Table, SIZE_4KB, StmTableIsWalked (Shared, Index) ? PAGE_READ_ONLY : PAGE_DATA)) {
      return FALSE;
    }
  }

  return (BOOLEAN)((TextEnd <= Shared->ActivationTables) &&
                   StmPageMapRange (Map, Shared->TsegBase, Shared->TsegBase, Base - Shared->TsegBase, PAGE_DATA) &&
                   StmPageMapRange (Map, Base, Base, Text - Base, PAGE_READ_ONLY) &&
                   StmPageMapRange (Map, Text, Text, TextEnd - Text, PAGE_CODE) &&
                   StmPageMapRange (Map, TextEnd, TextEnd, Shared->ActivationTables - TextEnd, PAGE_READ_ONLY) &&
                   StmPageMapRange (Map, Shared->Dynamic, Shared->Dynamic, Shared->MsegEnd - Shared->Dynamic, PAGE_DATA) &&
                   StmPageMapRange (Map, Shared->MsegEnd, Shared->MsegEnd, Shared->TsegEnd - Shared->MsegEnd, PAGE_DATA));
}

/**
  Build the STM's page tables, IDT, EPT and bitmaps: once, by the first
  processor.

  @param[in,out] Shared  Shared state with the memory map filled in.
  @param[in]     Stubs   First exception stub.

  @return 0, or why it cannot be done (STM_BAD_STATE).
**/
UINT32
StmBuildShared (
  IN OUT STM_SHARED  *Shared,
  IN     UINTN       Stubs
  )
{
  VmxBuildIdt (Shared->Idt, Stubs);
  if (!BuildPageTables (Shared)) {
    return StmBadPageTables;
  }

  //
  // No more than these; what they have left of the pool is the EPT's.
  //
  Shared->PageTables.PoolPages = Shared->PageTables.PoolUsed;
  Shared->EptPool              = Shared->Pool + (UINT64)Shared->PageTables.PoolUsed * SIZE_4KB;
  Shared->EptPages             = Shared->PoolPages - Shared->PageTables.PoolUsed;
  StmBuildBitmaps (Shared);
  return StmBuildEpt (Shared) ? 0 : StmBadProtection;
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
  // VMCS holds it only if its controls say so (DM-ACT-33): keep it.
  //
  Processor->Efer = AsmReadMsr64 (MSR_IA32_EFER);
  AsmWriteMsr64 (MSR_IA32_EFER, Processor->Efer | EFER_NXE);

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
