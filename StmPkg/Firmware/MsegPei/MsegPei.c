/** @file
  Splits MSEG, the memory of the SMI Transfer Monitor, off the top of TSEG.

  The SMRAM HOB gains one descriptor, marked allocated, and gMsegSmramGuid names
  it. SMBASE relocation takes its memory from the start of the last descriptor;
  the split takes from the end and leaves the free region last, so the order of
  the two does not matter. The module also runs on S3 resume, when the same
  memory map gives the same MSEG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiPei.h>
#include <Guid/MsegSmram.h>
#include <Guid/SmramMemoryReserve.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/PcdLib.h>

//
// Page tables and EPT map MSEG with large pages.
//
#define MSEG_ALIGNMENT  SIZE_2MB

//
// What SMM keeps at least. With less, no MSEG is better than SMM drivers that
// cannot be loaded.
//
#define SMRAM_MINIMUM  (3 * SIZE_1MB)

/**
  Where MSEG starts in a region of SMRAM.

  @param[in]  Region  The free region, ending at the top of TSEG.
  @param[in]  Size    Bytes wanted for MSEG.
  @param[out] Base    Start of MSEG, which extends to the end of the region.

  @retval TRUE   Base is valid.
  @retval FALSE  The region has no room.
**/
STATIC
BOOLEAN
PlaceMseg (
  IN  CONST EFI_SMRAM_DESCRIPTOR  *Region,
  IN  UINT64                      Size,
  OUT EFI_PHYSICAL_ADDRESS        *Base
  )
{
  if ((Size == 0) || ((Region->RegionState & EFI_ALLOCATED) != 0) ||
      (Region->PhysicalSize < Size + SMRAM_MINIMUM))
  {
    return FALSE;
  }

  *Base = (Region->PhysicalStart + Region->PhysicalSize - Size) & ~((UINT64)MSEG_ALIGNMENT - 1);
  return (BOOLEAN)(*Base >= Region->PhysicalStart + SMRAM_MINIMUM);
}

/**
  Replace the SMRAM HOB by one with an allocated descriptor for MSEG, and
  publish that descriptor by itself.

  @param[in] FileHandle   Handle of this file.
  @param[in] PeiServices  PEI services table.

  @retval EFI_SUCCESS           MSEG is published, or TSEG is too small for one;
                                the loader reports the latter.
  @retval EFI_OUT_OF_RESOURCES  The HOB list is full.
**/
EFI_STATUS
EFIAPI
MsegPeiEntryPoint (
  IN       EFI_PEI_FILE_HANDLE  FileHandle,
  IN CONST EFI_PEI_SERVICES     **PeiServices
  )
{
  EFI_HOB_GUID_TYPE               *OldHob;
  EFI_SMRAM_HOB_DESCRIPTOR_BLOCK  *OldBlock;
  EFI_SMRAM_HOB_DESCRIPTOR_BLOCK  *NewBlock;
  EFI_SMRAM_DESCRIPTOR            *Free;
  EFI_SMRAM_DESCRIPTOR            *Mseg;
  EFI_PHYSICAL_ADDRESS            Base;
  UINTN                           Count;
  UINTN                           OldSize;

  OldHob = GetFirstGuidHob (&gEfiSmmSmramMemoryGuid);
  if (OldHob == NULL) {
    DEBUG ((DEBUG_ERROR, "%a: no SMRAM, no MSEG\n", gEfiCallerBaseName));
    return EFI_SUCCESS;
  }

  OldBlock = GET_GUID_HOB_DATA (OldHob);
  Count    = OldBlock->NumberOfSmmReservedRegions;
  if ((Count == 0) || !PlaceMseg (&OldBlock->Descriptor[Count - 1], PcdGet32 (PcdMsegSize), &Base)) {
    DEBUG ((DEBUG_ERROR, "%a: TSEG is too small for an MSEG of 0x%x bytes\n", gEfiCallerBaseName, PcdGet32 (PcdMsegSize)));
    return EFI_SUCCESS;
  }

  //
  // The block declares one descriptor already.
  //
  OldSize  = sizeof (*OldBlock) + (Count - 1) * sizeof (EFI_SMRAM_DESCRIPTOR);
  NewBlock = BuildGuidHob (&gEfiSmmSmramMemoryGuid, OldSize + sizeof (EFI_SMRAM_DESCRIPTOR));
  if (NewBlock == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  CopyMem (NewBlock, OldBlock, OldSize);
  NewBlock->NumberOfSmmReservedRegions = (UINT32)(Count + 1);

  Mseg = &NewBlock->Descriptor[Count - 1];
  Free = &NewBlock->Descriptor[Count];
  CopyMem (Free, Mseg, sizeof (*Free));

  Mseg->CpuStart     += Base - Mseg->PhysicalStart;
  Mseg->PhysicalSize -= Base - Mseg->PhysicalStart;
  Mseg->PhysicalStart = Base;
  Mseg->RegionState  |= EFI_ALLOCATED;
  Free->PhysicalSize -= Mseg->PhysicalSize;

  //
  // A HOB cannot be removed; without its name nobody finds it.
  //
  ZeroMem (&OldHob->Name, sizeof (OldHob->Name));

  if (BuildGuidDataHob (&gMsegSmramGuid, Mseg, sizeof (*Mseg)) == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  DEBUG ((DEBUG_INFO, "%a: MSEG 0x%lx, 0x%lx bytes\n", gEfiCallerBaseName, Mseg->PhysicalStart, Mseg->PhysicalSize));
  return EFI_SUCCESS;
}
