/** @file
  What memory the SMI handler can reach: an identity EPT over the full physical
  width minus MSEG, and minus what the executive monitor protects. It can execute what
  is in its SMRAM and nothing else: others could write it while it runs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Ept.h"
#include "Snapshot.h"

#define EPT_RWX  (EPT_READ | EPT_WRITE | EPT_EXECUTE)

///
/// A bit that the processor ignores: with it an uncached leaf is not 0 without permissions.
///
#define EPT_MAPPED  BIT11

#define EPT_LEAF_CLOSED  (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT)
#define EPT_LEAF_WB      (EPT_READ | EPT_WRITE | EPT_LEAF_CLOSED)
#define EPT_LEAF_UC      (EPT_READ | EPT_WRITE | (EPT_MEMORY_TYPE_UC << EPT_MEMORY_TYPE_SHIFT) | EPT_MAPPED)
#define EPT_LEAF_SMRAM   (EPT_LEAF_WB | EPT_EXECUTE)

///
/// What one table of leaves of 1 GB maps.
///
#define MAPPED_FROM_START  (512ULL * SIZE_1GB)

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
  The accesses to memory that are protected: what the profile says of memory, and where
  memory is PCI configuration space, what it says of any register of the function. The
  STM carries out those that are not protected (Exit/Ecam.c).

  @param[in]  Profile  The profile.
  @param[in]  Ecam     STM_ECAM.
  @param[in]  Place    Physical address, aligned to 4 KB.
  @param[out] End      First address behind it, aligned to 4 KB, for which the answer may
                       differ.

  @return STM_ACCESS_READ and so on.
**/
STATIC
UINT32
AccessAt (
  IN  CONST STM_PROFILE  *Profile,
  IN  UINT64             Ecam,
  IN  UINT64             Place,
  OUT UINT64             *End
  )
{
  UINT64  Base;
  UINT64  Size;
  UINT64  Register;
  UINT64  Next;
  UINT32  Access;
  UINT32  Pci;

  Access = StmProfileAt (Profile, StmSpaceMemory, Place, End);
  Base   = STM_ECAM_BASE (Ecam);
  Size   = STM_ECAM_SIZE (Ecam);
  if (Place >= Base + Size) {
    return Access;
  }

  if (Place < Base) {
    *End = MIN (*End, Base);
    return Access;
  }

  //
  // Registers from the first of this function to the last of it, or of all functions of
  // which nothing is protected.
  //
  Register = Place - Base;
  *End     = MIN (*End, Base + Size);
  Pci      = StmProfileAt (Profile, StmSpacePci, Register, &Next);
  if ((Register < STM_PCI_FUNCTION_SIZE) && StmProfileHas (Profile, StmSpacePci)) {
    //
    // The host bridge, which says where ECAM is: StmPciIsOwn.
    //
    Access |= STM_ACCESS_WRITE;
    Next    = MIN (Next, STM_PCI_FUNCTION_SIZE - 1);
  }

  if ((Pci == 0) && (Next - Register >= STM_PCI_FUNCTION_SIZE)) {
    if (Next < Size) {
      *End = MIN (*End, Base + (Next & ~(UINT64)(STM_PCI_FUNCTION_SIZE - 1)));
    }

    return Access;
  }

  *End = MIN (*End, Place + STM_PCI_FUNCTION_SIZE);
  while (Next < Register + STM_PCI_FUNCTION_SIZE) {
    Pci |= StmProfileAt (Profile, StmSpacePci, Next, &Next);
  }

  return Access | Pci;
}

/**
  The accesses to memory that the handler does not have: those that the executive monitor
  protects, and execution outside SMRAM. Under the snapshot policy all accesses to memory
  there: the handler gets copies (Snapshot.c).

  @param[in]  Shared   Shared state.
  @param[in]  Profile  The profile.
  @param[in]  Ecam     STM_ECAM.
  @param[in]  Place    Physical address.
  @param[out] End      First address behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
STATIC
UINT32
DeniedAt (
  IN  CONST STM_SHARED   *Shared,
  IN  CONST STM_PROFILE  *Profile,
  IN  UINT64             Ecam,
  IN  UINT64             Place,
  OUT UINT64             *End
  )
{
  UINT32  Access;

  Access = AccessAt (Profile, Ecam, Place, End);
  if (Place < Shared->TsegBase) {
    *End = MIN (*End, Shared->TsegBase);
  } else if (Place < Shared->TsegEnd) {
    *End = MIN (*End, Shared->TsegEnd);
    return Access;
  } else if (Place < SIZE_4GB) {
    *End = MIN (*End, SIZE_4GB);
  }

  return Access | (StmIsSnapshot (Shared, Ecam, Place) ? STM_ACCESS_READ : STM_ACCESS_EXECUTE);
}

/**
  The leaf that maps memory or MMIO outside SMRAM, before anything is protected.

  Memory types: write-back below TSEG, whose end is the top of low RAM; uncached from there to
  4 GB, where the chipset's MMIO lies; write-back above.

  @param[in] Shared  Shared state.
  @param[in] Place   Physical address outside TSEG.

  @return The leaf, without its address.
**/
STATIC
UINT64
LeafOf (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Place
  )
{
  if ((Place >= Shared->TsegEnd) && (Place < SIZE_4GB)) {
    return EPT_LEAF_UC;
  }

  return StmIsSnapshot (Shared, 0, Place) ? EPT_LEAF_CLOSED : EPT_LEAF_WB;
}

