/** @file
  The firmware's list of resources, once nobody can change it any more: the STM will
  read it at INITIALIZE_PROTECTION, and refuse to start if it finds a fault. The loader
  looks first, with the STM's own code, while the fault can still be told at boot.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmResourceLib.h>
#include <Protocol/SmmReadyToLock.h>
#include <Protocol/StmResourcesIncomplete.h>
#include <Register/Intel/SmramSaveStateMap.h>

//
// SMRAM's copy.
//
STATIC STM_MEMORY_FACTS  mMemory;
STATIC UINT32            mListPages;

/**
  Check the list that a processor's descriptor (PSD) names.

  @param[in]  Limits  MSEG, TSEG and the width of addresses.
  @param[in]  Index   Index of the processor in the SMM system table.
  @param[out] Pages   STM_BIOS_PAGES pages to copy to.

  @return StmReasonNone, StmReasonResourcesMalformed, StmReasonResourcesUnprotectable or
          StmReasonResourcesTooLong.
**/
STATIC
STM_REASON
CheckList (
  IN  CONST STM_LIMITS  *Limits,
  IN  UINTN             Index,
  OUT UINT8             *Pages
  )
{
  CONST TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;
  UINT32                              Status;
  UINT32                              Count;

  Psd = (CONST TXT_PROCESSOR_SMM_DESCRIPTOR *)((UINTN)gSmst->CpuSaveState[Index] - SMRAM_SAVE_STATE_MAP_OFFSET +
                                               TXT_SMM_PSD_OFFSET);
  Count  = mListPages;
  Status = StmBiosListCopy (Limits, Psd->BiosHwResourceRequirementsPtr, Pages, &Count);
  if (Status == STM_SUCCESS) {
    return StmReasonNone;
  }

  DEBUG ((
    DEBUG_ERROR,
    "%a: list of resources at 0x%lx: the STM would answer 0x%x\n",
    gEfiCallerBaseName,
    Psd->BiosHwResourceRequirementsPtr,
    Status
    ));
  switch (Status) {
    case (UINT32)ERROR_STM_UNPROTECTABLE:
      return StmReasonResourcesUnprotectable;
    case (UINT32)ERROR_STM_OUT_OF_RESOURCES:
      return StmReasonResourcesTooLong;
    default:
      return StmReasonResourcesMalformed;
  }
}

/**
  Does the list hold every claim that a driver has made?

  @retval TRUE   It does.
  @retval FALSE  It lacks one.
**/
STATIC
BOOLEAN
IsComplete (
  VOID
  )
{
  CONST CHAR8  *Teller;

  if (EFI_ERROR (gSmst->SmmLocateProtocol (&gStmResourcesIncompleteProtocolGuid, NULL, (VOID **)&Teller))) {
    return TRUE;
  }

  DEBUG ((DEBUG_ERROR, "%a: %a: the list of resources lacks a claim\n", gEfiCallerBaseName, Teller));
  return FALSE;
}

/**
  Check the list of every processor. With a fault in one, the STM is refused on all.

  @param[in] Protocol   gEfiSmmReadyToLockProtocolGuid.
  @param[in] Interface  Not used.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS  Always: the system goes on under the default treatment.
**/
STATIC
EFI_STATUS
EFIAPI
CheckResources (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  EFI_PHYSICAL_ADDRESS  Pages;
  STM_LIMITS            Limits;
  STM_REASON            Reason;
  UINTN                 Index;

  ZeroMem (&Limits, sizeof (Limits));
  Limits.PhysicalBits = StmPhysicalAddressBits ();
  Limits.TsegBase     = mMemory.TsegBase;
  Limits.TsegEnd      = mMemory.TsegBase + mMemory.TsegSize;
  Limits.MsegBase     = mMemory.MsegBase;
  Limits.MsegEnd      = mMemory.MsegBase + mMemory.MsegSize;
  Reason              = StmReasonResourcesMalformed;
  if (!IsComplete ()) {
    Reason = StmReasonResourcesIncomplete;
  } else if (!EFI_ERROR (gSmst->SmmAllocatePages (AllocateAnyPages, EfiRuntimeServicesData, STM_BIOS_PAGES, &Pages))) {
    Reason = StmReasonNone;
    for (Index = 0; (Index < gSmst->NumberOfCpus) && (Reason == StmReasonNone); Index++) {
      Reason = CheckList (&Limits, Index, (UINT8 *)(UINTN)Pages);
    }

    gSmst->SmmFreePages (Pages, STM_BIOS_PAGES);
  }

  if (Reason != StmReasonNone) {
    DisableMseg ();
    RefuseAfterLoad (Reason);
  }

  return EFI_SUCCESS;
}

/**
  Wait for the lock of SMRAM, with which the list is final. Only for an STM that is
  enabled.

  @param[in] Memory  MSEG and TSEG; copied.
  @param[in] Pages   How many pages of a list the STM has room for.
**/
VOID
PrepareResourceCheck (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  Pages
  )
{
  EFI_STATUS  Status;
  VOID        *Registration;

  CopyMem (&mMemory, Memory, sizeof (mMemory));
  mListPages = Pages;
  Status     = gSmst->SmmRegisterProtocolNotify (&gEfiSmmReadyToLockProtocolGuid, CheckResources, &Registration);
  ASSERT_EFI_ERROR (Status);
}
