/** @file
  Shell application: start, stop, status and exits of the executive monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"
#include <Library/ShellCEntryLib.h>

/**
  Find an option among the arguments behind the command.

  @param[in] Argc    Number of arguments.
  @param[in] Argv    The arguments.
  @param[in] Option  What to look for.

  @retval TRUE   It is there.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
ExecHasOption (
  IN UINTN         Argc,
  IN CHAR16        **Argv,
  IN CONST CHAR16  *Option
  )
{
  UINTN  Index;

  for (Index = 2; Index < Argc; Index++) {
    if (StrCmp (Argv[Index], Option) == 0) {
      return TRUE;
    }
  }

  return FALSE;
}

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
  EFI_STATUS          Status;
  EXEC_START_OPTIONS  Options;

  if ((Argc >= 2) && (StrCmp (Argv[1], L"start") == 0)) {
    Options.Root        = ExecHasOption (Argc, Argv, L"-root");
    Options.WithoutStm  = ExecHasOption (Argc, Argv, L"-no-stm");
    Options.SmiInWindow = ExecHasOption (Argc, Argv, L"-smi-in-window");
    Options.FailLast    = ExecHasOption (Argc, Argv, L"-fail-last");
    Status              = ExecStart (&Options);
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"stop") == 0)) {
    Status = ExecStop ();
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"status") == 0)) {
    Status = ExecStatus ();
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"exits") == 0)) {
    Status = ExecRecordExits ();
  } else {
    Print (L"usage: ExecMon start [-root] [-no-stm | -smi-in-window] [-fail-last] | stop | status | exits\n");
    Status = EFI_INVALID_PARAMETER;
  }

  return (INTN)(Status & ~MAX_BIT);
}
