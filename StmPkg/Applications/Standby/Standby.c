/** @file
  Shell application: standby (S3), and back to the Shell.

  UEFI has no service for it. Asleep and awake again without an operating system,
  a script can look at both sides of it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Standby.h"
#include <IndustryStandard/Acpi20.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmCommandLib.h>

/**
  Sleep in S3, if the ACPI tables have it.

  @param[in] Vector  Page below 1 MB for the waking routine; 0 for any.

  @retval EFI_SUCCESS      Asleep, and awake again.
  @retval EFI_UNSUPPORTED  The platform has no S3.
  @retval others           See StandbySleep.
**/
STATIC
EFI_STATUS
StandbyS3 (
  IN EFI_PHYSICAL_ADDRESS  Vector
  )
{
  STM_SLEEP   Sleep;
  EFI_STATUS  Status;
  VOID        *Fadt;

  Fadt = EfiLocateFirstAcpiTable (EFI_ACPI_2_0_FIXED_ACPI_DESCRIPTION_TABLE_SIGNATURE);
  if ((Fadt == NULL) || !StmSleepRead (Fadt, &Sleep) || (Sleep.Type[3] == STM_SLEEP_NOT_THERE)) {
    Print (L"Standby: the ACPI tables have no S3\n");
    return EFI_UNSUPPORTED;
  }

  Status = StandbySleep (&Sleep, Vector);
  Print (L"Standby: S3: %r\n", Status);
  return Status;
}

/**
  Command "s3".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_INVALID_PARAMETER  What follows is not a page below 1 MB.
  @retval others                 See StandbyS3.
**/
STATIC
EFI_STATUS
StandbyS3Command (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  EFI_PHYSICAL_ADDRESS  Vector;

  Vector = 0;
  if (Argc != 2) {
    Vector = ((Argc == 4) && (StrCmp (Argv[2], L"-vector") == 0)) ? StrHexToUint64 (Argv[3]) : 0;
    if ((Vector == 0) || (Vector >= BASE_1MB) || ((Vector & EFI_PAGE_MASK) != 0)) {
      return EFI_INVALID_PARAMETER;
    }
  }

  return StandbyS3 (Vector);
}

/**
  Command "report".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
**/
STATIC
EFI_STATUS
StandbyReportCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  StandbyReport ();
  return EFI_SUCCESS;
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"s3",     L"[-vector ADDRESS]", 0, 2, StandbyS3Command     },
  { L"report", L"",                  0, 0, StandbyReportCommand }
};

/**
  Entry point.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval 0      Done.
  @return An EFI_STATUS without its high bit otherwise.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return StmRunCommand (L"Standby", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
