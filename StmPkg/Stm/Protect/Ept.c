/** @file
  What memory the SMI handler can reach: an identity EPT over the full physical
  width minus MSEG, and minus what the executive monitor protects. It can execute what
  is in its SMRAM and nothing else: others could write it while it runs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"

#define EPT_RWX  (EPT_READ | EPT_WRITE | EPT_EXECUTE)

#define EPT_LEAF_WB     (EPT_READ | EPT_WRITE | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT))
#define EPT_LEAF_UC     (EPT_READ | EPT_WRITE | (EPT_MEMORY_TYPE_UC << EPT_MEMORY_TYPE_SHIFT))
#define EPT_LEAF_SMRAM  (EPT_LEAF_WB | EPT_EXECUTE)

#define EPT_NEEDED  (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES)

/**
  Forget translations that this processor has from the EPT.
**/
VOID
StmFlushEpt (
  VOID
  )
{
  if ((VmxReadEptCapability () & EPT_CAP_INVEPT_ALL) != 0) {
    AsmInvEpt (INVEPT_ALL_CONTEXTS, 0);
  }
}

/**
  The accesses to memory that the handler does not have: those that the executive monitor
  protects, and execution outside SMRAM.

  @param[in]  Shared   Shared state.
  @param[in]  Profile  The profile.
  @param[in]  Place    Physical address.
  @param[out] End      First address behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
STATIC
UINT32
DeniedAt (
  IN  CONST STM_SHARED   *Shared,
  IN  CONST STM_PROFILE  *Profile,
  IN  UINT64             Place,
  OUT UINT64             *End
  )
{
  UINT32  Access;

  Access = StmProfileAt (Profile, StmSpaceMemory, Place, End);
  if (Place < Shared->TsegBase) {
    *End = MIN (*End, Shared->TsegBase);
  } else if (Place < Shared->TsegEnd) {
    *End = MIN (*End, Shared->TsegEnd);
    return Access;
  }

  return Access | STM_ACCESS_EXECUTE;
}

/**
  The permissions of an EPT entry where some accesses are protected.

  Without reads there are no writes, which is no valid entry, and no fetches, which
  not every processor can allow alone.

  @param[in] Access  What is protected.

  @return EPT_READ and so on.
**/
STATIC
UINT64
Permissions (
  IN UINT32  Access
  )
{
  return ((Access & STM_ACCESS_READ) != 0) ? 0 : (EPT_RWX & ~(UINT64)Access);
}

/**
  Are there enough pages for the tables that a profile takes?

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.

  @retval TRUE   There are: StmApplyEpt cannot fail.
  @retval FALSE  There are not.
**/
BOOLEAN
StmEptHasRoom (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile
  )
{
  CONST STM_RANGE  *Range;
  UINT64           Counted[2];
  UINT32           Cost;
  UINTN            Index;

  Counted[0] = MAX_UINT64;
  Counted[1] = MAX_UINT64;
  Cost       = 0;
  for (Index = 0; Index < Profile->Count; Index++) {
    Range = &Profile->Ranges[Index];
    if (Range->Space == StmSpaceMemory) {
      Cost += StmPageMapCost (&Shared->Ept, Range->Base, Counted);
      Cost += StmPageMapCost (&Shared->Ept, Range->End, Counted);
    }
  }

  return (BOOLEAN)(Cost <= Shared->Ept.PoolPages - Shared->Ept.PoolUsed);
}

/**
  Bring the EPT of the SMI handler in line with a profile, within a range.

  @param[in,out] Shared     Shared state.
  @param[in]     Profile    The profile; StmEptHasRoom has said that there is room.
  @param[in]     Range      Memory that the profile may have changed in.
**/
VOID
StmApplyEpt (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST STM_RANGE    *Range
  )
{
  UINT64  Place;
  UINT64  End;
  UINT32  Access;

  for (Place = Range->Base; Place < Range->End; Place = End) {
    Access = DeniedAt (Shared, Profile, Place, &End);
    End    = MIN (End, Range->End);
    StmPageMapChange (&Shared->Ept, Place, End - Place, EPT_RWX, Permissions (Access));
  }
}

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
  STM_PAGE_MAP  *Map;
  UINT64        Capability;
  UINT64        Limit;

  Capability = VmxReadEptCapability ();
  if ((Capability & EPT_NEEDED) != EPT_NEEDED) {
    return FALSE;
  }

  Map   = &Shared->Ept;
  Limit = LShiftU64 (1, Shared->PhysicalBits);
  StmPageMapInit (
    Map,
    (UINT64 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_EPT),
    Shared->Dynamic + STM_DYNAMIC_EPT,
    STM_EPT_PAGES,
    EPT_RWX,
    (BOOLEAN)((Capability & EPT_CAP_1GB_PAGES) != 0)
    );
  if (!StmPageMapRange (Map, 0, 0, Shared->TsegBase, EPT_LEAF_WB) ||
      !StmPageMapRange (Map, Shared->TsegBase, Shared->TsegBase, Shared->MsegBase - Shared->TsegBase, EPT_LEAF_SMRAM) ||
      !StmPageMapRange (Map, Shared->MsegEnd, Shared->MsegEnd, Shared->TsegEnd - Shared->MsegEnd, EPT_LEAF_SMRAM) ||
      !StmPageMapRange (Map, Shared->TsegEnd, Shared->TsegEnd, SIZE_4GB - Shared->TsegEnd, EPT_LEAF_UC) ||
      !StmPageMapRange (Map, SIZE_4GB, SIZE_4GB, Limit - SIZE_4GB, EPT_LEAF_WB))
  {
    return FALSE;
  }

  Shared->EptPointer = Map->PoolPhysical | EPT_POINTER_WALK_4 | EPT_MEMORY_TYPE_WB;

  //
  // A second activation builds the tables anew at the same place.
  //
  StmFlushEpt ();
  return TRUE;
}
