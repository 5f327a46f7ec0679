/** @file
  Shows the firmware's STM status table.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Guid/StmStatusTable.h>
#include <Library/StmStatusLib.h>
#include <Library/UefiApplicationEntryPoint.h>
#include <Library/UefiLib.h>

/**
  Print a digest.

  @param[in] Name    What it is of.
  @param[in] Digest  32 bytes.
**/
STATIC
VOID
StmPrintDigest (
  IN CONST CHAR16  *Name,
  IN CONST UINT8   *Digest
  )
{
  UINTN  Index;

  Print (L"%s", Name);
  for (Index = 0; Index < 32; Index++) {
    Print (L"%02x", Digest[Index]);
  }

  Print (L"\n");
}

/**
  Entry point.

  @param[in] ImageHandle  Not used.
  @param[in] SystemTable  Not used.

  @retval EFI_SUCCESS    Shown.
  @retval EFI_NOT_FOUND  This firmware publishes no status, or of another version.
**/
EFI_STATUS
EFIAPI
UefiMain (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  STM_STATUS_TABLE  *Table;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->Signature != STM_STATUS_TABLE_SIGNATURE) || (Table->Version != STM_STATUS_TABLE_VERSION))
  {
    Print (L"this firmware publishes no STM status table that this program knows\n");
    return EFI_NOT_FOUND;
  }

  Print (
    L"state:        %a\nreason:       %a\n",
    StmStateName ((STM_STATE)Table->State),
    StmReasonName ((STM_REASON)Table->Reason)
    );
  Print (L"image's flaw: %a\n", StmImageProblemName ((STM_IMAGE_PROBLEM)Table->ImageProblem));
  Print (L"image from:   %a\n", StmSourceName ((STM_IMAGE_SOURCE)Table->ImageSource));
  Print (L"measured:     %a\n", StmMeasurementName ((STM_MEASUREMENT)Table->Measurement));
  Print (L"TSEG:         0x%lx, %ld KB\n", Table->TsegBase, Table->TsegSize / SIZE_1KB);
  Print (
    L"MSEG:         0x%lx, %ld KB, %ld KB needed\n",
    Table->MsegBase,
    Table->MsegSize / SIZE_1KB,
    Table->MsegNeeded / SIZE_1KB
    );
  Print (L"processors:   %d, MSEG has room for %d\n", Table->Processors, Table->ProcessorsFit);
  StmPrintDigest (L"image SHA256: ", Table->ImageSha256);
  StmPrintDigest (L"MSEG SHA256:  ", Table->MsegSha256);
  Print (L"wakes:        %ld\n", Table->Wakes);
  return EFI_SUCCESS;
}
