/** @file
  The protection profile: what the executive monitor has protected.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"
#include <Library/BaseMemoryLib.h>

/**
  A profile while it is written, in front of the ranges of the old one that are
  still to be read.
**/
typedef struct {
  STM_PROFILE    *Profile;
  UINTN          Room;       ///< ranges that may be written
  BOOLEAN        Full;       ///< one did not fit
} WRITER;

/**
  Add a range at the end of a profile, or lengthen the last one.

  @param[in,out] Writer  The profile.
  @param[in]     Space   STM_SPACE.
  @param[in]     Access  What is protected; 0 adds nothing.
  @param[in]     Base    First place.
  @param[in]     End     First place behind; not above Base adds nothing.
**/
STATIC
VOID
Append (
  IN OUT WRITER  *Writer,
  IN     UINT32  Space,
  IN     UINT32  Access,
  IN     UINT64  Base,
  IN     UINT64  End
  )
{
  STM_PROFILE  *Profile;
  STM_RANGE    *Last;

  if ((Access == 0) || (End <= Base)) {
    return;
  }

  Profile = Writer->Profile;
  if (Profile->Count != 0) {
    Last = &Profile->Ranges[Profile->Count - 1];
    if ((Last->Space == Space) && (Last->Access == Access) && (Last->End == Base)) {
      Last->End = End;
      return;
    }
  }

  if (Profile->Count >= Writer->Room) {
    Writer->Full = TRUE;
    return;
  }

  Last         = &Profile->Ranges[Profile->Count];
  Last->Space  = Space;
  Last->Access = Access;
  Last->Base   = Base;
  Last->End    = End;
  Profile->Count++;
}

/**
  Protect or unprotect a range.

  The old ranges move to the end of the array and come back one by one, cut where
  the change begins and ends, with the change in the gaps between them. The list that
  is written must not overtake the one that is read.

  @param[in,out] Profile  The profile.
  @param[in]     Change   The range, not empty.
  @param[in]     Protect  TRUE to protect the accesses of Change there, too; FALSE
                          to protect them there no longer.

  @retval TRUE   Done.
  @retval FALSE  There is no room. The profile is not usable any more.
**/
BOOLEAN
EFIAPI
StmProfileChange (
  IN OUT STM_PROFILE      *Profile,
  IN     CONST STM_RANGE  *Change,
  IN     BOOLEAN          Protect
  )
{
  WRITER     Writer;
  STM_RANGE  Old;
  UINTN      Next;
  UINT32     Added;
  UINT64     Low;
  UINT64     High;
  UINT64     Position;

  Next = STM_PROFILE_RANGES - (UINTN)Profile->Count;
  CopyMem (&Profile->Ranges[Next], &Profile->Ranges[0], (UINTN)Profile->Count * sizeof (STM_RANGE));
  Profile->Count = 0;
  Writer.Profile = Profile;
  Writer.Full    = FALSE;
  Added          = Protect ? Change->Access : 0;
  Position       = Change->Base;
  for ( ; Next < STM_PROFILE_RANGES; Next++) {
    Old         = Profile->Ranges[Next];
    Writer.Room = Next + 1;
    if ((Old.Space < Change->Space) || ((Old.Space == Change->Space) && (Old.End <= Change->Base))) {
      Append (&Writer, Old.Space, Old.Access, Old.Base, Old.End);
      continue;
    }

    if ((Old.Space > Change->Space) || (Old.Base >= Change->End)) {
      Append (&Writer, Change->Space, Added, Position, Change->End);
      Position = Change->End;
      Append (&Writer, Old.Space, Old.Access, Old.Base, Old.End);
      continue;
    }

    Low  = MAX (Old.Base, Change->Base);
    High = MIN (Old.End, Change->End);
    Append (&Writer, Old.Space, Old.Access, Old.Base, Low);
    Append (&Writer, Old.Space, Added, Position, Low);
    Append (&Writer, Old.Space, Protect ? (Old.Access | Added) : (Old.Access & ~Change->Access), Low, High);
    Append (&Writer, Old.Space, Old.Access, High, Old.End);
    Position = High;
  }

  Writer.Room = STM_PROFILE_RANGES;
  Append (&Writer, Change->Space, Added, Position, Change->End);
  return (BOOLEAN) !Writer.Full;
}

