/** @file
  The SM monitor init protocol of EDK II (gEfiSmMonitorInitProtocolGuid): drivers say by
  it which resources their SMI handlers need. The list is in SMRAM, and the descriptor
  (PSD) of every processor names it.

  It can be changed until SMRAM is locked. What a driver adds at SmmEndOfDxe is in time.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"
#include "ResourceList.h"

#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Protocol/SmMonitorInit.h>
#include <Protocol/SmmReadyToLock.h>
#include <Protocol/StmResourcesIncomplete.h>
#include <Protocol/StmWake.h>

//
// One page less than the STM has for a copy: there each page ends with an END.
//
#define RESOURCE_PAGES  (STM_BIOS_PAGES - 1)

STATIC RESOURCE_LIST  mResources;
STATIC BOOLEAN        mLocked;

/**
  Whether MSEG holds an image that processors can activate.

  @retval TRUE   It does.
  @retval FALSE  It does not, or the loader has not run yet.
**/
STATIC
BOOLEAN
IsEnabled (
  VOID
  )
{
  STM_WAKE_PROTOCOL  *Loader;

  return (BOOLEAN)(!EFI_ERROR (gSmst->SmmLocateProtocol (&gStmWakeProtocolGuid, NULL, (VOID **)&Loader)) &&
                   (Loader->Status->State == StmStateEnabled));
}

/**
  Load an STM image to MSEG: not here. The loader of this firmware gets the image from
  the firmware volume, or in a build for the lab from fw_cfg, checks it and publishes
  why there is none if there is none.

  @param[in] StmImage      Not used.
  @param[in] StmImageSize  Not used.

  @retval EFI_ALREADY_STARTED  The loader has loaded an image.
  @retval EFI_UNSUPPORTED      It has not: the status table says why.
**/
STATIC
EFI_STATUS
EFIAPI
LoadMonitor (
  IN EFI_PHYSICAL_ADDRESS  StmImage,
  IN UINTN                 StmImageSize
  )
{
  return IsEnabled () ? EFI_ALREADY_STARTED : EFI_UNSUPPORTED;
}

/**
  Tell, once, that the list lacks a claim.
**/
STATIC
VOID
TellIncomplete (
  VOID
  )
{
  EFI_STATUS  Status;
  EFI_HANDLE  Handle;
  VOID        *Told;

  if (!EFI_ERROR (gSmst->SmmLocateProtocol (&gStmResourcesIncompleteProtocolGuid, NULL, &Told))) {
    return;
  }

  Handle = NULL;
  Status = gSmst->SmmInstallProtocolInterface (
                    &Handle,
                    &gStmResourcesIncompleteProtocolGuid,
                    EFI_NATIVE_INTERFACE,
                    gEfiCallerBaseName
                    );
  ASSERT_EFI_ERROR (Status);
}

/**
  Add resources that SMI handlers need. If they are refused, the driver's handlers may fail
  under an STM, whether the driver looks at the answer or not.

  @param[in] ResourceList  Descriptors.
  @param[in] NumEntries    How many; 0 if an END follows the last one.

  @retval EFI_SUCCESS            Added.
  @retval EFI_INVALID_PARAMETER  A descriptor is malformed: none was added.
  @retval EFI_OUT_OF_RESOURCES   There is no room: none was added.
  @retval EFI_ACCESS_DENIED      SMRAM is locked.
**/
STATIC
EFI_STATUS
EFIAPI
AddPiResource (
  IN STM_RSC  *ResourceList,
  IN UINT32   NumEntries  OPTIONAL
  )
{
  EFI_STATUS  Status;

  if (mLocked) {
    return EFI_ACCESS_DENIED;
  }

  Status = (ResourceList == NULL) ? EFI_INVALID_PARAMETER : ResourceListAdd (&mResources, ResourceList, NumEntries);
  if (EFI_ERROR (Status)) {
    TellIncomplete ();
  }

  return Status;
}

