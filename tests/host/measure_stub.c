/** @file
  The loader's measurement and the driver that tells that there will be none, with the
  firmware around them played: protocols, a TPM that takes a digest or not, HOBs, and the
  end of DXE.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiDxe.h>
#include <Library/PcdLib.h>
#include <Protocol/Tcg2Protocol.h>
#include <Protocol/StmTpmAbsent.h>
#include "copy_stub.h"

BOOLEAN  TestInstance;        ///< PEI has found a TPM
BOOLEAN  TestErrorHob;        ///< and failed to use it
BOOLEAN  TestDriver;          ///< the TPM's driver has published its protocol
BOOLEAN  TestRefuses;         ///< and does not take a digest
UINT64   TestMeasuredAt;      ///< where it has read
UINT64   TestMeasuredSize;
UINT32   TestMeasuredPcr;
UINT32   TestDispatched;      ///< how often drivers of SMM were dispatched anew

EFI_GUID  gEfiTcg2ProtocolGuid           = { 1 };
EFI_GUID  gStmTpmAbsentProtocolGuid      = { 2 };
EFI_GUID  gTpmErrorHobGuid               = { 3 };
EFI_GUID  gEfiTpmDeviceInstanceNoneGuid  = { 4 };
EFI_GUID  gEfiEndOfDxeEventGroupGuid     = { 5 };
EFI_GUID  gEfiEventDxeDispatchGuid       = { 6 };

STATIC EFI_GUID                 mSomeTpm = { 7 };
STATIC STM_TPM_ABSENT_PROTOCOL  *mTold;
STATIC EFI_EVENT_NOTIFY         mAtEnd;

#define _PCD_GET_MODE_PTR_PcdTpmInstanceGuid  ((VOID *)(TestInstance ? &mSomeTpm : &gEfiTpmDeviceInstanceNoneGuid))

#include "../../StmPkg/Firmware/StmLoader/Measure.c"
#include "../../StmPkg/Firmware/TpmAbsentDxe/TpmAbsentDxe.c"

STATIC
EFI_STATUS
EFIAPI
TestExtend (
  IN EFI_TCG2_PROTOCOL     *This,
  IN UINT64                Flags,
  IN EFI_PHYSICAL_ADDRESS  Data,
  IN UINT64                Size,
  IN EFI_TCG2_EVENT        *Event
  )
{
  if (TestRefuses) {
    return EFI_DEVICE_ERROR;
  }

  TestMeasuredAt   = Data;
  TestMeasuredSize = Size;
  TestMeasuredPcr  = Event->Header.PCRIndex;
  return EFI_SUCCESS;
}

STATIC EFI_TCG2_PROTOCOL  mTcg2 = { .HashLogExtendEvent = TestExtend };

STATIC
EFI_STATUS
EFIAPI
TestLocate (
  IN  EFI_GUID  *Protocol,
  IN  VOID      *Registration,
  OUT VOID      **Interface
  )
{
  *Interface = NULL;
  if ((Protocol == &gEfiTcg2ProtocolGuid) && TestDriver) {
    *Interface = &mTcg2;
  } else if (Protocol == &gStmTpmAbsentProtocolGuid) {
    *Interface = mTold;
  }

  return (*Interface == NULL) ? EFI_NOT_FOUND : EFI_SUCCESS;
}

STATIC
EFI_STATUS
EFIAPI
TestInstall (
  IN OUT EFI_HANDLE  *Handle,
  ...
  )
{
  VA_LIST  List;

  VA_START (List, Handle);
  if (VA_ARG (List, EFI_GUID *) == &gStmTpmAbsentProtocolGuid) {
    mTold = VA_ARG (List, STM_TPM_ABSENT_PROTOCOL *);
  }

  VA_END (List);
  return EFI_SUCCESS;
}

STATIC
EFI_STATUS
EFIAPI
TestCreate (
  IN  UINT32            Type,
  IN  EFI_TPL           Level,
  IN  EFI_EVENT_NOTIFY  Notify,
  IN  CONST VOID        *Context,
  IN  CONST EFI_GUID    *Group,
  OUT EFI_EVENT         *Event
  )
{
  if (Group == &gEfiEndOfDxeEventGroupGuid) {
    mAtEnd = Notify;
  }

  return EFI_SUCCESS;
}

STATIC EFI_BOOT_SERVICES  mServices = {
  .LocateProtocol                    = TestLocate,
  .InstallMultipleProtocolInterfaces = TestInstall,
  .CreateEventEx                     = TestCreate
};
EFI_BOOT_SERVICES         *gBS = &mServices;

VOID *
EFIAPI
GetFirstGuidHob (
  IN CONST EFI_GUID  *Guid
  )
{
  return ((Guid == &gTpmErrorHobGuid) && TestErrorHob) ? &mSomeTpm : NULL;
}

BOOLEAN
EFIAPI
CompareGuid (
  IN CONST GUID  *First,
  IN CONST GUID  *Second
  )
{
  return (BOOLEAN)(__builtin_memcmp (First, Second, sizeof (*First)) == 0);
}

EFI_STATUS
EFIAPI
EfiEventGroupSignal (
  IN CONST EFI_GUID  *Group
  )
{
  TestDispatched += (UINT32)(Group == &gEfiEventDxeDispatchGuid);
  return EFI_SUCCESS;
}

/**
  The boot up to the end of DXE.

  @return Whether the loader's dependency on one of the two protocols is met: bit 0 before
          the end of DXE, bit 1 at it.
**/
UINT32
TestBoot (
  VOID
  )
{
  VOID    *Interface;
  UINT32  Met;

  mTold          = NULL;
  mAtEnd         = NULL;
  TestDispatched = 0;
  TpmAbsentEntryPoint (NULL, NULL);
  Met = (UINT32)(TestDriver || (mTold != NULL));
  if (mAtEnd != NULL) {
    mAtEnd (NULL, NULL);
  }

  Interface = NULL;
  TestLocate (&gStmTpmAbsentProtocolGuid, NULL, &Interface);
  return Met | ((UINT32)(TestDriver || (Interface != NULL)) << 1);
}