/**
  The accesses that are protected at one place.

  @param[in]  Profile  The profile.
  @param[in]  Space    STM_SPACE.
  @param[in]  Place    Address, port or MSR.
  @param[out] End      First place behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmProfileAt (
  IN  CONST STM_PROFILE  *Profile,
  IN  UINT32             Space,
  IN  UINT64             Place,
  OUT UINT64             *End
  )
{
  CONST STM_RANGE  *Range;
  UINTN            Index;

  for (Index = 0; Index < Profile->Count; Index++) {
    Range = &Profile->Ranges[Index];
    if ((Range->Space != Space) || (Range->End <= Place)) {
      continue;
    }

    if (Range->Base > Place) {
      *End = Range->Base;
      return 0;
    }

    *End = Range->End;
    return Range->Access;
  }

  *End = MAX_UINT64;
  return 0;
}

/**
  Set or clear ReturnStatus in the headers of a list up to an offset.

  @param[in,out] List   The list, well-formed up to Limit.
  @param[in]     Limit  Offset of the first descriptor that is left alone.
**/
STATIC
VOID
ClearReturnStatus (
  IN OUT UINT8  *List,
  IN     UINTN  Limit
  )
{
  STM_RSC_DESC_HEADER  *Header;
  UINTN                Offset;

  for (Offset = 0; Offset < Limit; Offset += Header->Length) {
    Header               = (STM_RSC_DESC_HEADER *)(List + Offset);
    Header->ReturnStatus = 0;
  }
}

/**
  Find the END of a list of the executive monitor's.

  @param[in]  List          A page.
  @param[in]  PhysicalBits  Width of physical addresses.
  @param[out] End           Offset of END, or of the first descriptor that is not
                            well-formed.

  @retval TRUE   The list can be parsed.
  @retval FALSE  It cannot: a descriptor is malformed, ReturnStatus is set, there is
                 no END before the end of the page, or the END names another page.
**/
STATIC
BOOLEAN
FindEnd (
  IN  CONST UINT8  *List,
  IN  UINT32       PhysicalBits,
  OUT UINTN        *End
  )
{
  CONST STM_RSC      *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Range;
  BOOLEAN            Clear;

  Clear = TRUE;
  for (*End = 0; *End < SIZE_4KB; *End += Resource->Header.Length) {
    Resource = (CONST STM_RSC *)(List + *End);
    Kind     = StmResourceRead (Resource, SIZE_4KB - *End, PhysicalBits, &Range);
    if (Kind == StmResourceMalformed) {
      return FALSE;
    }

    Clear = (BOOLEAN)(Clear && (Resource->Header.ReturnStatus == 0));
    if (Kind == StmResourceEnd) {
      return (BOOLEAN)(Clear && (Resource->End.ResourceListContinuation == 0));
    }
  }

  return FALSE;
}

