/** @file
  UEFI variables: each access is one or more SMIs, and the data comes back only
  if the handler really ran.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"

#define VARIABLE_SIZE  32

STATIC EFI_GUID  mVariableGuid = {
  0xe51b90e0, 0x3694, 0x44c3, { 0x81, 0xf7, 0xa5, 0xab, 0x31, 0x4c, 0xab, 0x63 }
};

/**
  Write a variable, read it back, delete it.

  @param[in] Index  Number for its name and contents.

  @retval TRUE   It came back as written.
  @retval FALSE  It did not.
**/
STATIC
BOOLEAN
SmiOneVariable (
  IN UINTN  Index
  )
{
  CHAR16      Name[] = L"StmLab0";
  UINT8       Written[VARIABLE_SIZE];
  UINT8       Read[VARIABLE_SIZE];
  UINTN       Size;
  UINTN       Position;
  EFI_STATUS  WriteStatus;
  EFI_STATUS  ReadStatus;
  BOOLEAN     Same;

  Name[6] = (CHAR16)(L'0' + Index % 10);
  for (Position = 0; Position < sizeof (Written); Position++) {
    Written[Position] = (UINT8)(AsmReadTsc () + Position * 37 + Index);
  }

  WriteStatus = gRT->SetVariable (
                       Name,
                       &mVariableGuid,
                       EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS,
                       sizeof (Written),
                       Written
                       );
  ZeroMem (Read, sizeof (Read));
  Size       = sizeof (Read);
  ReadStatus = gRT->GetVariable (Name, &mVariableGuid, NULL, &Size, Read);
  Same       = (BOOLEAN)(!EFI_ERROR (ReadStatus) && (Size == sizeof (Written)) &&
                         (CompareMem (Read, Written, sizeof (Written)) == 0));
  SMI_RECORD (
    "variable",
    "written=%u read_back=%u name=StmLab%lu",
    EFI_ERROR (WriteStatus) ? 0 : 1,
    Same ? 1 : 0,
    (UINT64)(Index % 10)
    );
  gRT->SetVariable (Name, &mVariableGuid, 0, 0, NULL);
  return (BOOLEAN)(!EFI_ERROR (WriteStatus) && Same);
}

/**
  Write variables, which the firmware does in SMM, and read them back.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       All read back as written.
  @retval EFI_DEVICE_ERROR  Some did not.
**/
EFI_STATUS
SmiVariables (
  IN UINTN  Count
  )
{
  UINTN   Index;
  UINTN   Good;
  UINT64  Before;

  SMI_RECORD ("smi-begin", "cause=variable");
  Before = AsmReadMsr64 (MSR_SMI_COUNT);
  Good   = 0;
  for (Index = 0; Index < Count; Index++) {
    if (SmiOneVariable (Index)) {
      Good++;
    }
  }

  SMI_RECORD (
    "smi-end",
    "written=%lu read_back=%lu counted=%lu",
    (UINT64)Count,
    (UINT64)Good,
    AsmReadMsr64 (MSR_SMI_COUNT) - Before
    );
  Print (L"SmiTool: %ld variables written, %ld read back\n", (UINT64)Count, (UINT64)Good);
  return (Good == Count) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}
