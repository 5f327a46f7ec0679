/** @file
  Tells the STM loader that no TPM will measure.

  The loader has to run behind the driver of the TPM if there is a TPM, and must not
  wait for it if there is none. A dispatcher knows of protocols only, so that the absence
  of one needs a protocol, too.

  A TPM whose driver has failed must not keep the loader from running either: without it
  nobody would say why there is no STM. At the end of DXE, while SMRAM is not locked yet,
  whatever has not come will not come any more.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiDxe.h>
#include <Guid/EventGroup.h>
#include <Library/BaseMemoryLib.h>
#include <Library/HobLib.h>
#include <Library/PcdLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/StmTpmAbsent.h>
#include <Protocol/Tcg2Protocol.h>

STATIC STM_TPM_ABSENT_PROTOCOL  mAbsent;

/**
  Tell it.

  @param[in] Failed  Whether there is a TPM.

  @return Of InstallMultipleProtocolInterfaces.
**/
STATIC
EFI_STATUS
Tell (
  IN BOOLEAN  Failed
  )
{
  EFI_HANDLE  Handle;

  Handle         = NULL;
  mAbsent.Failed = Failed;
  return gBS->InstallMultipleProtocolInterfaces (&Handle, &gStmTpmAbsentProtocolGuid, &mAbsent, NULL);
}

/**
  The TPM's driver has had its time: tell so if it is not there, and have drivers of SMM
  dispatched once more, since the end of DXE locks SMRAM without that.

  @param[in] Event    Not used.
  @param[in] Context  Not used.
**/
STATIC
VOID
EFIAPI
AtEndOfDxe (
  IN EFI_EVENT  Event,
  IN VOID       *Context
  )
{
  VOID  *Tcg2;

  if (EFI_ERROR (gBS->LocateProtocol (&gEfiTcg2ProtocolGuid, NULL, &Tcg2)) && !EFI_ERROR (Tell (TRUE))) {
    EfiEventGroupSignal (&gEfiEventDxeDispatchGuid);
  }
}

/**
  Entry point.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  There is no TPM, or one that failed in PEI, and so much is told; or
                       there is one, and its driver has until the end of DXE.
  @retval others       Neither can be done.
**/
EFI_STATUS
EFIAPI
TpmAbsentEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  EFI_EVENT  Event;

  if (CompareGuid (PcdGetPtr (PcdTpmInstanceGuid), &gEfiTpmDeviceInstanceNoneGuid)) {
    return Tell (FALSE);
  }

  if (GetFirstGuidHob (&gTpmErrorHobGuid) != NULL) {
    return Tell (TRUE);
  }

  return gBS->CreateEventEx (
                EVT_NOTIFY_SIGNAL,
                TPL_CALLBACK,
                AtEndOfDxe,
                NULL,
                &gEfiEndOfDxeEventGroupGuid,
                &Event
                );
}
