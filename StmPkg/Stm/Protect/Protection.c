/** @file
  What the SMI handler can reach: identity EPT over the full physical width
  minus MSEG, and bitmaps that are open but for what would subvert the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

#define EPT_RWX  (EPT_READ | EPT_WRITE | EPT_EXECUTE)

#define EPT_LEAF_WB  (EPT_RWX | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT))
#define EPT_LEAF_UC  (EPT_RWX | (EPT_MEMORY_TYPE_UC << EPT_MEMORY_TYPE_SHIFT))

///
/// Byte offset of the bitmap for WRMSR of MSRs 0 to 1FFFH, "MSR-Bitmap
/// Address", 24.6.9 [25.6.9].
///
#define MSR_BITMAP_WRITE_LOW  0x800

/**
  Does a range lie in TSEG and outside MSEG?

  @param[in] Shared  Shared state.
  @param[in] Base    Physical address.
  @param[in] Length  Bytes, not 0.

  @retval TRUE   Every byte does.
  @retval FALSE  Some byte does not.
**/
BOOLEAN
StmInHandlerSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Base,
  IN UINT64            Length
  )
{
  UINT64  End;

  End = Base + Length;
  return (BOOLEAN)((End > Base) &&
                   (Base >= Shared->TsegBase) && (End <= Shared->TsegEnd) &&
                   ((End <= Shared->MsegBase) || (Base >= Shared->MsegEnd)));
}

/**
  Does a page that the executive monitor names overlap TSEG (DM-RET-70)?

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address of a 4-KB page.

  @retval TRUE   It overlaps TSEG.
  @retval FALSE  It does not.
**/
BOOLEAN
StmPageInTseg (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  )
{
  return (BOOLEAN)((Page < Shared->TsegEnd) && (Page + SIZE_4KB > Shared->TsegBase));
}

/**
  Build the EPT of the SMI handler and its bitmaps.

  Memory types: write-back below the top of TSEG, which is the top of low RAM;
  uncached from there to 4 GB, where the chipset's MMIO lies; write-back above.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages, or the processor lacks
                 what it needs.
**/
BOOLEAN
StmBuildProtection (
  IN OUT STM_SHARED  *Shared
  )
{
  STM_PAGE_MAP  Map;
  UINT64        Capability;
  UINT64        Limit;
  UINT8         *Bitmap;

  //
  // IA32_VMX_EPT_VPID_CAP exists only where EPT (or VPID) does; reading it
  // elsewhere raises #GP.
  //
  if (((AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS) & BIT63) == 0) ||
      ((AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS2) & LShiftU64 (VMX_CPU2_EPT, 32)) == 0))
  {
    return FALSE;
  }

  Capability = AsmReadMsr64 (MSR_IA32_VMX_EPT_VPID_CAP);
  if ((Capability & (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES)) !=
      (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES))
  {
    return FALSE;
  }

  Limit = LShiftU64 (1, Shared->PhysicalBits);
  StmPageMapInit (
    &Map,
    (UINT64 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_EPT),
    Shared->Dynamic + STM_DYNAMIC_EPT,
    STM_EPT_PAGES,
    EPT_RWX,
    (BOOLEAN)((Capability & EPT_CAP_1GB_PAGES) != 0)
    );
  if (!StmPageMapRange (&Map, 0, 0, Shared->MsegBase, EPT_LEAF_WB) ||
      !StmPageMapRange (&Map, Shared->MsegEnd, Shared->MsegEnd, Shared->TsegEnd - Shared->MsegEnd, EPT_LEAF_WB) ||
      !StmPageMapRange (&Map, Shared->TsegEnd, Shared->TsegEnd, SIZE_4GB - Shared->TsegEnd, EPT_LEAF_UC) ||
      !StmPageMapRange (&Map, SIZE_4GB, SIZE_4GB, Limit - SIZE_4GB, EPT_LEAF_WB))
  {
    return FALSE;
  }

  Shared->EptPointer = Map.PoolPhysical | EPT_POINTER_WALK_4 | EPT_MEMORY_TYPE_WB;

  //
  // A second activation builds the tables anew at the same place.
  //
  if ((Capability & EPT_CAP_INVEPT_ALL) != 0) {
    AsmInvEpt (INVEPT_ALL_CONTEXTS, 0);
  }

  //
  // The handler could move MSEG or forbid the executive monitor's calls by
  // writing IA32_SMM_MONITOR_CTL, and forge records at the STM's port.
  // Everything else stays open.
  //
  Bitmap = (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP + MSR_BITMAP_WRITE_LOW);

  Bitmap[MSR_IA32_SMM_MONITOR_CTL / 8] |= (UINT8)(1 << (MSR_IA32_SMM_MONITOR_CTL % 8));

  Bitmap = (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_IO_BITMAP_A);

  Bitmap[STM_RECORD_PORT_STM / 8] |= (UINT8)(1 << (STM_RECORD_PORT_STM % 8));
  return TRUE;
}
