/** @file
  Loads the resident part of the executive monitor.

  It goes into reserved memory, because it stays when the firmware's boot
  services end and no operating system uses or moves it; below 4 GB, so that any
  page tables reach it. Image and data fill whole 2-MB pages, which are hidden from
  the guest by one EPT entry each.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"
#include <Library/StmResourceLib.h>

#define EXIT_STACK_PAGES   8
#define CRASH_STACK_PAGES  2
#define PROCESSOR_PAGES    (6 + EXIT_STACK_PAGES + CRASH_STACK_PAGES)
#define SHARED_PAGES       (1 + 1 + 2 + 2 + 1 + 1 + 3 + EXEC_LOG_PAGES)
#define DIRECTORY_BITS     39                 ///< one page-directory-pointer table maps 512 GB
#define LOW_MEMORY_LIMIT   0x9FFFF
#define LARGE_PAGES        EFI_SIZE_TO_PAGES (SIZE_2MB)

/**
  Hand out pages from a block.

  @param[in,out] Next   Next free address.
  @param[in]     Pages  How many.

  @return Their address.
**/
STATIC
UINT64
ExecTakePages (
  IN OUT EFI_PHYSICAL_ADDRESS  *Next,
  IN     UINTN                 Pages
  )
{
  EFI_PHYSICAL_ADDRESS  Address;

  Address = *Next;
  *Next  += EFI_PAGES_TO_SIZE (Pages);
  return Address;
}

/**
  Read what the ACPI tables say about sleep.

  @param[out] Sleep  What they say; ports of 0 if they say nothing.
**/
STATIC
VOID
ExecReadSleep (
  OUT STM_SLEEP  *Sleep
  )
{
  VOID  *Fadt;

  Fadt = EfiLocateFirstAcpiTable (EFI_ACPI_2_0_FIXED_ACPI_DESCRIPTION_TABLE_SIGNATURE);
  if (Fadt != NULL) {
    StmSleepRead (Fadt, Sleep);
  }
}

/**
  Fill in the parts of a processor's block that never change.

  @param[in,out] Parameters  Where its block goes.
  @param[in]     Number      Of MP Services.
  @param[in]     Next        PROCESSOR_PAGES, zeroed.
**/
STATIC
VOID
ExecFillProcessor (
  IN OUT EXEC_PARAMETERS       *Parameters,
  IN     UINTN                 Number,
  IN     EFI_PHYSICAL_ADDRESS  Next
  )
{
  EXEC_PROCESSOR  *Processor;

  Processor                 = (EXEC_PROCESSOR *)(UINTN)ExecTakePages (&Next, 1);
  Processor->Shared         = Parameters;
  Processor->Number         = (UINT32)Number;
  Processor->State          = ExecStateOff;
  Processor->HostTables     = ExecTakePages (&Next, 1);
  Processor->VmxonRegion    = ExecTakePages (&Next, 1);
  Processor->ActivationVmcs = ExecTakePages (&Next, 1);
  Processor->GuestVmcs      = ExecTakePages (&Next, 1);
  Processor->ResourceList   = ExecTakePages (&Next, 1);
  ExecTakePages (&Next, EXIT_STACK_PAGES);
  Processor->StackTop = Next;
  ExecTakePages (&Next, CRASH_STACK_PAGES);
  Processor->CrashStackTop = Next;
}