/**
  Delete resources from the list.

  @param[in] ResourceList  Descriptors as GetPiResource returns them; NULL for all.
  @param[in] NumEntries    How many; 0 if an END follows the last one.

  @retval EFI_SUCCESS            Deleted.
  @retval EFI_INVALID_PARAMETER  A descriptor is malformed or not in the list: none was deleted.
  @retval EFI_OUT_OF_RESOURCES   There is no END: none was deleted.
  @retval EFI_ACCESS_DENIED      SMRAM is locked.
**/
STATIC
EFI_STATUS
EFIAPI
DeletePiResource (
  IN STM_RSC  *ResourceList  OPTIONAL,
  IN UINT32   NumEntries     OPTIONAL
  )
{
  return mLocked ? EFI_ACCESS_DENIED : ResourceListDelete (&mResources, ResourceList, NumEntries);
}

/**
  Get the list, END included.

  @param[out]    ResourceList  Gets it.
  @param[in,out] ResourceSize  Bytes at ResourceList; gets the bytes of the list.

  @retval EFI_SUCCESS            Copied.
  @retval EFI_BUFFER_TOO_SMALL   Nothing was copied.
  @retval EFI_INVALID_PARAMETER  A pointer is NULL.
**/
STATIC
EFI_STATUS
EFIAPI
GetPiResource (
  OUT    STM_RSC  *ResourceList,
  IN OUT UINT32   *ResourceSize
  )
{
  if ((ResourceSize == NULL) || ((ResourceList == NULL) && (*ResourceSize != 0))) {
    return EFI_INVALID_PARAMETER;
  }

  return ResourceListGet (&mResources, ResourceList, ResourceSize);
}

/**
  Get the state of the STM.

  @return EFI_SM_MONITOR_STATE_ENABLED if MSEG holds an image that processors can
          activate, with EFI_SM_MONITOR_STATE_ACTIVATED while it is started on at least
          one of them.
**/
STATIC
EFI_SM_MONITOR_STATE
EFIAPI
GetMonitorState (
  VOID
  )
{
  EFI_SM_MONITOR_STATE  State;

  State = IsEnabled () ? EFI_SM_MONITOR_STATE_ENABLED : 0;
  if (*(volatile UINT32 *)&gSmiEntryStmStarted != 0) {
    State |= EFI_SM_MONITOR_STATE_ACTIVATED;
  }

  return State;
}

STATIC EFI_SM_MONITOR_INIT_PROTOCOL  mMonitor = {
  LoadMonitor,
  AddPiResource,
  DeletePiResource,
  GetPiResource,
  GetMonitorState
};

/**
  Lock the list together with SMRAM.

  @param[in] Protocol   gEfiSmmReadyToLockProtocolGuid.
  @param[in] Interface  Not used.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS  Always.
**/
STATIC
EFI_STATUS
EFIAPI
LockResources (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  mLocked = TRUE;
  return EFI_SUCCESS;
}

/**
  Where the list of resources is.

  @return Physical address in SMRAM; 0 if there was no memory for it.
**/
UINT64
MonitorResources (
  VOID
  )
{
  return (UINTN)mResources.Buffer;
}

/**
  Prepare the list, and offer the protocol.

  @param[in] PhysicalBits  Width of physical addresses.
**/
VOID
MonitorInitialize (
  IN UINT32  PhysicalBits
  )
{
  EFI_STATUS            Status;
  EFI_PHYSICAL_ADDRESS  Pages;
  EFI_HANDLE            Handle;
  VOID                  *Registration;

  Status = gSmst->SmmAllocatePages (AllocateAnyPages, EfiRuntimeServicesData, RESOURCE_PAGES, &Pages);
  ASSERT_EFI_ERROR (Status);
  if (EFI_ERROR (Status)) {
    return;
  }

  mResources.Buffer       = (UINT8 *)(UINTN)Pages;
  mResources.Size         = EFI_PAGES_TO_SIZE (RESOURCE_PAGES);
  mResources.PhysicalBits = PhysicalBits;
  ZeroMem (mResources.Buffer, mResources.Size);
  ResourceListClear (&mResources);

  Status = gSmst->SmmRegisterProtocolNotify (&gEfiSmmReadyToLockProtocolGuid, LockResources, &Registration);
  ASSERT_EFI_ERROR (Status);
  Handle = NULL;
  Status = gSmst->SmmInstallProtocolInterface (
                    &Handle,
                    &gEfiSmMonitorInitProtocolGuid,
                    EFI_NATIVE_INTERFACE,
                    &mMonitor
                    );
  ASSERT_EFI_ERROR (Status);
}
