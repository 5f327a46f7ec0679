/** @file
  Where the STM image comes from: the firmware volume, or in a build for the lab
  the owner of the machine.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseMemoryLib.h>
#include <Library/DxeServicesLib.h>
#include <Library/PcdLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmFwCfgLib.h>
#include <Library/UefiBootServicesTableLib.h>

/**
  Read the selected fw_cfg file.

  @param[in]  Size   Its bytes.
  @param[in]  Limit  Bytes of MSEG: what is larger fits no better in memory.
  @param[out] Image  Gets the file.

  @return StmReasonNone, StmReasonImageMalformed, StmReasonImageTooLarge or StmReasonImageMissing.
**/
STATIC
STM_REASON
ReadOverride (
  IN  UINTN      Size,
  IN  UINT64     Limit,
  OUT STM_IMAGE  *Image
  )
{
  if (Size == 0) {
    return StmReasonImageMalformed;
  }

  if (Size > Limit) {
    return StmReasonImageTooLarge;
  }

  if (EFI_ERROR (gSmst->SmmAllocatePool (EfiRuntimeServicesData, Size, (VOID **)&Image->File))) {
    Image->File = NULL;
    return StmReasonImageMissing;
  }

  Image->Size = Size;
  StmFwCfgRead (Size, Image->File);
  return StmReasonNone;
}

/**
  Read the image of the firmware volume.

  @param[out] Image  Gets the file.

  @return StmReasonNone or StmReasonImageMissing.
**/
STATIC
STM_REASON
ReadBuiltIn (
  OUT STM_IMAGE  *Image
  )
{
  VOID        *Section;
  UINTN       Size;
  EFI_STATUS  Status;

  if (EFI_ERROR (GetSectionFromAnyFv (PcdGetPtr (PcdStmImageFile), EFI_SECTION_RAW, 0, &Section, &Size))) {
    return StmReasonImageMissing;
  }

  Status = gSmst->SmmAllocatePool (EfiRuntimeServicesData, Size, (VOID **)&Image->File);
  if (EFI_ERROR (Status)) {
    Image->File = NULL;
  } else {
    Image->Size = Size;
    CopyMem (Image->File, Section, Size);
  }

  gBS->FreePool (Section);
  return EFI_ERROR (Status) ? StmReasonImageMissing : StmReasonNone;
}

/**
  Get the STM image: from fw_cfg file STM_IMAGE_OVERRIDE_FILE if there is one and
  PcdStmImageOverride allows it, else from the firmware volume. An image that the
  owner of the machine asks for is never replaced by another one.

  The image is a copy in SMRAM. A device can change what lies in ordinary memory at any time,
  so that what was checked there need not be what is loaded. Nothing of the file is read
  from there again.

  @param[in]  Limit  Bytes of MSEG.
  @param[out] Image  The image and its source; no file if the result is a reason.

  @return StmReasonNone, or why there is no image.
**/
STM_REASON
FindImage (
  IN  UINT64     Limit,
  OUT STM_IMAGE  *Image
  )
{
  UINTN  Size;

  Image->File = NULL;
  Image->Size = 0;
  if (StmFwCfgOpen (STM_IMAGE_OVERRIDE_FILE, &Size)) {
    Image->Source = StmSourceFwCfg;
    return FeaturePcdGet (PcdStmImageOverride) ? ReadOverride (Size, Limit, Image) : StmReasonOverrideForbidden;
  }

  Image->Source = StmSourceFirmwareVolume;
  return ReadBuiltIn (Image);
}

/**
  Is the image of the firmware volume the one that was built for it?

  The volume lies in flash, where whoever can write to that can put another image. The
  digest is part of this driver. An image that is passed by fw_cfg is the choice of the
  machine's owner, and nobody knows its digest.

  @param[in] Source  Where the image comes from.
  @param[in] Sha256  Digest of the image file.

  @return StmReasonNone or StmReasonImageDigest.
**/
STM_REASON
CheckImageDigest (
  IN STM_IMAGE_SOURCE  Source,
  IN CONST UINT8       Sha256[STM_SHA256_DIGEST_SIZE]
  )
{
  CONST UINT64  Built[] = {
    FixedPcdGet64 (PcdStmImageDigest0),
    FixedPcdGet64 (PcdStmImageDigest1),
    FixedPcdGet64 (PcdStmImageDigest2),
    FixedPcdGet64 (PcdStmImageDigest3)
  };

  STATIC_ASSERT (sizeof (Built) == STM_SHA256_DIGEST_SIZE, "parts of the digest");
  if ((Source != StmSourceFirmwareVolume) || (CompareMem (Sha256, Built, sizeof (Built)) == 0)) {
    return StmReasonNone;
  }

  return StmReasonImageDigest;
}
