/** @file
  Measures the STM image: into the TPM, and into the log of what was measured.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <IndustryStandard/UefiTcgPlatform.h>
#include <Library/BaseMemoryLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Protocol/StmTpmAbsent.h>
#include <Protocol/Tcg2Protocol.h>

///
/// TCG "PC Client Platform Firmware Profile": code of the platform's own belongs into
/// PCR 0.
///
#define MEASURED_PCR  0
#define DESCRIPTION   "STM image"

#pragma pack(1)

///
/// UEFI_PLATFORM_FIRMWARE_BLOB2 with our description.
///
typedef struct {
  UINT8                   DescriptionSize;
  CHAR8                   Description[sizeof (DESCRIPTION) - 1];
  EFI_PHYSICAL_ADDRESS    Base;
  UINT64                  Length;
} MEASURED_BLOB;

typedef struct {
  UINT32                   Size;
  EFI_TCG2_EVENT_HEADER    Header;
  MEASURED_BLOB            Blob;
} MEASURED_EVENT;

#pragma pack()

/**
  Measure the image, if the machine has a TPM. What is measured is the copy in SMRAM, and
  so what will be checked and loaded.

  @param[in] Image  The image, from FindImage.

  @return StmMeasured, StmMeasuredNoTpm or StmMeasuredFailed.
**/
STM_MEASUREMENT
MeasureImage (
  IN CONST STM_IMAGE  *Image
  )
{
  EFI_TCG2_PROTOCOL        *Tcg2;
  STM_TPM_ABSENT_PROTOCOL  *Absent;
  MEASURED_EVENT           Event;

  if (!EFI_ERROR (gBS->LocateProtocol (&gStmTpmAbsentProtocolGuid, NULL, (VOID **)&Absent))) {
    return Absent->Failed ? StmMeasuredFailed : StmMeasuredNoTpm;
  }

  if (EFI_ERROR (gBS->LocateProtocol (&gEfiTcg2ProtocolGuid, NULL, (VOID **)&Tcg2))) {
    return StmMeasuredFailed;
  }

  Event.Size                 = sizeof (Event);
  Event.Header.HeaderSize    = sizeof (Event.Header);
  Event.Header.HeaderVersion = EFI_TCG2_EVENT_HEADER_VERSION;
  Event.Header.PCRIndex      = MEASURED_PCR;
  Event.Header.EventType     = EV_EFI_PLATFORM_FIRMWARE_BLOB2;
  Event.Blob.DescriptionSize = sizeof (Event.Blob.Description);
  Event.Blob.Base            = (UINTN)Image->File;
  Event.Blob.Length          = Image->Size;
  CopyMem (Event.Blob.Description, DESCRIPTION, sizeof (Event.Blob.Description));
  if (EFI_ERROR (
        Tcg2->HashLogExtendEvent (Tcg2, 0, (UINTN)Image->File, Image->Size, (EFI_TCG2_EVENT *)&Event)
        ))
  {
    return StmMeasuredFailed;
  }

  return StmMeasured;
}
