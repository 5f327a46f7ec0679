/** @file
  Runs the shell commands in fw_cfg file opt/org.stmlab/script, a line each. The
  image stays the same for every scenario, and no disk is needed.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Protocol/Shell.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmFwCfgLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Library/UefiRuntimeServicesTableLib.h>
#include <StmRecord.h>

#define SCRIPT_FILE          "opt/org.stmlab/script"
#define SCRIPT_MAXIMUM_SIZE  SIZE_64KB
#define ENCODED_LENGTH       256
#define LAST_ERROR           L"lasterror"
#define LAST_ERROR_LENGTH    19

/**
  Percent-encode a command for a record: values hold no spaces.

  @param[in]  Line     The command.
  @param[out] Encoded  ENCODED_LENGTH bytes.
**/
STATIC
VOID
LabEncode (
  IN  CONST CHAR8  *Line,
  OUT CHAR8        *Encoded
  )
{
  STATIC CONST CHAR8  Hex[] = "0123456789ABCDEF";
  UINTN               Used;

  for (Used = 0; (*Line != '\0') && (Used + 4 < ENCODED_LENGTH); Line++) {
    if ((*Line <= ' ') || (*Line == '%') || (*Line >= 0x7F)) {
      Encoded[Used++] = '%';
      Encoded[Used++] = Hex[((UINT8)*Line) >> 4];
      Encoded[Used++] = Hex[((UINT8)*Line) & 0xF];
    } else {
      Encoded[Used++] = *Line;
    }
  }

  Encoded[Used] = '\0';
}

/**
  Forget the status of the previous command, so that what is read later belongs
  to the next one.
**/
STATIC
VOID
LabClearLastError (
  VOID
  )
{
  gRT->SetVariable (LAST_ERROR, &gShellVariableGuid, EFI_VARIABLE_BOOTSERVICE_ACCESS, 0, NULL);
}

/**
  The Shell's own status of the command that ran last.

  EFI_SHELL_PROTOCOL.Execute() runs a command in a Shell of its own, which returns
  success even for a command that it does not know. It keeps what happened in the
  environment variable "lasterror", and those are UEFI variables.

  @return A SHELL_STATUS; SHELL_SUCCESS if the command left none.
**/
STATIC
SHELL_STATUS
LabLastError (
  VOID
  )
{
  CHAR16  Text[LAST_ERROR_LENGTH + 1];
  UINTN   Size;
  UINTN   Value;

  Size = LAST_ERROR_LENGTH * sizeof (CHAR16);
  ZeroMem (Text, sizeof (Text));
  if (EFI_ERROR (gRT->GetVariable (LAST_ERROR, &gShellVariableGuid, NULL, &Size, Text)) ||
      EFI_ERROR (StrHexToUintnS (Text, NULL, &Value)))
  {
    return SHELL_SUCCESS;
  }

  return (SHELL_STATUS)Value;
}

/**
  Run one command and log it.

  @param[in] Shell   Shell protocol.
  @param[in] Number  Line number, from 1.
  @param[in] Line    The command.

  @return Status of the command: an EFI_STATUS, or a SHELL_STATUS.
**/
STATIC
EFI_STATUS
LabRunLine (
  IN EFI_SHELL_PROTOCOL  *Shell,
  IN UINTN               Number,
  IN CONST CHAR8         *Line
  )
{
  CHAR8       Encoded[ENCODED_LENGTH];
  CHAR16      *Command;
  EFI_HANDLE  Parent;
  EFI_STATUS  Status;
  EFI_STATUS  CommandStatus;
  UINTN       Size;

  LabEncode (Line, Encoded);
  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", "script", "line=%lu cmd=%a", (UINT64)Number, Encoded);
  Print (L"lab> %a\n", Line);

  Size    = AsciiStrSize (Line);
  Command = AllocatePool (Size * sizeof (CHAR16));
  if (Command == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  AsciiStrToUnicodeStrS (Line, Command, Size);
  Parent        = gImageHandle;
  CommandStatus = EFI_SUCCESS;
  LabClearLastError ();
  Status = Shell->Execute (&Parent, Command, NULL, &CommandStatus);
  FreePool (Command);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  return (CommandStatus != EFI_SUCCESS) ? CommandStatus : (EFI_STATUS)LabLastError ();
}

/**
  Entry point.

  @param[in] Argc  Not used.
  @param[in] Argv  Not used.

  @retval 0  The script ended, or there is none.
  @retval 1  There is no shell, or the script is too large.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  UINTN               Size;
  CHAR8               *Script;
  CHAR8               *Line;
  CHAR8               *End;
  UINTN               Number;
  EFI_STATUS          Status;
  EFI_SHELL_PROTOCOL  *Shell;

  if (!StmFwCfgOpen (SCRIPT_FILE, &Size)) {
    return 0;
  }

  if ((Size > SCRIPT_MAXIMUM_SIZE) ||
      EFI_ERROR (gBS->LocateProtocol (&gEfiShellProtocolGuid, NULL, (VOID **)&Shell)))
  {
    return 1;
  }

  Script = AllocateZeroPool (Size + 1);
  if (Script == NULL) {
    return 1;
  }

  StmFwCfgRead (Size, Script);

  Status = EFI_SUCCESS;
  Number = 0;
  for (Line = Script; *Line != '\0'; Line = End) {
    for (End = Line; (*End != '\0') && (*End != '\n'); End++) {
    }

    if (*End == '\n') {
      *End++ = '\0';
    }

    Number++;
    if (*Line == '\0') {
      continue;
    }

    Status = LabRunLine (Shell, Number, Line);
    StmRecord (
      STM_RECORD_PORT_FIRMWARE,
      "APP",
      "script-status",
      "line=%lu status=0x%lx",
      (UINT64)Number,
      (UINT64)Status
      );
  }

  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", "script-end", "status=0x%lx", (UINT64)Status);
  FreePool (Script);
  return 0;
}
