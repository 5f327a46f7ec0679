/** @file
  Loads the STM into MSEG and announces MSEG to every processor, or says why not.

  The entry point runs in SMM, before SMRAM is locked, while boot services still
  exist. That the dual-monitor treatment cannot be used is no error: the system
  goes on under the default treatment.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Guid/MsegSmram.h>
#include <Guid/SmramMemoryReserve.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmResourceLib.h>

/**
  Find MSEG, and TSEG as the range that the SMRAM descriptors span.

  @param[out] Memory  MSEG and TSEG; zero what does not exist.
**/
STATIC
VOID
FindMemory (
  OUT STM_MEMORY_FACTS  *Memory
  )
{
  EFI_HOB_GUID_TYPE               *Hob;
  EFI_SMRAM_HOB_DESCRIPTOR_BLOCK  *Block;
  EFI_SMRAM_DESCRIPTOR            *Descriptor;
  UINT64                          End;
  UINTN                           Index;

  ZeroMem (Memory, sizeof (*Memory));

  Hob = GetFirstGuidHob (&gMsegSmramGuid);
  if (Hob != NULL) {
    Descriptor       = GET_GUID_HOB_DATA (Hob);
    Memory->MsegBase = Descriptor->PhysicalStart;
    Memory->MsegSize = Descriptor->PhysicalSize;
  }

  Hob = GetFirstGuidHob (&gEfiSmmSmramMemoryGuid);
  if (Hob == NULL) {
    return;
  }

  Block            = GET_GUID_HOB_DATA (Hob);
  End              = 0;
  Memory->TsegBase = MAX_UINT64;
  for (Index = 0; Index < Block->NumberOfSmmReservedRegions; Index++) {
    Descriptor       = &Block->Descriptor[Index];
    Memory->TsegBase = MIN (Memory->TsegBase, Descriptor->PhysicalStart);
    End              = MAX (End, Descriptor->PhysicalStart + Descriptor->PhysicalSize);
  }

  Memory->TsegSize = End - Memory->TsegBase;
}

/**
  Go through all checks in order, load the image if they pass, close MSEG to SMI
  handlers, and announce it.

  @param[in]     Memory  MSEG and TSEG.
  @param[in,out] Image   The image; no file if it is kept for the wakes.
  @param[in]     Found   StmReasonNone, or why there is no image, or none to be used.
  @param[in,out] Status  Gets the size needed, the processors that fit and, after a load, the
                         static size and its digest.
  @param[out]    Pages   How many pages of a list of resources an STM of ours has room for; left
                         alone with another.

  @return Why the dual-monitor treatment cannot be used; StmReasonNone if it can.
**/
STATIC
STM_REASON
TryToEnable (
  IN     CONST STM_MEMORY_FACTS  *Memory,
  IN OUT STM_IMAGE               *Image,
  IN     STM_REASON              Found,
  IN OUT STM_STATUS_TABLE        *Status,
  OUT    UINT32                  *Pages
  )
{
  STM_PROCESSOR_FACTS  Facts;
  STM_REASON           Reason;
  STM_IMAGE_PROBLEM    Problem;
  UINT32               NumberOfProcessors;
  UINT32               Revision;

  Reason = CheckProcessors (&Facts);
  if (Reason != StmReasonNone) {
    return Reason;
  }

  Reason = StmCheckMemory (Memory);
  if (Reason != StmReasonNone) {
    return Reason;
  }

  if (Found != StmReasonNone) {
    return Found;
  }

  NumberOfProcessors = (UINT32)gSmst->NumberOfCpus;

  Reason = StmCheckImage (
             Image->File,
             Image->Size,
             &Facts,
             NumberOfProcessors,
             Memory->MsegSize,
             &Status->MsegNeeded,
             &Problem
             );
  Status->ImageProblem = Problem;
  if (Status->MsegNeeded != 0) {
    Status->ProcessorsFit = StmProcessorsThatFit (Image->File, Image->Size, &Facts, Memory->MsegSize);
  }

  if (Reason != StmReasonNone) {
    return Reason;
  }

  if (StmHasLabHeader (Image->File, Image->Size)) {
    Status->MsegNeeded += PolicySize (NumberOfProcessors);
    if (Status->MsegNeeded > Memory->MsegSize) {
      return StmReasonImageTooLarge;
    }

    *Pages = STM_BIOS_LIST_PAGES ((Memory->MsegSize - Status->MsegNeeded) / SIZE_4KB);
  }

  Revision                = (UINT32)RShiftU64 (Facts.VmxMisc, 32);
  Status->StaticImageSize = LoadStmImage (Image, Memory, NumberOfProcessors, Revision, Status->MsegSha256);
  if (!StmHasLabHeader (Image->File, Image->Size)) {
    KeepImage (Image, Revision);
  }

  Reason = DenyMseg (Memory);
  return (Reason == StmReasonNone) ? EnableMseg (Memory->MsegBase) : Reason;
}

/**
  Entry point of the loader.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  The status is published, whatever it is.
**/
EFI_STATUS
EFIAPI
StmLoaderEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  STM_STATUS_TABLE  Status;
  STM_MEMORY_FACTS  Memory;
  STM_IMAGE         Image;
  STM_REASON        Found;
  UINT32            ListPages;

  ZeroMem (&Status, sizeof (Status));
  FindMemory (&Memory);
  Status.Signature = STM_STATUS_TABLE_SIGNATURE;
  Status.Version   = STM_STATUS_TABLE_VERSION;
  Status.Size      = sizeof (Status);
  Status.MsegBase  = Memory.MsegBase;
  Status.MsegSize  = Memory.MsegSize;
  Status.TsegBase  = Memory.TsegBase;
  Status.TsegSize  = Memory.TsegSize;

  Status.Processors = (UINT32)gSmst->NumberOfCpus;

  Found              = FindImage (Memory.MsegSize, &Image);
  Status.ImageSource = Image.Source;
  if (Found == StmReasonNone) {
    StmSha256 (Image.File, Image.Size, Status.ImageSha256);
    //
    // Before anybody looks at what is in it.
    //
    Status.Measurement = MeasureImage (&Image);
    Found              = (Status.Measurement == StmMeasuredFailed) ? StmReasonNotMeasured : StmReasonNone;
    if (Found == StmReasonNone) {
      Found = CheckImageDigest (Image.Source, Status.ImageSha256);
    }
  }

  FindPolicy ();
  ListPages     = STM_BIOS_PAGES;
  Status.Reason = TryToEnable (&Memory, &Image, Found, &Status, &ListPages);
  Status.State  = StmStateOf (Status.Reason);
  if (Image.File != NULL) {
    gSmst->SmmFreePool (Image.File);
  }

  PublishStatus (&Status);
  if (Status.State == StmStateEnabled) {
    PrepareWake (&Memory, (UINT32)gSmst->NumberOfCpus, &Status);
    PrepareResourceCheck (&Memory, ListPages);
  }

  return EFI_SUCCESS;
}
