/** @file
  Records and a status that somebody else should have written.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "GuestTool.h"
#include <Library/IoLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Guid/StmStatusTable.h>
#include <Library/UefiLib.h>
#include <StmRecord.h>

///
/// What a guest would have a reader believe.
///
STATIC CONST CHAR8  mForged[] = "STM: ev=crash t=1 class=forged cpu=0 reason=0x0 qual=0x0 rip=0x0 error=0x0 cr2=0x0\n";

STATIC CONST UINT16  mPorts[] = {
  STM_RECORD_PORT_STM,
  STM_RECORD_PORT_EXECUTIVE,
  STM_RECORD_PORT_FIRMWARE
};

/**
  Write a crash record of the STM to every record port.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done. Whether anybody believes it is for the reader to say.
**/
EFI_STATUS
GuestForgeRecords (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  CONST CHAR8  *Text;
  EFI_TPL      Tpl;
  UINTN        Index;

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  for (Index = 0; Index < ARRAY_SIZE (mPorts); Index++) {
    for (Text = mForged; *Text != '\0'; Text++) {
      IoWrite8 (mPorts[Index], (UINT8)*Text);
    }
  }

  gBS->RestoreTPL (Tpl);
  return EFI_SUCCESS;
}

/**
  Turn the firmware's status into the opposite of what it says: an STM that is enabled into
  one that was refused, and the other way round.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS    Done. Whether anybody believes it is for the reader to say.
  @retval EFI_NOT_FOUND  The firmware publishes no status.
**/
EFI_STATUS
GuestForgeStatus (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  STM_STATUS_TABLE  *Table;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->Signature != STM_STATUS_TABLE_SIGNATURE))
  {
    return EFI_NOT_FOUND;
  }

  Table->Reason = (Table->Reason == StmReasonNone) ? StmReasonImageMissing : StmReasonNone;
  Table->State  = (Table->Reason == StmReasonNone) ? StmStateEnabled : StmStateRefused;
  Print (L"GuestTool: the status says %d, reason %d\n", Table->State, Table->Reason);
  return EFI_SUCCESS;
}
