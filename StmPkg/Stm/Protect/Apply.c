/** @file
  EPT and bitmaps follow what is protected, where a call of the executive monitor has
  changed it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"
#include "Bitmap.h"
#include "Ept.h"
#include "Pci.h"

/**
  Bring EPT or bitmaps in line with a profile in a range.

  @param[in,out] Shared   Shared state.
  @param[in]     Profile  The profile; there is room for it in the EPT.
  @param[in]     Range    Memory, ports or MSRs.
**/
STATIC
VOID
ApplyRange (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST STM_RANGE    *Range
  )
{
  if (Range->Space == StmSpaceMemory) {
    StmApplyEpt (Shared, Profile, Range);
  } else {
    StmApplyBitmaps (Shared, Profile, Range);
  }
}

/**
  Bring EPT and bitmaps in line with a profile where a list of resources names
  something.

  @param[in,out] Shared     Shared state.
  @param[in]     Profile    The profile; there is room for it in the EPT.
  @param[in]     List       The list, well-formed.
**/
VOID
StmApplyList (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST UINT8        *List
  )
{
  STM_LIST_READER  Reader;
  STM_RANGE        Range;

  ZeroMem (&Reader, sizeof (Reader));
  Reader.List         = List;
  Reader.PhysicalBits = Shared->PhysicalBits;
  while (StmListRead (&Reader)) {
    if (Reader.Resource->Header.ReturnStatus == 0) {
      continue;
    }

    if (Reader.Kind == StmResourceAll) {
      for (Range.Space = StmSpaceMemory; Range.Space <= StmSpaceMsr; Range.Space++) {
        Range.Base = 0;
        Range.End  = StmSpaceSize (Range.Space, Shared->PhysicalBits);
        ApplyRange (Shared, Profile, &Range);
      }
    } else if ((Reader.Kind == StmResourceRange) || (Reader.Kind == StmResourceMsr) || (Reader.Kind == StmResourceTrappedIo)) {
      ApplyRange (Shared, Profile, &Reader.Range);
    }
  }
}

/**
  Is PCI configuration space among what a list names?

  @param[in] List          The STM's copy.
  @param[in] PhysicalBits  Width of physical addresses.

  @retval TRUE   It is.
  @retval FALSE  It is not, as far as the list can be parsed.
**/
BOOLEAN
StmNamesPci (
  IN CONST UINT8  *List,
  IN UINT32       PhysicalBits
  )
{
  STM_LIST_READER  Reader;

  ZeroMem (&Reader, sizeof (Reader));
  Reader.List         = List;
  Reader.PhysicalBits = PhysicalBits;
  while (StmListRead (&Reader)) {
    if ((Reader.Kind == StmResourcePci) || (Reader.Kind == StmResourceAll)) {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Bring EPT and bitmaps in line with what a profile says of PCI configuration space.

  @param[in,out] Shared   Shared state, with STM_ECAM that is guarded from now on.
  @param[in]     Profile  The profile; there is room for it in the EPT.
  @param[in]     Before   STM_ECAM that was.
**/
VOID
StmApplyPci (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Before
  )
{
  STM_RANGE  Range;

  Range.Space = StmSpaceMemory;
  if (Before != Shared->Ecam) {
    //
    // It has moved, or there is less of it: what is there no longer is ordinary memory.
    //
    Range.Base = STM_ECAM_BASE (Before);
    Range.End  = Range.Base + STM_ECAM_SIZE (Before);
    StmApplyEpt (Shared, Profile, &Range);
  }

  Range.Base = STM_ECAM_BASE (Shared->Ecam);
  Range.End  = Range.Base + STM_ECAM_SIZE (Shared->Ecam);
  StmApplyEpt (Shared, Profile, &Range);
  //
  // A handler on another processor may have written an address, which the STM keeps for it, and
  // the data may follow after the last register is given back. So the ports stay the STM's until
  // the session ends.
  //
  if (StmProfileHas (Profile, StmSpacePci)) {
    Shared->PciProtected = 1;
  }

  Range.Space = StmSpaceIo;
  Range.Base  = STM_PCI_PORTS_BASE;
  Range.End   = STM_PCI_PORTS_END;
  StmApplyBitmaps (Shared, Profile, &Range);
}
