/** @file
  The firmware's list of resources: what its SMI handlers need.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Library/StmResourceLib.h>
#include <Library/BaseMemoryLib.h>
#include <Register/Intel/ArchitecturalMsr.h>

///
/// Parts that the list may have: one that names itself as the next would have no
/// end.
///
#define MOST_PARTS  16

/**
  Does a range lie in TSEG and outside MSEG?

  @param[in] Limits   Where they are.
  @param[in] Address  Physical address.
  @param[in] Length   Bytes, not 0.

  @retval TRUE   Every byte does.
  @retval FALSE  Some byte does not.
**/
STATIC
BOOLEAN
InSmram (
  IN CONST STM_LIMITS  *Limits,
  IN UINT64            Address,
  IN UINT64            Length
  )
{
  UINT64  End;

  End = Address + Length;
  return (BOOLEAN)((End > Address) && (Address >= Limits->TsegBase) && (End <= Limits->TsegEnd) &&
                   ((End <= Limits->MsegBase) || (Address >= Limits->MsegEnd)));
}

/**
  Write the END of a page.

  @param[out] End  Where.
**/
STATIC
VOID
WriteEnd (
  OUT VOID  *End
  )
{
  ZeroMem (End, sizeof (STM_RSC_END));
  ((STM_RSC_END *)End)->Hdr.RscType = END_OF_RESOURCES;
  ((STM_RSC_END *)End)->Hdr.Length  = sizeof (STM_RSC_END);
}

/**
  Does a claim of the firmware take what the STM needs for its own protection?

  @param[in] Limits  Where MSEG is.
  @param[in] Claim   The claim.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
IsTheStms (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Claim
  )
{
  if (Claim->Space == StmSpaceMsr) {
    return (BOOLEAN)((Claim->Base == STM_MSR_PLACE (MSR_IA32_SMM_MONITOR_CTL, 0)) && ((Claim->Access & STM_ACCESS_WRITE) != 0));
  }

  return (BOOLEAN)((Claim->Space == StmSpaceMemory) &&
                   (Claim->Base < Limits->MsegEnd) && (Claim->End > Limits->MsegBase));
}

/**
  Copy one descriptor of the firmware's and check the copy.

  @param[in]  Limits   What protection must respect.
  @param[in]  Address  Its physical address.
  @param[in]  Room     Bytes at Copy.
  @param[out] Copy     The copy.
  @param[out] Kind     Its kind.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_BUFFER_TOO_SMALL        It needs more room.
  @retval ERROR_STM_MALFORMED_RESOURCE_LIST It is malformed or outside SMRAM.
  @retval ERROR_STM_UNPROTECTABLE           It claims what is the STM's.
**/
STATIC
UINT32
CopyDescriptor (
  IN  CONST STM_LIMITS   *Limits,
  IN  UINT64             Address,
  IN  UINTN              Room,
  OUT STM_RSC            *Copy,
  OUT STM_RESOURCE_KIND  *Kind
  )
{
  STM_RSC_DESC_HEADER  Header;
  STM_RANGE            Claim;

  if (!InSmram (Limits, Address, sizeof (Header))) {
    return (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST;
  }

  CopyMem (&Header, (CONST VOID *)(UINTN)Address, sizeof (Header));
  if ((Header.Length < sizeof (Header)) || !InSmram (Limits, Address, Header.Length)) {
    return (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST;
  }

  if (Header.Length > Room) {
    return (UINT32)ERROR_STM_BUFFER_TOO_SMALL;
  }

  //
  // The firmware could have changed the length by now: then it is not that of the
  // type, or not that of what was copied.
  //
  CopyMem (Copy, (CONST VOID *)(UINTN)Address, Header.Length);
  *Kind = StmResourceRead (Copy, Header.Length, Limits->PhysicalBits, &Claim);
  if ((*Kind == StmResourceMalformed) || (Copy->Header.ReturnStatus != 0)) {
    return (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST;
  }

  return (((*Kind == StmResourceRange) || (*Kind == StmResourceMsr)) && IsTheStms (Limits, &Claim))
         ? (UINT32)ERROR_STM_UNPROTECTABLE : STM_SUCCESS;
}

/**
  Copy and check the firmware's list.

  Descriptors may be at any address in the handler's SMRAM, and the END of one part
  may name the next. The firmware can write to it at any time, so a descriptor is
  copied first, and the copy is checked.

  @param[in]     Limits   What protection must respect; BiosList is not read.
  @param[in]     Address  Physical address of the list, 0 for none.
  @param[out]    Pages    As many pages as Count says.
  @param[in,out] Count    Pages; gets how many of them are filled, at least 1, and 0 if
                          the list is refused.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_MALFORMED_RESOURCE_LIST A descriptor is malformed or outside the
                                            handler's SMRAM, or the list has no end.
  @retval ERROR_STM_OUT_OF_RESOURCES        It does not fit into Pages.
  @retval ERROR_STM_UNPROTECTABLE           It claims MSEG, or to write
                                            IA32_SMM_MONITOR_CTL.
**/
UINT32
EFIAPI
StmBiosListCopy (
  IN     CONST STM_LIMITS  *Limits,
  IN     UINT64            Address,
  OUT    UINT8             *Pages,
  IN OUT UINT32            *Count
  )
{
  STM_RESOURCE_KIND  Kind;
  STM_RSC            *Copy;
  UINT32             Status;
  UINT32             Room;
  UINT32             Page;
  UINTN              Offset;
  UINTN              Parts;

  Room   = *Count;
  *Count = 0;
  Page   = 0;
  Offset = 0;
  Parts  = 0;
  while (Address != 0) {
    //
    // Room for an END behind the descriptor.
    //
    Copy   = (STM_RSC *)(Pages + (UINTN)Page * SIZE_4KB + Offset);
    Status = CopyDescriptor (Limits, Address, SIZE_4KB - sizeof (STM_RSC_END) - Offset, Copy, &Kind);
    if ((Status == (UINT32)ERROR_STM_BUFFER_TOO_SMALL) && (Offset != 0)) {
      WriteEnd (Copy);
      Page++;
      Offset = 0;
      if (Page == Room) {
        return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
      }

      continue;
    }

    if (Status != STM_SUCCESS) {
      return (Status == (UINT32)ERROR_STM_BUFFER_TOO_SMALL) ? (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST : Status;
    }

    if (Kind != StmResourceEnd) {
      Offset  += Copy->Header.Length;
      Address += Copy->Header.Length;
      continue;
    }

    Parts++;
    if (Parts == MOST_PARTS) {
      return (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST;
    }

    Address = Copy->End.ResourceListContinuation;
  }

  WriteEnd (Pages + (UINTN)Page * SIZE_4KB + Offset);
  *Count = Page + 1;
  return STM_SUCCESS;
}