/**
  Is memory of the STM's among what a descriptor names?

  @param[in] Limits  Where MSEG is.
  @param[in] Range   What it names.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
NamesMseg (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Range
  )
{
  return (BOOLEAN)((Range->Space == StmSpaceMemory) &&
                   (Range->Base < Limits->MsegEnd) && (Range->End > Limits->MsegBase));
}

/**
  Apply one descriptor.

  @param[in,out] Profile  The profile.
  @param[in]     Limits   What protection must respect.
  @param[in]     Kind     Its kind.
  @param[in]     Range    What it names.
  @param[in]     Protect  TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  Denied.
  @retval ERROR_STM_OUT_OF_RESOURCES        No room.
  @retval ERROR_STM_UNSPECIFIED             UNPROTECT_RESOURCE of the STM's memory.
**/
STATIC
UINT32
ApplyOne (
  IN OUT STM_PROFILE        *Profile,
  IN     CONST STM_LIMITS   *Limits,
  IN     STM_RESOURCE_KIND  Kind,
  IN     CONST STM_RANGE    *Range,
  IN     BOOLEAN            Protect
  )
{
  if (Kind != StmResourceRange) {
    //
    // Nothing of the kind is protected: it need not be unprotected.
    //
    return Protect ? (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE : STM_SUCCESS;
  }

  if (Protect && StmResourceIsClaimed (Limits, Range)) {
    return (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
  }

  if (!Protect && NamesMseg (Limits, Range)) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  return StmProfileChange (Profile, Range, Protect) ? STM_SUCCESS : (UINT32)ERROR_STM_OUT_OF_RESOURCES;
}

/**
  PROTECT_RESOURCE, or UNPROTECT_RESOURCE, on a profile. "StmApi.h": a resource
  that the firmware needs is denied, the others of the list are granted; a list that
  cannot be parsed changes nothing.

  @param[in,out] Profile  The profile; usable only after STM_SUCCESS or
                          ERROR_STM_UNPROTECTABLE_RESOURCE.
  @param[in]     Limits   What protection must respect.
  @param[in,out] List     A page; gets ReturnStatus in the headers of all
                          descriptors up to the end or the first malformed one.
  @param[in]     Protect  TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       All of the list is done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  The firmware needs at least one resource,
                                            or it is of a kind that is not protected.
  @retval ERROR_STM_MALFORMED_RESOURCE_LIST The list cannot be parsed.
  @retval ERROR_STM_OUT_OF_RESOURCES        PROTECT_RESOURCE: no room.
  @retval ERROR_STM_UNSPECIFIED             UNPROTECT_RESOURCE: no room, or memory of
                                            the STM is named.
**/
UINT32
EFIAPI
StmProfileApply (
  IN OUT STM_PROFILE       *Profile,
  IN     CONST STM_LIMITS  *Limits,
  IN OUT UINT8             *List,
  IN     BOOLEAN           Protect
  )
{
  STM_RSC            *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Range;
  UINT32             Status;
  UINT32             One;
  UINTN              End;
  UINTN              Offset;
  BOOLEAN            Parsed;

  Parsed = FindEnd (List, Limits->PhysicalBits, &End);
  ClearReturnStatus (List, End);
  if (!Parsed) {
    return (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST;
  }

  Status = STM_SUCCESS;
  for (Offset = 0; Offset < End; Offset += Resource->Header.Length) {
    Resource = (STM_RSC *)(List + Offset);
    Kind     = StmResourceRead (Resource, SIZE_4KB - Offset, Limits->PhysicalBits, &Range);
    if (Kind == StmResourceIgnored) {
      continue;
    }

    One = ApplyOne (Profile, Limits, Kind, &Range, Protect);
    if (One == (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE) {
      Status = One;
    } else if (One != STM_SUCCESS) {
      ClearReturnStatus (List, End);
      return Protect ? One : (UINT32)ERROR_STM_UNSPECIFIED;
    }

    Resource->Header.ReturnStatus = (One == STM_SUCCESS) ? 1 : 0;
  }

  return Status;
}

/**
  Deny all of a list that StmProfileApply has granted something of.

  @param[in,out] List  The page.
**/
VOID
EFIAPI
StmProfileDeny (
  IN OUT UINT8  *List
  )
{
  STM_RSC_DESC_HEADER  *Header;

  for (Header = (STM_RSC_DESC_HEADER *)List;
       Header->RscType != END_OF_RESOURCES;
       Header = (STM_RSC_DESC_HEADER *)((UINT8 *)Header + Header->Length))
  {
    Header->ReturnStatus = 0;
  }
}
