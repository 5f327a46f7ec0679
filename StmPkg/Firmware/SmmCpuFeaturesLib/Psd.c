/** @file
  The processor SMM descriptor (PSD, TXT_PROCESSOR_SMM_DESCRIPTOR): what a
  processor's SMI handler tells the STM about itself. One lies at SMBASE + FB00H
  of every processor.

  A monitor may be another than ours, so every field says what is true on this
  platform, and no pointer is left for it to follow to address 0.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Guid/Acpi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmResourceLib.h>
#include <Library/UefiLib.h>
#include <Protocol/SmmEndOfDxe.h>
#include <StmMsegLayout.h>

///
/// The stack that the STM writes the frame to, one per processor. Whatever an SMI
/// handler has done to its own stack does not matter then.
///
#define EXCEPTION_STACK_PAGES  2

/**
  The processor's descriptor for the STM (PSD).

  @param[in] SmBase  SMBASE of the processor.

  @return The descriptor in SMRAM.
**/
TXT_PROCESSOR_SMM_DESCRIPTOR *
PsdOf (
  IN UINTN  SmBase
  )
{
  return (TXT_PROCESSOR_SMM_DESCRIPTOR *)(SmBase + TXT_SMM_PSD_OFFSET);
}

/**
  Name the handler of protection exceptions in a processor's descriptor.

  @param[in,out] Psd  The descriptor. Without memory for a stack it names none: the STM
                      then crashes at the first violation, and says so.
**/
STATIC
VOID
PsdFillException (
  IN OUT TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd
  )
{
  STM_PROTECTION_EXCEPTION_HANDLER  *Handler;
  EFI_STATUS                        Status;
  EFI_PHYSICAL_ADDRESS              Stack;

  Status = gSmst->SmmAllocatePages (AllocateAnyPages, EfiRuntimeServicesData, EXCEPTION_STACK_PAGES, &Stack);
  ASSERT_EFI_ERROR (Status);
  if (EFI_ERROR (Status)) {
    return;
  }

  Handler                             = &Psd->StmProtectionExceptionHandler;
  Handler->SpeRip                     = (UINTN)SmiEntryException;
  Handler->SpeRsp                     = Stack + EFI_PAGES_TO_SIZE (EXCEPTION_STACK_PAGES);
  Handler->SpeSs                      = SMM_DATA_SELECTOR;
  Handler->PageViolationException     = 1;
  Handler->MsrViolationException      = 1;
  Handler->RegisterViolationException = 1;
  Handler->IoViolationException       = 1;
  Handler->PciViolationException      = 1;
}

/**
  Fill the descriptor that the STM reads when it starts. The local APIC ID
  follows in SmmCpuFeaturesInitializeProcessor, the ACPI tables at the end of DXE.

  @param[in] SmBase   SMBASE of the processor.
  @param[in] Stack    Where the index of the processor is stored; RSP at the entry.
  @param[in] GdtBase  The processor's GDT in SMM.
  @param[in] GdtSize  Bytes of the GDT.
  @param[in] Cr3      Page tables of SMM.
**/
VOID
PsdFill (
  IN UINTN   SmBase,
  IN UINTN   Stack,
  IN UINTN   GdtBase,
  IN UINTN   GdtSize,
  IN UINT32  Cr3
  )
{
  TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;

  Psd = PsdOf (SmBase);
  ZeroMem (Psd, sizeof (*Psd));
  Psd->Signature             = TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE;
  Psd->Size                  = sizeof (*Psd);
  Psd->SmmDescriptorVerMajor = TXT_PROCESSOR_SMM_DESCRIPTOR_VERSION_MAJOR;
  Psd->SmmDescriptorVerMinor = TXT_PROCESSOR_SMM_DESCRIPTOR_VERSION_MINOR;

  //
  // The entry code wants IA-32e mode with Cr3 below. It sets EFER.NXE itself,
  // because the page tables use bit 63: nothing outside SMRAM is executable.
  //
  Psd->SmmEntryState.ExecutionDisableOutsideSmrr = 1;
  Psd->SmmEntryState.Intel64Mode                 = 1;
  Psd->SmmEntryState.Cr4Pae                      = 1;
  Psd->SmmEntryState.Cr4Pse                      = 1;
  Psd->SmmCs                                     = SMM_CODE64_SELECTOR;
  Psd->SmmDs                                     = SMM_DATA_SELECTOR;
  Psd->SmmSs                                     = SMM_DATA_SELECTOR;
  Psd->SmmOtherSegment                           = SMM_DATA_SELECTOR;
  Psd->SmmTr                                     = SMM_TSS_SELECTOR;
  Psd->SmmCr3                                    = Cr3;
  Psd->SmmStmSetupRip                            = (UINTN)SmiEntryStmSetup;
  Psd->SmmStmTeardownRip                         = (UINTN)SmiEntryStmTeardown;
  Psd->SmmSmiHandlerRip                          = SmBase + SMM_HANDLER_OFFSET + gSmiEntryStmOffset;
  Psd->SmmSmiHandlerRsp                          = Stack;
  Psd->SmmGdtPtr                                 = GdtBase;
  Psd->SmmGdtSize                                = (UINT32)GdtSize;
  Psd->RequiredStmSmmRevId                       = STM_SMM_REVISION_ID;

  Psd->BiosHwResourceRequirementsPtr = MonitorResources ();
  Psd->PhysicalAddressBits           = (UINT8)StmPhysicalAddressBits ();
  PsdFillException (Psd);
}

/**
  Give the ACPI tables to every descriptor. At the end of DXE they exist, and
  SMRAM is not locked yet.

  @param[in] Protocol   gEfiSmmEndOfDxeProtocolGuid.
  @param[in] Interface  Not used.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS    The descriptors are complete.
  @retval EFI_NOT_FOUND  There are no ACPI tables.
**/
STATIC
EFI_STATUS
EFIAPI
PsdAtEndOfDxe (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  EFI_STATUS  Status;
  VOID        *Rsdp;
  UINTN       Index;

  Status = EfiGetSystemConfigurationTable (&gEfiAcpi20TableGuid, &Rsdp);
  if (EFI_ERROR (Status)) {
    Status = EfiGetSystemConfigurationTable (&gEfiAcpi10TableGuid, &Rsdp);
  }

  if (EFI_ERROR (Status)) {
    DEBUG ((DEBUG_ERROR, "%a: no ACPI tables for the STM\n", gEfiCallerBaseName));
    return Status;
  }

  for (Index = 0; Index < gSmst->NumberOfCpus; Index++) {
    PsdOf ((UINTN)gSmst->CpuSaveState[Index] - SMRAM_SAVE_STATE_MAP_OFFSET)->AcpiRsdp = (UINTN)Rsdp;
  }

  return EFI_SUCCESS;
}

/**
  Wait for the end of DXE, when the descriptors can be completed.
**/
VOID
PsdInitialize (
  VOID
  )
{
  EFI_STATUS  Status;
  VOID        *Registration;

  Status = gSmst->SmmRegisterProtocolNotify (&gEfiSmmEndOfDxeProtocolGuid, PsdAtEndOfDxe, &Registration);
  ASSERT_EFI_ERROR (Status);
}