/**
  Fill in the parts of the parameter block that never change.

  @param[in,out] Parameters  Zeroed block.
  @param[in]     Processors  How many processors there are.
  @param[in]     Tables      Page-directory-pointer tables that cover the physical width.
  @param[in]     Next        Memory for the regions.
**/
STATIC
VOID
ExecFillParameters (
  IN OUT EXEC_PARAMETERS       *Parameters,
  IN     UINTN                 Processors,
  IN     UINT32                Tables,
  IN     EFI_PHYSICAL_ADDRESS  Next
  )
{
  UINTN  Number;

  Parameters->Signature      = EXEC_PARAMETERS_SIGNATURE;
  Parameters->Processors     = (UINT32)Processors;
  Parameters->TableCount     = Tables;
  Parameters->MsrBitmap      = ExecTakePages (&Next, 1);
  Parameters->IoBitmaps      = ExecTakePages (&Next, 2);
  Parameters->EptDirectories = ExecTakePages (&Next, 2);
  Parameters->EptUnbacked    = ExecTakePages (&Next, 1);
  Parameters->UnbackedPage   = ExecTakePages (&Next, 1);
  Parameters->RemapTarget    = ExecTakePages (&Next, 3);
  Parameters->LogPages       = ExecTakePages (&Next, EXEC_LOG_PAGES);
  Parameters->PageTables     = ExecTakePages (&Next, 1 + Tables);
  Parameters->EptTables      = ExecTakePages (&Next, 1 + Tables);
  Parameters->FirstProcessor = Next;
  Parameters->ProcessorSize  = EFI_PAGES_TO_SIZE (PROCESSOR_PAGES);
  ExecReadSleep (&Parameters->Sleep);
  for (Number = 0; Number < Processors; Number++) {
    ExecFillProcessor (Parameters, Number, ExecTakePages (&Next, PROCESSOR_PAGES));
  }
}

/**
  Allocate whole 2-MB pages of reserved memory below 4 GB.

  @param[in]  Pages  How many 4-KB pages; a multiple of LARGE_PAGES.
  @param[out] Block  Their address, zeroed memory.

  @retval EFI_SUCCESS           Done.
  @retval EFI_OUT_OF_RESOURCES  There are none.
**/
STATIC
EFI_STATUS
ExecAllocate (
  IN  UINTN                 Pages,
  OUT EFI_PHYSICAL_ADDRESS  *Block
  )
{
  EFI_PHYSICAL_ADDRESS  Whole;
  UINTN                 Before;

  Whole = BASE_4GB - 1;
  if (EFI_ERROR (gBS->AllocatePages (AllocateMaxAddress, EfiReservedMemoryType, Pages + LARGE_PAGES, &Whole))) {
    return EFI_OUT_OF_RESOURCES;
  }

  *Block = ALIGN_VALUE (Whole, SIZE_2MB);
  Before = EFI_SIZE_TO_PAGES ((UINTN)(*Block - Whole));
  if (Before != 0) {
    gBS->FreePages (Whole, Before);
  }

  gBS->FreePages (*Block + EFI_PAGES_TO_SIZE (Pages), LARGE_PAGES - Before);
  ZeroMem ((VOID *)(UINTN)*Block, EFI_PAGES_TO_SIZE (Pages));
  return EFI_SUCCESS;
}

/**
  Get what the resident part needs to come back after S3: reserved memory below 1 MB
  for its waking routine, if the ACPI tables have S3.

  @param[in,out] Parameters  WakePage is set.

  @retval EFI_SUCCESS           Done.
  @retval EFI_UNSUPPORTED       The ACPI tables have no S3 or no FACS.
  @retval EFI_OUT_OF_RESOURCES  There is no page below 1 MB.
**/
EFI_STATUS
ExecReserveWakePage (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  EFI_PHYSICAL_ADDRESS  Page;

  if ((Parameters->Sleep.ControlPort == 0) || (Parameters->Sleep.Facs == 0) ||
      (Parameters->Sleep.Type[3] == STM_SLEEP_NOT_THERE))
  {
    return EFI_UNSUPPORTED;
  }

  if (Parameters->WakePage == 0) {
    Page = LOW_MEMORY_LIMIT;
    if (EFI_ERROR (gBS->AllocatePages (AllocateMaxAddress, EfiReservedMemoryType, 1, &Page))) {
      return EFI_OUT_OF_RESOURCES;
    }

    Parameters->WakePage = Page;
  }

  return EFI_SUCCESS;
}

/**
  Find the resident part if it has been loaded.

  @return The resident part, or NULL.
**/
EXECUTIVE_MONITOR_PROTOCOL *
ExecFind (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;

  if (EFI_ERROR (gBS->LocateProtocol (&gExecutiveMonitorProtocolGuid, NULL, (VOID **)&Monitor))) {
    return NULL;
  }

  return Monitor;
}

