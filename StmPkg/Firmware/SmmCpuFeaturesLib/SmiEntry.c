/** @file
  Installs the SMI entry code.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/StmResourceLib.h>
#include <Register/Intel/Cpuid.h>

#define CPUID_EXTENDED_XD       BIT20
#define FOUR_LEVEL_PAGING_BITS  48

/**
  Which optional steps the entry code takes on this platform's processors.

  @return SMI_ENTRY_FLAG_*.
**/
STATIC
UINT32
EntryFlags (
  VOID
  )
{
  UINT32  MaximumLeaf;
  UINT32  Edx;
  UINT32  Ebx;
  UINT32  Flags;

  Flags = 0;
  AsmCpuid (CPUID_EXTENDED_FUNCTION, &MaximumLeaf, NULL, NULL, NULL);
  if (MaximumLeaf >= CPUID_EXTENDED_CPU_SIG) {
    AsmCpuid (CPUID_EXTENDED_CPU_SIG, NULL, NULL, NULL, &Edx);
    if ((Edx & CPUID_EXTENDED_XD) != 0) {
      Flags |= SMI_ENTRY_FLAG_XD;
    }
  }

  //
  // Only Intel's processors have IA32_MISC_ENABLE.XD_DISABLE; the first four
  // letters of the vendor tell.
  //
  AsmCpuid (CPUID_SIGNATURE, NULL, &Ebx, NULL, NULL);
  if (((Flags & SMI_ENTRY_FLAG_XD) != 0) && (Ebx == CPUID_SIGNATURE_GENUINE_INTEL_EBX)) {
    Flags |= SMI_ENTRY_FLAG_MISC_ENABLE;
  }

  return Flags;
}

/**
  Size of the SMI entry code.

  @return Bytes; never 0, since the default entry code of PiSmmCpuDxeSmm reads a
          descriptor of its own where the STM expects this one.
**/
UINTN
EFIAPI
SmmCpuFeaturesGetSmiHandlerSize (
  VOID
  )
{
  return gSmiEntrySize;
}

/**
  Install the SMI entry code of one processor. Called by the monarch processor
  for each of them, before the first SMI.

  @param[in] CpuIndex   Index of the processor in the SMM system table.
  @param[in] SmBase     SMBASE of the processor.
  @param[in] SmiStack   Lowest address of its stack in SMM.
  @param[in] StackSize  Bytes of the stack.
  @param[in] GdtBase    Its GDT in SMM.
  @param[in] GdtSize    Bytes of the GDT.
  @param[in] IdtBase    Its IDT in SMM.
  @param[in] IdtSize    Bytes of the IDT.
  @param[in] Cr3        Page tables of SMM.
**/
VOID
EFIAPI
SmmCpuFeaturesInstallSmiHandler (
  IN UINTN   CpuIndex,
  IN UINT32  SmBase,
  IN VOID    *SmiStack,
  IN UINTN   StackSize,
  IN UINTN   GdtBase,
  IN UINTN   GdtSize,
  IN UINTN   IdtBase,
  IN UINTN   IdtSize,
  IN UINT32  Cr3
  )
{
  SMI_ENTRY_PARAMETERS  *Parameters;
  UINT8                 *Entry;
  UINTN                 *Stack;

  //
  // All of SMM lies below 4 GB, as the 32-bit fields require.
  //
  ASSERT (((UINTN)SmiStack + StackSize <= BASE_4GB) && (GdtBase < BASE_4GB));
  ASSERT (gSmiEntryParametersOffset + sizeof (*Parameters) == gSmiEntrySize);

  //
  // PiSmmCpuDxeSmm builds page tables of five levels only for wider addresses;
  // the entry code does not set CR4.LA57.
  //
  ASSERT (StmPhysicalAddressBits () <= FOUR_LEVEL_PAGING_BITS);

  //
  // The index lies where RSP points at the entry, for both kinds of it.
  //
  Stack  = (UINTN *)((UINTN)SmiStack + StackSize - sizeof (UINTN));
  *Stack = CpuIndex;

  Entry = (UINT8 *)((UINTN)SmBase + SMM_HANDLER_OFFSET);
  CopyMem (Entry, gSmiEntryTemplate, gSmiEntrySize);

  Parameters                = (SMI_ENTRY_PARAMETERS *)(Entry + gSmiEntryParametersOffset);
  Parameters->GdtLimit      = (UINT16)(GdtSize - 1);
  Parameters->GdtBase       = (UINT32)GdtBase;
  Parameters->ProtectedRip  = (UINT32)(UINTN)Entry + gSmiEntryProtectedOffset;
  Parameters->ProtectedCs   = SMM_CODE32_SELECTOR;
  Parameters->LongRip       = (UINT32)(UINTN)Entry + gSmiEntryLongOffset;
  Parameters->LongCs        = SMM_CODE64_SELECTOR;
  Parameters->EntryBase     = (UINT32)(UINTN)Entry;
  Parameters->Cr3           = Cr3;
  Parameters->Stack         = (UINT32)(UINTN)Stack;
  Parameters->Flags         = EntryFlags ();
  Parameters->IdtLimit      = (UINT16)(IdtSize - 1);
  Parameters->IdtBase       = IdtBase;
  Parameters->CommonHandler = (UINTN)SmiEntryCommonHandler;

  PsdFill (SmBase, (UINTN)Stack, GdtBase, GdtSize, Cr3);
}
