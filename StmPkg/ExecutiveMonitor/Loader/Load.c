/** @file
  Loads the resident part of the executive monitor.

  It goes into reserved memory, because it stays when the firmware's boot
  services end; below 4 GB, so that any page tables reach it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

#define EXIT_STACK_PAGES   8
#define CRASH_STACK_PAGES  2
#define ONE_PAGE_REGIONS   4                  ///< VMXON, two VMCSs, MSR bitmap
#define DIRECTORY_BITS     39                 ///< one page-directory-pointer table maps 512 GB

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
  Fill in the parts of the parameter block that never change.

  @param[in,out] Parameters  Zeroed block.
  @param[in]     Bits        Physical-address width.
  @param[in]     Tables      Page-directory-pointer tables that cover it.
  @param[in]     Next        Memory for the regions.
**/
STATIC
VOID
ExecFillParameters (
  IN OUT EXEC_PARAMETERS       *Parameters,
  IN     UINT32                Bits,
  IN     UINT32                Tables,
  IN     EFI_PHYSICAL_ADDRESS  Next
  )
{
  Parameters->Signature           = EXEC_PARAMETERS_SIGNATURE;
  Parameters->State               = ExecStateOff;
  Parameters->PhysicalAddressBits = Bits;
  Parameters->TableCount          = Tables;
  Parameters->VmxonRegion         = ExecTakePages (&Next, 1);
  Parameters->ActivationVmcs      = ExecTakePages (&Next, 1);
  Parameters->GuestVmcs           = ExecTakePages (&Next, 1);
  Parameters->MsrBitmap           = ExecTakePages (&Next, 1);
  Parameters->HostTables          = ExecTakePages (&Next, 1 + Tables);
  Parameters->EptTables           = ExecTakePages (&Next, 1 + Tables);
  ExecTakePages (&Next, EXIT_STACK_PAGES);
  Parameters->StackTop = Next;
  ExecTakePages (&Next, CRASH_STACK_PAGES);
  Parameters->CrashStackTop = Next;
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

  @param[out] Monitor  The resident part.

  @retval EFI_SUCCESS           Found or loaded.
  @retval EFI_NOT_FOUND         No firmware volume holds the image.
  @retval EFI_OUT_OF_RESOURCES  No reserved memory below 4 GB.
  @retval EFI_LOAD_ERROR        The image is not a PE image for this processor.
  @retval others                The protocol could not be installed.
**/
EFI_STATUS
ExecLoad (
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

  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Bits, NULL, NULL, NULL);
  Bits      &= 0xFF;
  Tables     = (Bits > DIRECTORY_BITS) ? (UINT32)1 << (Bits - DIRECTORY_BITS) : 1;
  ImagePages = EFI_SIZE_TO_PAGES ((UINTN)Image.ImageSize + Image.SectionAlignment);
  Pages      = ImagePages + EFI_SIZE_TO_PAGES (sizeof (EXEC_PARAMETERS)) +
               EFI_SIZE_TO_PAGES (sizeof (EXECUTIVE_MONITOR_PROTOCOL)) + ONE_PAGE_REGIONS +
               2 * (1 + (UINTN)Tables) + EXIT_STACK_PAGES + CRASH_STACK_PAGES;

  Block  = BASE_4GB - 1;
  Status = gBS->AllocatePages (AllocateMaxAddress, EfiReservedMemoryType, Pages, &Block);
  if (EFI_ERROR (Status)) {
    FreePool (File);
    return EFI_OUT_OF_RESOURCES;
  }

  ZeroMem ((VOID *)(UINTN)Block, EFI_PAGES_TO_SIZE (Pages));
  Next               = Block + EFI_PAGES_TO_SIZE (ImagePages);
  Image.ImageAddress = ALIGN_VALUE (Block, (UINTN)Image.SectionAlignment);
  Status             = PeCoffLoaderLoadImage (&Image);
  FreePool (File);
  if (EFI_ERROR (Status) || RETURN_ERROR (PeCoffLoaderRelocateImage (&Image))) {
    gBS->FreePages (Block, Pages);
    return EFI_LOAD_ERROR;
  }

  InvalidateInstructionCacheRange ((VOID *)(UINTN)Image.ImageAddress, (UINTN)Image.ImageSize);

  New             = (EXECUTIVE_MONITOR_PROTOCOL *)(UINTN)ExecTakePages (&Next, EFI_SIZE_TO_PAGES (sizeof (*New)));
  New->Entry      = (EXEC_ENTRY)(UINTN)Image.EntryPoint;
  New->Parameters = (EXEC_PARAMETERS *)(UINTN)ExecTakePages (&Next, EFI_SIZE_TO_PAGES (sizeof (EXEC_PARAMETERS)));
  ExecFillParameters (New->Parameters, Bits, Tables, Next);

  Handle = NULL;
  Status = gBS->InstallProtocolInterface (&Handle, &gExecutiveMonitorProtocolGuid, EFI_NATIVE_INTERFACE, New);
  if (EFI_ERROR (Status)) {
    gBS->FreePages (Block, Pages);
    return Status;
  }

  *Monitor = New;
  return EFI_SUCCESS;
}