/**
  Find the resident part, or load it into reserved memory.

  @param[in]  Processors  How many processors the machine has.
  @param[out] Monitor     The resident part.

  @retval EFI_SUCCESS           Found or loaded.
  @retval EFI_NOT_FOUND         No firmware volume holds the image.
  @retval EFI_OUT_OF_RESOURCES  No reserved memory below 4 GB.
  @retval EFI_LOAD_ERROR        The image is not a PE image for this processor.
  @retval others                The protocol could not be installed.
**/
EFI_STATUS
ExecLoad (
  IN  UINTN                       Processors,
  OUT EXECUTIVE_MONITOR_PROTOCOL  **Monitor
  )
{
  EFI_STATUS                    Status;
  VOID                          *File;
  UINTN                         FileSize;
  PE_COFF_LOADER_IMAGE_CONTEXT  Image;
  EFI_PHYSICAL_ADDRESS          Block;
  EFI_PHYSICAL_ADDRESS          Next;
  UINTN                         Pages;
  UINTN                         ImagePages;
  UINT32                        Bits;
  UINT32                        Tables;
  EFI_HANDLE                    Handle;
  EXECUTIVE_MONITOR_PROTOCOL    *New;

  *Monitor = ExecFind ();
  if (*Monitor != NULL) {
    return EFI_SUCCESS;
  }

  Status = GetSectionFromAnyFv (
             PcdGetPtr (PcdExecutiveMonitorFile),
             EFI_SECTION_PE32,
             0,
             &File,
             &FileSize
             );
  if (EFI_ERROR (Status)) {
    return EFI_NOT_FOUND;
  }

  ZeroMem (&Image, sizeof (Image));
  Image.Handle    = File;
  Image.ImageRead = PeCoffLoaderImageReadFromMemory;
  if (RETURN_ERROR (PeCoffLoaderGetImageInfo (&Image))) {
    FreePool (File);
    return EFI_LOAD_ERROR;
  }

  Bits       = StmPhysicalAddressBits ();
  Tables     = (Bits > DIRECTORY_BITS) ? (UINT32)1 << (Bits - DIRECTORY_BITS) : 1;
  ImagePages = EFI_SIZE_TO_PAGES ((UINTN)Image.ImageSize + Image.SectionAlignment);
  Pages      = ImagePages + SHARED_PAGES + 2 * (1 + (UINTN)Tables) + Processors * PROCESSOR_PAGES;
  Pages      = ALIGN_VALUE (Pages, LARGE_PAGES);

  Status = ExecAllocate (Pages, &Block);
  if (EFI_ERROR (Status)) {
    FreePool (File);
    return Status;
  }

  Next               = Block + EFI_PAGES_TO_SIZE (ImagePages);
  Image.ImageAddress = ALIGN_VALUE (Block, (UINTN)Image.SectionAlignment);
  Status             = PeCoffLoaderLoadImage (&Image);
  FreePool (File);
  if (EFI_ERROR (Status) || RETURN_ERROR (PeCoffLoaderRelocateImage (&Image))) {
    gBS->FreePages (Block, Pages);
    return EFI_LOAD_ERROR;
  }

  InvalidateInstructionCacheRange ((VOID *)(UINTN)Image.ImageAddress, (UINTN)Image.ImageSize);

  //
  // The resident part writes here when it leaves or comes back, which is long after an
  // operating system has taken over all other memory.
  //
  New = AllocateReservedZeroPool (sizeof (*New));
  if (New == NULL) {
    gBS->FreePages (Block, Pages);
    return EFI_OUT_OF_RESOURCES;
  }

  New->Entry      = (EXEC_ENTRY)(UINTN)Image.EntryPoint;
  New->Parameters = (EXEC_PARAMETERS *)(UINTN)ExecTakePages (&Next, 1);
  New->HiddenBase = Block;
  New->HiddenSize = EFI_PAGES_TO_SIZE (Pages);
  ExecFillParameters (New->Parameters, Processors, Tables, Next);
  New->Parameters->HiddenBase = New->HiddenBase;
  New->Parameters->HiddenSize = New->HiddenSize;
  New->Parameters->Published  = (UINT64)(UINTN)New;

  Handle = NULL;
  Status = gBS->InstallProtocolInterface (&Handle, &gExecutiveMonitorProtocolGuid, EFI_NATIVE_INTERFACE, New);
  if (EFI_ERROR (Status)) {
    gBS->FreePages (Block, Pages);
    FreePool (New);
    return Status;
  }

  *Monitor = New;
  return EFI_SUCCESS;
}
