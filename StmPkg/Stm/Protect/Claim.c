/** @file
  What the SMI handlers need, and the executive monitor therefore cannot protect.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"

/**
  Do two ranges of one space have a place and an access in common?

  @param[in] One    A range.
  @param[in] Other  A range.

  @retval TRUE   They do.
  @retval FALSE  They do not.
**/
STATIC
BOOLEAN
Meet (
  IN CONST STM_RANGE  *One,
  IN CONST STM_RANGE  *Other
  )
{
  return (BOOLEAN)((One->Space == Other->Space) && ((One->Access & Other->Access) != 0) &&
                   (One->Base < Other->End) && (Other->Base < One->End));
}

/**
  Does a PCI claim of the firmware's need what is to be protected: configuration space, or
  the ports by which it is reached?

  @param[in] Limits  How to follow its path.
  @param[in] Pci     The claim.
  @param[in] Range   What is to be protected.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
IsClaimedPci (
  IN CONST STM_LIMITS            *Limits,
  IN CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN CONST STM_RANGE             *Range
  )
{
  STM_RANGE  Claim;

  if (Range->Space == StmSpaceIo) {
    return (BOOLEAN)((Range->Base < STM_PCI_PORTS_END) && (Range->End > STM_PCI_PORTS_BASE));
  }

  return (BOOLEAN)((Range->Space == StmSpacePci) && StmPciResolve (Limits, Pci, &Claim) && Meet (&Claim, Range));
}

/**
  Does a claim of memory need configuration space that is to be protected, where memory
  accesses reach it?

  @param[in] Limits  Where that is.
  @param[in] Claim   The claim.
  @param[in] Range   What is to be protected.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
IsClaimedByMmio (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Claim,
  IN CONST STM_RANGE   *Range
  )
{
  STM_RANGE  Memory;

  if ((Range->Space != StmSpacePci) || (Limits->EcamBase == 0)) {
    return FALSE;
  }

  Memory       = *Range;
  Memory.Space = StmSpaceMemory;
  Memory.Base += Limits->EcamBase;
  Memory.End  += Limits->EcamBase;
  return Meet (Claim, &Memory);
}

/**
  Does the handler need any of what is to be protected? TSEG is the firmware's
  own; everything else it has to claim in its list.

  @param[in] Limits  What protection must respect.
  @param[in] Range   What is to be protected.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
BOOLEAN
EFIAPI
StmResourceIsClaimed (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Range
  )
{
  CONST STM_RSC      *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Claim;
  UINTN              Page;
  UINTN              Offset;

  if ((Range->Space == StmSpaceMemory) && (Range->Base < Limits->TsegEnd) && (Range->End > Limits->TsegBase)) {
    return TRUE;
  }

  for (Page = 0; Page < Limits->BiosPages; Page++) {
    for (Offset = 0; Offset < SIZE_4KB; Offset += Resource->Header.Length) {
      Resource = (CONST STM_RSC *)(Limits->BiosList + Page * SIZE_4KB + Offset);
      Kind     = StmResourceRead (Resource, SIZE_4KB - Offset, Limits->PhysicalBits, &Claim);
      if ((Kind == StmResourceEnd) || (Kind == StmResourceMalformed)) {
        break;
      }

      if (Kind == StmResourceAll) {
        return TRUE;
      }

      if ((Kind == StmResourcePci) && IsClaimedPci (Limits, &Resource->PciCfg, Range)) {
        return TRUE;
      }

      if (((Kind == StmResourceRange) || (Kind == StmResourceTrappedIo)) &&
          (Meet (&Claim, Range) || IsClaimedByMmio (Limits, &Claim, Range)))
      {
        return TRUE;
      }
    }
  }

  return FALSE;
}
