/** @file
  Who reaches MSEG in SMM: nobody but the loader, and the loader only while it
  verifies.

  An SMI handler that the STM runs cannot reach MSEG, because of the STM's EPT. But
  a processor that has not been taken over runs its handlers as firmware always
  did, and a write of theirs would change the STM under the other processors. So
  the page tables that PiSmmCpuDxeSmm made for all handlers lose MSEG as soon as it
  holds an image: a stray access faults.

  This stops errors, not intent. A handler runs at CPL 0 and may load page tables
  of its own, as the loader does here. What stops that one is the STM, on every
  processor that it has, and where it is not, the hash that every activation and
  every wake check.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Protocol/SmmMemoryAttribute.h>

//
// For page tables that map MSEG, in SMRAM; empty while nobody verifies.
//
STATIC UINT64  *mTables;

/**
  Take MSEG out of the page tables of SMM.

  @param[in] Memory  MSEG, which holds the image.

  @return StmReasonNone, or StmReasonMsegReachable if it is still there.
**/
STM_REASON
DenyMseg (
  IN CONST STM_MEMORY_FACTS  *Memory
  )
{
  EFI_STATUS                           Status;
  EFI_PHYSICAL_ADDRESS                 Pages;
  EDKII_SMM_MEMORY_ATTRIBUTE_PROTOCOL  *Attributes;

  Status = gSmst->SmmAllocatePages (
                    AllocateAnyPages,
                    EfiRuntimeServicesData,
                    STM_MSEG_ACTIVATION_TABLES_PAGES,
                    &Pages
                    );
  if (!EFI_ERROR (Status)) {
    mTables = (UINT64 *)(UINTN)Pages;
    Status  = gSmst->SmmLocateProtocol (&gEdkiiSmmMemoryAttributeProtocolGuid, NULL, (VOID **)&Attributes);
  }

  if (!EFI_ERROR (Status)) {
    Status = Attributes->SetMemoryAttributes (Attributes, Memory->MsegBase, Memory->MsegSize, EFI_MEMORY_RP);
  }

  if (EFI_ERROR (Status)) {
    DEBUG ((DEBUG_ERROR, "%a: SMM's page tables keep MSEG: %r\n", gEfiCallerBaseName, Status));
    return StmReasonMsegReachable;
  }

  return StmReasonNone;
}

/**
  Load page tables that map MSEG. All code and data of SMM lie below 4 GB too, at
  the same addresses as before.

  @pre DenyMseg returned StmReasonNone; one processor at a time.

  @return For CloseMseg.
**/
UINTN
OpenMseg (
  VOID
  )
{
  UINTN  Cr3;

  BuildActivationTables (mTables);
  Cr3 = AsmReadCr3 ();
  AsmWriteCr3 ((UINTN)mTables);
  return Cr3;
}

/**
  Load the page tables of SMM again, and leave none that map MSEG.

  @param[in] Cr3  What OpenMseg returned.
**/
VOID
CloseMseg (
  IN UINTN  Cr3
  )
{
  AsmWriteCr3 (Cr3);
  ZeroMem (mTables, STM_MSEG_ACTIVATION_TABLES_SIZE);
}
