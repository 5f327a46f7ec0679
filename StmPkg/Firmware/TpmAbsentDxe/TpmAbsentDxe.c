/** @file
  Tells the STM loader that no TPM will measure.

  The loader has to run behind the driver of the TPM if there is a TPM, and must not
  wait for it if there is none. A dispatcher knows of protocols only, so that the absence
  of one needs a protocol, too.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiDxe.h>
#include <Library/BaseMemoryLib.h>
#include <Library/HobLib.h>
#include <Library/PcdLib.h>
#include <Library/UefiBootServicesTableLib.h>

/**
  Entry point.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS      There is no TPM, or one that failed in PEI: so much is told.
  @retval EFI_UNSUPPORTED  There is one, whose driver is waited for.
**/
EFI_STATUS
EFIAPI
TpmAbsentEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  if (!CompareGuid (PcdGetPtr (PcdTpmInstanceGuid), &gEfiTpmDeviceInstanceNoneGuid) &&
      (GetFirstGuidHob (&gTpmErrorHobGuid) == NULL))
  {
    return EFI_UNSUPPORTED;
  }

  return gBS->InstallMultipleProtocolInterfaces (&ImageHandle, &gStmTpmAbsentProtocolGuid, NULL, NULL);
}
