/** @file
  Hooks of PiSmmCpuDxeSmm at the start, during an SMI, and at the lock of SMRAM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Guid/SmmBaseHob.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmResourceLib.h>
#include <Protocol/StmWake.h>

//
// The loader's part in a wake; NULL until MSEG has been announced.
//
STATIC STM_WAKE_PROTOCOL  *mStmWake;

/**
  Keep the loader's protocol: at a wake each processor needs it in its first SMI,
  when the database of SMM cannot be asked yet.

  @param[in] Protocol   gStmWakeProtocolGuid.
  @param[in] Interface  STM_WAKE_PROTOCOL.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS  Always.
**/
STATIC
EFI_STATUS
EFIAPI
StmIsLoaded (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  mStmWake = Interface;
  return EFI_SUCCESS;
}

/**
  Check what the rest of the library relies on, and prepare the descriptors for the STM.

  @param[in] ImageHandle  Handle of the driver.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  SMBASE has been relocated in PEI, as OVMF always does.
  @retval others       The loader's protocol cannot be waited for.
**/
EFI_STATUS
EFIAPI
SmmCpuFeaturesLibConstructor (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  VOID  *Registration;

  ASSERT (GetFirstGuidHob (&gSmmBaseHobGuid) != NULL);
  MonitorInitialize (StmPhysicalAddressBits ());
  PsdInitialize ();
  SmmRegisterInitialize ();
  return gSmst->SmmRegisterProtocolNotify (&gStmWakeProtocolGuid, StmIsLoaded, &Registration);
}

/**
  Complete the descriptor of the processor that executes this code. Called in
  its first SMI, at the first boot and at every resume from standby.

  IA32_SMM_MONITOR_CTL is not written here at the first boot: the loader writes
  it when MSEG holds a checked image. Standby loses the MSR, since a processor
  wakes by a reset, but not MSEG: memory keeps its contents. So at a wake this is
  where the MSR comes back, once the loader has found in MSEG what it left there,
  and before anything runs that the firmware did not bring along.

  @param[in] CpuIndex        Index of the processor.
  @param[in] IsMonarch       Whether the processor leads the initialisation.
  @param[in] ProcessorInfo   Information about all processors.
  @param[in] CpuHotPlugData  SMBASE of all processors.
**/
VOID
EFIAPI
SmmCpuFeaturesInitializeProcessor (
  IN UINTN                      CpuIndex,
  IN BOOLEAN                    IsMonarch,
  IN EFI_PROCESSOR_INFORMATION  *ProcessorInfo,
  IN CPU_HOT_PLUG_DATA          *CpuHotPlugData
  )
{
  PsdOf (CpuHotPlugData->SmBase[CpuIndex])->LocalApicId = (UINT32)ProcessorInfo[CpuIndex].ProcessorId;
  if (IsMonarch) {
    //
    // A processor wakes without the STM, also one that never stopped it.
    //
    gSmiEntryStmStarted = 0;
  }

  if (mStmWake != NULL) {
    mStmWake->WakeProcessor ();
  }
}

/**
  Called when all processors have relocated SMBASE. There is nothing to do.
**/
VOID
EFIAPI
SmmCpuFeaturesSmmRelocationComplete (
  VOID
  )
{
}

/**
  Called for every SMI of every processor, at its start. There is nothing to do.

  @param[in] CpuIndex  Index of the processor.
**/
VOID
EFIAPI
SmmCpuFeaturesRendezvousEntry (
  IN UINTN  CpuIndex
  )
{
}

/**
  Called for every SMI of every processor, at its end. Processors are not hot-plugged,
  so none is to be ejected.

  @param[in] CpuIndex  Index of the processor.
**/
VOID
EFIAPI
SmmCpuFeaturesRendezvousExit (
  IN UINTN  CpuIndex
  )
{
}

/**
  Called in the first SMI after SMRAM has been locked. There is nothing to do.
**/
VOID
EFIAPI
SmmCpuFeaturesCompleteSmmReadyToLock (
  VOID
  )
{
}