/**
  Is memory mapped from the start?

  @param[in] Shared  Shared state, HugePages of its EPT filled in.
  @param[in] Place   Physical address.

  @retval TRUE   It is: without leaves of 1 GB only in the GB of TSEG, in the first one, where
                 firmware has tables, and in the fourth, where its registers are.
  @retval FALSE  It is mapped when the handler touches it.
**/
STATIC
BOOLEAN
IsFromStart (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Place
  )
{
  UINT64  Gb;

  if (Shared->Ept.HugePages != 0) {
    return (BOOLEAN)(Place < MAPPED_FROM_START);
  }

  Gb = Place / SIZE_1GB;
  return (BOOLEAN)((Gb == 0) || (Gb == 3) || ((Gb >= Shared->TsegBase / SIZE_1GB) && (Gb <= (Shared->TsegEnd - 1) / SIZE_1GB)));
}

/**
  Map what is mapped from the start of what lies outside the GB of TSEG.

  @param[in,out] Shared  Shared state, its EPT empty or with the GB of TSEG.
  @param[in]     First   Where the GB of TSEG begins, or what is mapped with it.
  @param[in]     End     Where that ends.

  @retval TRUE   Done.
  @retval FALSE  There are not enough pages.
**/
STATIC
BOOLEAN
MapElsewhere (
  IN OUT STM_SHARED  *Shared,
  IN     UINT64      First,
  IN     UINT64      End
  )
{
  UINT64  Place;

  if (Shared->Ept.HugePages != 0) {
    return StmPageMapRange (
             &Shared->Ept,
             SIZE_4GB,
             SIZE_4GB,
             MIN (LShiftU64 (1, Shared->PhysicalBits), MAPPED_FROM_START) - SIZE_4GB,
             LeafOf (Shared, SIZE_4GB)
             );
  }

  for (Place = 0; Place < SIZE_4GB; Place += SIZE_1GB) {
    if (((Place < First) || (Place >= End)) && IsFromStart (Shared, Place) &&
        !StmPageMapRange (&Shared->Ept, Place, Place, SIZE_1GB, LeafOf (Shared, Place)))
    {
      return FALSE;
    }
  }

  return TRUE;
}

/**
  Are there enough pages for the tables that a profile takes?

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Ecam     STM_ECAM to guard with it.

  @retval TRUE   There are: StmApplyEpt cannot fail.
  @retval FALSE  There are not.
**/
BOOLEAN
StmEptHasRoom (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN UINT64             Ecam
  )
{
  UINT64  Counted[2];
  UINT64  Place;
  UINT64  End;
  UINT64  Limit;
  UINT32  Access;
  UINT32  Before;
  UINT32  Cost;

  Counted[0] = MAX_UINT64;
  Counted[1] = MAX_UINT64;
  Cost       = 0;
  Before     = STM_ACCESS_EXECUTE;
  Limit      = LShiftU64 (1, Shared->PhysicalBits);
  for (Place = 0; Place < Limit; Place = End) {
    Access = DeniedAt (Shared, Profile, Ecam, Place, &End);
    if (Permissions (Access) != Permissions (Before)) {
      Cost += StmPageMapCost (&Shared->Ept, Place, Counted);
    }

    Before = Access;
  }

  return (BOOLEAN)(Cost <= StmPageMapRoom (&Shared->Ept));
}

