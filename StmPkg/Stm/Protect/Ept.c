/** @file
  What memory the SMI handler can reach: an identity EPT over the full physical
  width minus MSEG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"

#define EPT_RWX  (EPT_READ | EPT_WRITE | EPT_EXECUTE)

#define EPT_LEAF_WB  (EPT_RWX | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT))
#define EPT_LEAF_UC  (EPT_RWX | (EPT_MEMORY_TYPE_UC << EPT_MEMORY_TYPE_SHIFT))

#define EPT_NEEDED  (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES)

/**
  Build the EPT of the SMI handler.

  Memory types: write-back below the top of TSEG, which is the top of low RAM;
  uncached from there to 4 GB, where the chipset's MMIO lies; write-back above.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages, or the processor lacks
                 what it needs.
**/
BOOLEAN
StmBuildEpt (
  IN OUT STM_SHARED  *Shared
  )
{
  STM_PAGE_MAP  Map;
  UINT64        Capability;
  UINT64        Limit;

  Capability = VmxReadEptCapability ();
  if ((Capability & EPT_NEEDED) != EPT_NEEDED) {
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

  return TRUE;
}
