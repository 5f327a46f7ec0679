/** @file
  Shell application: the commands of the executive monitor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"
#include <Library/ShellCEntryLib.h>
#include <Library/StmCommandLib.h>

#define START_OPTIONS \
  L"[-root] [-no-stm | -smi-in-window] [-fail-last] [-refuse-stop] [-ignore-sleep] [-remap ADDRESS] [-return]"
#define START_MOST_WORDS  9
#define LOG_OPTIONS       L"[new [PAGES] | configure [EVENT,...] | start | stop | clear | delete]"
#define DOMAIN_WORDS      L"add TYPE,... [read-write | read-only | scrub [KEPT-TYPE,...]] | remove"

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
  Command "start".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_INVALID_PARAMETER  -remap names no page below 1 MB.
  @retval others                 See ExecStart.
**/
STATIC
EFI_STATUS
ExecStartCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  EXEC_START_OPTIONS  Options;

  Options.Root        = ExecHasOption (Argc, Argv, L"-root");
  Options.WithoutStm  = ExecHasOption (Argc, Argv, L"-no-stm");
  Options.SmiInWindow = ExecHasOption (Argc, Argv, L"-smi-in-window");
  Options.FailLast    = ExecHasOption (Argc, Argv, L"-fail-last");
  Options.RefuseStop  = ExecHasOption (Argc, Argv, L"-refuse-stop");
  Options.Returns     = ExecHasOption (Argc, Argv, L"-return");
  Options.IgnoreSleep = ExecHasOption (Argc, Argv, L"-ignore-sleep");
  if (!ExecRemapOption (Argc, Argv, &Options.RemapPage)) {
    Print (L"ExecMon: -remap needs the hexadecimal address of a page below 1 MB\n");
    return EFI_INVALID_PARAMETER;
  }

  return ExecStart (&Options);
}

/**
  Command "stop".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecStop.
**/
STATIC
EFI_STATUS
ExecStopCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecStop ();
}

/**
  Command "status".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecStatus.
**/
STATIC
EFI_STATUS
ExecStatusCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecStatus ();
}

/**
  Command "exits".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecRecordExits.
**/
STATIC
EFI_STATUS
ExecExitsCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecRecordExits ();
}

/**
  Command "protect".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecProtect.
**/
STATIC
EFI_STATUS
ExecProtectCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecProtect (Argv[2], TRUE);
}

/**
  Command "unprotect".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecProtect.
**/
STATIC
EFI_STATUS
ExecUnprotectCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecProtect (Argv[2], FALSE);
}

/**
  Command "resources".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecResources.
**/
STATIC
EFI_STATUS
ExecResourcesCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecResources ();
}

/**
  Command "log".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecEventLog.
**/
STATIC
EFI_STATUS
ExecLogCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecEventLog ((Argc > 2) ? Argv[2] : NULL, (Argc > 3) ? Argv[3] : NULL);
}

/**
  Command "domain".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See ExecDomain.
**/
STATIC
EFI_STATUS
ExecDomainCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return ExecDomain (&Argv[2], Argc - 2);
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"start",     START_OPTIONS, 0, START_MOST_WORDS, ExecStartCommand     },
  { L"stop",      L"",           0, 0,                ExecStopCommand      },
  { L"status",    L"",           0, 0,                ExecStatusCommand    },
  { L"exits",     L"",           0, 0,                ExecExitsCommand     },
  { L"protect",   L"PAGE",       1, 1,                ExecProtectCommand   },
  { L"unprotect", L"PAGE",       1, 1,                ExecUnprotectCommand },
  { L"resources", L"",           0, 0,                ExecResourcesCommand },
  { L"log",       LOG_OPTIONS,   0, 2,                ExecLogCommand       },
  { L"domain",    DOMAIN_WORDS,  1, 4,                ExecDomainCommand    }
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
  return StmRunCommand (L"ExecMon", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
