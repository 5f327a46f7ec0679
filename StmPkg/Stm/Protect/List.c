/** @file
  A list of the executive monitor's, applied to the protection profile.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"

/**
  Go on to the next descriptor of a list.

  @param[in,out] Reader  List, PhysicalBits and Next are set for the first one.

  @retval TRUE   Here it is.
  @retval FALSE  END is here, or a descriptor that is malformed.
**/
BOOLEAN
EFIAPI
StmListRead (
  IN OUT STM_LIST_READER  *Reader
  )
{
  Reader->Resource = (CONST STM_RSC *)(Reader->List + Reader->Next);
  Reader->Kind     = StmResourceRead (Reader->Resource, SIZE_4KB - Reader->Next, Reader->PhysicalBits, &Reader->Range);
  if ((Reader->Kind == StmResourceEnd) || (Reader->Kind == StmResourceMalformed)) {
    return FALSE;
  }

  Reader->Next += Reader->Resource->Header.Length;
  return TRUE;
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
  Protect or unprotect what a PCI descriptor names. Bus numbers of the bridges on its
  path are protected from writes with it, and stay so: with other numbers the path would
  lead to another function.

  @param[in,out] Profile  The profile.
  @param[in]     Limits   What protection must respect.
  @param[in]     Pci      The descriptor, well-formed.
  @param[in]     Protect  TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  Denied: the firmware needs it, or its path leads
                                            nowhere.
  @retval ERROR_STM_OUT_OF_RESOURCES        No room.
**/
STATIC
UINT32
ApplyPci (
  IN OUT STM_PROFILE                 *Profile,
  IN     CONST STM_LIMITS            *Limits,
  IN     CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN     BOOLEAN                     Protect
  )
{
  STM_RANGE  Range;
  STM_RANGE  Numbers;
  UINTN      Node;

  if (!StmPciResolve (Limits, Pci, &Range)) {
    //
    // Nothing is there that could have been protected.
    //
    return Protect ? (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE : STM_SUCCESS;
  }

  if (!Protect) {
    return StmProfileChange (Profile, &Range, FALSE) ? STM_SUCCESS : (UINT32)ERROR_STM_OUT_OF_RESOURCES;
  }

  if (StmResourceIsClaimed (Limits, &Range)) {
    return (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
  }

  for (Node = 0; Node < Pci->LastNodeIndex; Node++) {
    StmPciBusNumbers (Limits, Pci, Node, &Numbers);
    if (StmResourceIsClaimed (Limits, &Numbers)) {
      return (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
    }
  }

  for (Node = 0; Node < Pci->LastNodeIndex; Node++) {
    StmPciBusNumbers (Limits, Pci, Node, &Numbers);
    if (!StmProfileChange (Profile, &Numbers, TRUE)) {
      return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
    }
  }

  return StmProfileChange (Profile, &Range, TRUE) ? STM_SUCCESS : (UINT32)ERROR_STM_OUT_OF_RESOURCES;
}

/**
  Bits of a register that a descriptor names for the same accesses.

  @param[in]     ReadMask   Bits that it names for reads.
  @param[in]     WriteMask  For writes.
  @param[in,out] Bit        Where to look; gets the first bit behind those that were found.
  @param[in,out] Range      Space is set; gets the accesses, and the bits as if they were places.

  @retval TRUE   Found.
  @retval FALSE  There are no more.
**/
STATIC
BOOLEAN
NextBits (
  IN     UINT64     ReadMask,
  IN     UINT64     WriteMask,
  IN OUT UINTN      *Bit,
  IN OUT STM_RANGE  *Range
  )
{
  UINT32  Access;

  Range->Access = 0;
  for ( ; *Bit < STM_REGISTER_BITS; (*Bit)++) {
    Access = (((ReadMask >> *Bit) & 1) != 0 ? STM_ACCESS_READ : 0) |
             (((WriteMask >> *Bit) & 1) != 0 ? STM_ACCESS_WRITE : 0);
    if ((Range->Access != 0) && (Access != Range->Access)) {
      break;
    }

    if (Range->Access == 0) {
      Range->Base   = *Bit;
      Range->Access = Access;
    }
  }

  Range->End = *Bit;
  return (BOOLEAN)(Range->Access != 0);
}

/**
  Protect or unprotect bits of a register. Denied as a whole if the firmware claims one of
  them.

  @param[in,out] Profile    The profile.
  @param[in]     Limits     What protection must respect.
  @param[in]     Space      StmSpaceRegister or StmSpaceMsr.
  @param[in]     First      Place of bit 0.
  @param[in]     ReadMask   Bits for reads.
  @param[in]     WriteMask  Bits for writes.
  @param[in]     Protect    TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  Denied.
  @retval ERROR_STM_OUT_OF_RESOURCES        No room.
**/
STATIC
UINT32
ApplyBits (
  IN OUT STM_PROFILE       *Profile,
  IN     CONST STM_LIMITS  *Limits,
  IN     UINT32            Space,
  IN     UINT64            First,
  IN     UINT64            ReadMask,
  IN     UINT64            WriteMask,
  IN     BOOLEAN           Protect
  )
{
  STM_RANGE  Range;
  UINTN      Bit;
  BOOLEAN    Change;

  Range.Space = Space;
  for (Change = !Protect; ; Change = TRUE) {
    for (Bit = 0; NextBits (ReadMask, WriteMask, &Bit, &Range); ) {
      Range.Base += First;
      Range.End  += First;
      if (!Change && StmResourceIsClaimed (Limits, &Range)) {
        return (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
      }

      if (Change && !StmProfileChange (Profile, &Range, Protect)) {
        return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
      }
    }

    if (Change) {
      return STM_SUCCESS;
    }
  }
}

/**
  Protect or unprotect bits of a control register.

  Denied is what no VM exit tells of: CR2, and reads of CR0 and CR4.

  @param[in,out] Profile   The profile.
  @param[in]     Limits    What protection must respect.
  @param[in]     Register  The descriptor, well-formed.
  @param[in]     Protect   TRUE for PROTECT_RESOURCE.

  @return See ApplyBits.
**/
STATIC
UINT32
ApplyRegister (
  IN OUT STM_PROFILE                        *Profile,
  IN     CONST STM_LIMITS                   *Limits,
  IN     CONST STM_REGISTER_VIOLATION_DESC  *Register,
  IN     BOOLEAN                            Protect
  )
{
  if (Protect &&
      ((Register->RegisterType == StmRegisterCr2) ||
       ((Register->ReadMask != 0) &&
        ((Register->RegisterType == StmRegisterCr0) || (Register->RegisterType == StmRegisterCr4)))))
  {
    return (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
  }

  return ApplyBits (
           Profile,
           Limits,
           StmSpaceRegister,
           STM_REGISTER_PLACE (Register->RegisterType, 0),
           Register->ReadMask,
           Register->WriteMask,
           Protect
           );
}

/**
  Protect everything that the firmware does not need, or unprotect all that is protected.
  The registers of the handler itself are not among it: REGISTER_VIOLATION names those.

  @param[in,out] Profile  The profile.
  @param[in]     Limits   What protection must respect.
  @param[in]     Protect  TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  Denied: the firmware claims everything.
  @retval ERROR_STM_OUT_OF_RESOURCES        No room.
**/
STATIC
UINT32
ApplyAll (
  IN OUT STM_PROFILE       *Profile,
  IN     CONST STM_LIMITS  *Limits,
  IN     BOOLEAN           Protect
  )
{
  STM_RANGE  Range;
  UINT64     Limit;
  UINT64     End;
  BOOLEAN    Any;

  if (!Protect) {
    Profile->Count = 0;
    return STM_SUCCESS;
  }

  Any = FALSE;
  for (Range.Space = StmSpaceMemory; Range.Space <= StmSpacePci; Range.Space++) {
    Limit = StmSpaceSize (Range.Space, Limits->PhysicalBits);
    for (Range.Base = 0; Range.Base < Limit; Range.Base = Range.End) {
      Range.Access = StmSpaceAccess (Range.Space) & ~StmResourceClaimedAt (Limits, Range.Space, Range.Base, &End);
      Range.End    = MIN (End, Limit);
      if (Range.Access == 0) {
        continue;
      }

      Any = TRUE;
      if (!StmProfileChange (Profile, &Range, TRUE)) {
        return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
      }
    }
  }

  return Any ? STM_SUCCESS : (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE;
}

/**
  Apply one descriptor.

  @param[in,out] Profile  The profile.
  @param[in]     Limits   What protection must respect.
  @param[in]     Resource The descriptor.
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
  IN     CONST STM_RSC      *Resource,
  IN     STM_RESOURCE_KIND  Kind,
  IN     CONST STM_RANGE    *Range,
  IN     BOOLEAN            Protect
  )
{
  STM_RANGE  Ports;

  if (Kind == StmResourcePci) {
    return ApplyPci (Profile, Limits, &Resource->PciCfg, Protect);
  }

  if (Kind == StmResourceAll) {
    return ApplyAll (Profile, Limits, Protect);
  }

  if (Kind == StmResourceMsr) {
    return ApplyBits (Profile, Limits, StmSpaceMsr, Range->Base, Resource->Msr.ReadMask, Resource->Msr.WriteMask, Protect);
  }

  if (Kind == StmResourceRegister) {
    return ApplyRegister (Profile, Limits, &Resource->RegisterViolation, Protect);
  }

  if (Kind == StmResourceTrappedIo) {
    //
    // Of the firmware the descriptor says that it wants to be called for an access; here, in
    // which directions its handler is kept from one. Api is of a firmware's claim only.
    //
    Ports        = *Range;
    Ports.Access = ((Resource->TrappedIo.In != 0) ? STM_ACCESS_READ : 0) |
                   ((Resource->TrappedIo.Out != 0) ? STM_ACCESS_WRITE : 0);
    Range = &Ports;
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

    One = ApplyOne (Profile, Limits, Resource, Kind, &Range, Protect);
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