/**
  Bring the EPT of the SMI handler in line with a profile, within a range. Tables that
  it takes no more are retired.

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
    Access = DeniedAt (Shared, Profile, Shared->Ecam, Place, &End);
    End    = MIN (End, Range->End);
    StmPageMapChange (&Shared->Ept, Place, End - Place, EPT_RWX, Permissions (Access));
  }

  StmPageMapMerge (&Shared->Ept, Range->Base, Range->End - Range->Base);
}

/**
  Map 1 GB of memory that the SMI handler has touched. To map all that it can address would
  take more tables than MSEG has: with leaves of 1 GB the one of each 512 GB, without them one
  of each GB.

  @param[in,out] Shared   Shared state.
  @param[in]     Profile  The profile.
  @param[in]     Address  Guest-physical address of an EPT violation.
  @param[in]     Access   STM_ACCESS_READ and so on, that the handler has tried.

  @retval TRUE   Mapped, as the profile says, now or by another processor since: the handler
                 can try again.
  @retval FALSE  It is mapped and closed to this access, is none that the processor has, or
                 there is no room.
**/
BOOLEAN
StmMapOnDemand (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Address,
  IN     UINT32             Access
  )
{
  STM_RANGE  Range;
  UINT64     Leaf;
  UINT64     Size;
  UINT64     Place;
  UINT64     End;
  UINT64     Region;
  UINT32     Tables;

  if ((RShiftU64 (Address, Shared->PhysicalBits) != 0) || IsFromStart (Shared, Address)) {
    return FALSE;
  }

  Leaf = StmPageMapLookup (&Shared->Ept, Address, &Size);
  if (Leaf != 0) {
    //
    // Another processor has touched it since the violation, and was first. What the snapshot
    // policy copies is closed, and who tries again gets a copy.
    //
    return (BOOLEAN)(StmIsSnapshot (Shared, Shared->Ecam, Address) ? ((Access & STM_ACCESS_EXECUTE) == 0) : ((Leaf & Access) == Access));
  }

  //
  // At most two tables to map it, and one for each region of 2 MB in which permissions
  // change.
  //
  Range.Base = Address & ~(UINT64)(SIZE_1GB - 1);
  Range.End  = Range.Base + SIZE_1GB;
  Tables     = 2;
  Region     = MAX_UINT64;
  for (Place = Range.Base; Place < Range.End; Place = End) {
    AccessAt (Profile, Shared->Ecam, Place, &End);
    if (((Place & (SIZE_2MB - 1)) != 0) && (Place / SIZE_2MB != Region)) {
      Region = Place / SIZE_2MB;
      Tables++;
    }
  }

  //
  // Other processors' handlers walk these tables meanwhile: mapped closed, and then opened
  // where the profile allows it, so that what is protected is not open for a moment.
  //
  if ((Tables > StmPageMapRoom (&Shared->Ept)) ||
      !StmPageMapRange (&Shared->Ept, Range.Base, Range.Base, SIZE_1GB, LeafOf (Shared, Range.Base) & ~(UINT64)EPT_RWX))
  {
    return FALSE;
  }

  StmApplyEpt (Shared, Profile, &Range);
  return TRUE;
}

/**
  Has the processor what the EPT of the SMI handler needs?

  @retval TRUE   It has.
  @retval FALSE  It has not.
**/
BOOLEAN
StmCanUseEpt (
  VOID
  )
{
  return (BOOLEAN)((VmxReadEptCapability () & EPT_NEEDED) == EPT_NEEDED);
}

/**
  Build the EPT of the SMI handler.

  From the start the first 512 GB are mapped, but on a processor without leaves of 1 GB those
  GB alone that every handler touches: for them there is no StmMapOnDemand that could fail
  within an SMI.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages.
**/
BOOLEAN
StmBuildEpt (
  IN OUT STM_SHARED  *Shared
  )
{
  STM_PAGE_MAP  *Map;
  UINT64        Capability;
  UINT64        First;
  UINT64        End;

  if (Shared->EptPages == 0) {
    return FALSE;
  }

  Capability = VmxReadEptCapability ();
  Map        = &Shared->Ept;
  First      = 0;
  End        = SIZE_4GB;
  if ((Capability & EPT_CAP_1GB_PAGES) == 0) {
    First = Shared->TsegBase & ~(UINT64)(SIZE_1GB - 1);
    End   = ALIGN_VALUE (Shared->TsegEnd, SIZE_1GB);
  }

  StmPageMapInit (
    Map,
    (UINT64 *)(UINTN)Shared->EptPool,
    Shared->EptPool,
    Shared->EptPages,
    EPT_RWX,
    (BOOLEAN)((Capability & EPT_CAP_1GB_PAGES) != 0)
    );
  if (!StmPageMapRange (Map, First, First, Shared->TsegBase - First, LeafOf (Shared, First)) ||
      !StmPageMapRange (Map, Shared->TsegBase, Shared->TsegBase, Shared->MsegBase - Shared->TsegBase, EPT_LEAF_SMRAM) ||
      !StmPageMapRange (Map, Shared->MsegEnd, Shared->MsegEnd, Shared->TsegEnd - Shared->MsegEnd, EPT_LEAF_SMRAM) ||
      !StmPageMapRange (Map, Shared->TsegEnd, Shared->TsegEnd, End - Shared->TsegEnd, EPT_LEAF_UC) ||
      !MapElsewhere (Shared, First, End))
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
