/** @file
  The protection profile: what the executive monitor has protected.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"
#include <Library/BaseMemoryLib.h>

#define PORTS       0x10000
#define MSR_BITS    (0x100000000ULL * STM_REGISTER_BITS)
#define PCI_PLACES  0x10000000

///
/// Memory is told in pages.
///
#define UNIT_SHIFT(Space)  (((Space) == StmSpaceMemory) ? 12 : 0)

/**
  A range of a profile.

  @param[in]  Profile  The profile.
  @param[in]  Index    Which one, below its Count.
  @param[out] Range    It.
**/
VOID
EFIAPI
StmProfileRange (
  IN  CONST STM_PROFILE  *Profile,
  IN  UINTN              Index,
  OUT STM_RANGE          *Range
  )
{
  CONST STM_PACKED_RANGE  *Packed;
  UINTN                   Shift;

  Packed        = &Profile->Ranges[Index];
  Shift         = UNIT_SHIFT (Packed->Space);
  Range->Space  = Packed->Space;
  Range->Access = Packed->Access;
  Range->Base   = (((UINT64)Packed->BaseHigh << 32) | Packed->BaseLow) << Shift;
  Range->End    = ((((UINT64)Packed->LastHigh << 32) | Packed->LastLow) + 1) << Shift;
}

/**
  Say where a range of a profile ends.

  @param[in,out] Packed  The range.
  @param[in]     End     First place behind it.
**/
STATIC
VOID
SetEnd (
  IN OUT STM_PACKED_RANGE  *Packed,
  IN     UINT64            End
  )
{
  UINT64  Last;

  Last             = (End >> UNIT_SHIFT (Packed->Space)) - 1;
  Packed->LastLow  = (UINT32)Last;
  Packed->LastHigh = (UINT8)(Last >> 32);
}

/**
  How many places a space has.

  @param[in] Space         STM_SPACE.
  @param[in] PhysicalBits  Width of physical addresses.

  @return Places.
**/
UINT64
EFIAPI
StmSpaceSize (
  IN UINT32  Space,
  IN UINT32  PhysicalBits
  )
{
  switch (Space) {
    case StmSpaceMemory:
      return 1ULL << PhysicalBits;
    case StmSpaceIo:
      return PORTS;
    case StmSpaceMsr:
      return MSR_BITS;
    default:
      return PCI_PLACES;
  }
}

/**
  The accesses that there are in a space.

  @param[in] Space  STM_SPACE.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmSpaceAccess (
  IN UINT32  Space
  )
{
  return (Space == StmSpaceMemory) ? STM_ACCESS_ALL : (STM_ACCESS_READ | STM_ACCESS_WRITE);
}

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
  STM_PROFILE       *Profile;
  STM_PACKED_RANGE  *Packed;
  STM_RANGE         Last;
  UINT64            First;

  if ((Access == 0) || (End <= Base)) {
    return;
  }

  Profile = Writer->Profile;
  if (Profile->Count != 0) {
    StmProfileRange (Profile, Profile->Count - 1, &Last);
    if ((Last.Space == Space) && (Last.Access == Access) && (Last.End == Base)) {
      SetEnd (&Profile->Ranges[Profile->Count - 1], End);
      return;
    }
  }

  if (Profile->Count >= Writer->Room) {
    Writer->Full = TRUE;
    return;
  }

  Packed           = &Profile->Ranges[Profile->Count];
  First            = Base >> UNIT_SHIFT (Space);
  Packed->Space    = (UINT8)Space;
  Packed->Access   = (UINT8)Access;
  Packed->BaseLow  = (UINT32)First;
  Packed->BaseHigh = (UINT8)(First >> 32);
  SetEnd (Packed, End);
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

  Next = STM_PROFILE_RANGES - Profile->Count;
  CopyMem (&Profile->Ranges[Next], &Profile->Ranges[0], Profile->Count * sizeof (STM_PACKED_RANGE));
  Profile->Count = 0;
  Writer.Profile = Profile;
  Writer.Full    = FALSE;
  Added          = Protect ? Change->Access : 0;
  Position       = Change->Base;
  for ( ; Next < STM_PROFILE_RANGES; Next++) {
    StmProfileRange (Profile, Next, &Old);
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
  STM_RANGE  Range;
  UINTN      Index;

  for (Index = 0; Index < Profile->Count; Index++) {
    if (Profile->Ranges[Index].Space != Space) {
      continue;
    }

    StmProfileRange (Profile, Index, &Range);
    if (Range.End <= Place) {
      continue;
    }

    if (Range.Base > Place) {
      *End = Range.Base;
      return 0;
    }

    *End = Range.End;
    return Range.Access;
  }

  *End = MAX_UINT64;
  return 0;
}

/**
  Is anything of a space protected?

  @param[in] Profile  The profile.
  @param[in] Space    STM_SPACE.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
BOOLEAN
EFIAPI
StmProfileHas (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Space
  )
{
  UINT64  Next;

  return (BOOLEAN)((StmProfileAt (Profile, Space, 0, &Next) != 0) || (Next != MAX_UINT64));
}
