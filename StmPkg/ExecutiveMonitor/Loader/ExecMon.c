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
  The page of the option -remap.

  @param[in]  Argc  Number of arguments.
  @param[in]  Argv  The arguments.
  @param[out] Page  Physical address; 0 without the option.

  @retval TRUE   It can be taken.
  @retval FALSE  It is no page below 1 MB.
**/
STATIC
BOOLEAN
ExecRemapOption (
  IN  UINTN   Argc,
  IN  CHAR16  **Argv,
  OUT UINT64  *Page
  )
{
  UINTN  Index;

  *Page = 0;
  for (Index = 2; Index < Argc; Index++) {
    if (StrCmp (Argv[Index], L"-remap") == 0) {
      *Page = (Index + 1 < Argc) ? StrHexToUint64 (Argv[Index + 1]) : 0;
      return (BOOLEAN)((*Page != 0) && (*Page < BASE_1MB) && ((*Page & EFI_PAGE_MASK) == 0));
    }
  }

  return TRUE;
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
    Options.Returns     = ExecHasOption (Argc, Argv, L"-return");
    Options.IgnoreSleep = ExecHasOption (Argc, Argv, L"-ignore-sleep");
    if (ExecRemapOption (Argc, Argv, &Options.RemapPage)) {
      Status = ExecStart (&Options);
    } else {
      Print (L"ExecMon: -remap needs the hexadecimal address of a page below 1 MB\n");
      Status = EFI_INVALID_PARAMETER;
    }
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"stop") == 0)) {
    Status = ExecStop ();
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"status") == 0)) {
    Status = ExecStatus ();
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"exits") == 0)) {
    Status = ExecRecordExits ();
  } else {
    Print (L"usage: ExecMon start [-root] [-no-stm | -smi-in-window] [-fail-last] [-ignore-sleep] [-remap ADDRESS]\n");
    Print (L"               [-return] | stop | status | exits\n");
    Status = EFI_INVALID_PARAMETER;
  }

  return (INTN)(Status & ~MAX_BIT);
}
