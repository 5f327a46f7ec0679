/** @file
  Shell application: raises SMIs and looks at what they leave behind.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"
#include <Library/ShellCEntryLib.h>
#include <Library/StmCommandLib.h>

#define DEMO_PORT_SMIS  3
#define DEMO_VARIABLES  2

/**
  The demonstration: some of each kind, between two marks.

  @retval EFI_SUCCESS  All as expected.
  @return What the first failing part returned.
**/
STATIC
EFI_STATUS
SmiDemo (
  VOID
  )
{
  EFI_STATUS  PortStatus;
  EFI_STATUS  VariableStatus;

  SMI_RECORD ("mark", "name=demo-begin");
  PortStatus     = SmiRaise (DEMO_PORT_SMIS, SMI_UNCLAIMED_COMMAND);
  VariableStatus = SmiVariables (DEMO_VARIABLES);
  SMI_RECORD ("mark", "name=demo-end");
  return EFI_ERROR (PortStatus) ? PortStatus : VariableStatus;
}

/**
  How often a command does its work.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments; the number, if any, is behind the command.

  @return The number; 1 without one.
**/
STATIC
UINTN
SmiNumber (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return (Argc >= 3) ? StrDecimalToUintn (Argv[2]) : 1;
}

/**
  Command "demo".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiDemo.
**/
STATIC
EFI_STATUS
SmiDemoCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiDemo ();
}

/**
  Command "b2".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiRaise.
**/
STATIC
EFI_STATUS
SmiRaiseCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiRaise (
           SmiNumber (Argc, Argv),
           (Argc >= 4) ? (UINT8)StrHexToUintn (Argv[3]) : SMI_UNCLAIMED_COMMAND
           );
}

/**
  Command "ipi".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiSend.
**/
STATIC
EFI_STATUS
SmiSendCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiSend (SmiNumber (Argc, Argv));
}

/**
  Command "hlt".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiHalt.
**/
STATIC
EFI_STATUS
SmiHaltCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiHalt (SmiNumber (Argc, Argv));
}

/**
  Command "state".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_INVALID_PARAMETER  The word behind it is not "hlt".
  @retval others                 See SmiState.
**/
STATIC
EFI_STATUS
SmiStateCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  if ((Argc == 3) && (StrCmp (Argv[2], L"hlt") != 0)) {
    return EFI_INVALID_PARAMETER;
  }

  return SmiState (Argc == 3);
}

/**
  Command "variable".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiVariables.
**/
STATIC
EFI_STATUS
SmiVariableCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiVariables (SmiNumber (Argc, Argv));
}

/**
  Command "count".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiLogCount.
**/
STATIC
EFI_STATUS
SmiCountCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiLogCount ();
}

/**
  Command "tseg".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See SmiCheckTseg.
**/
STATIC
EFI_STATUS
SmiTsegCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return SmiCheckTseg ();
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"demo",     L"",            0, 0, SmiDemoCommand     },
  { L"b2",       L"[N [VALUE]]", 0, 2, SmiRaiseCommand    },
  { L"ipi",      L"[N]",         0, 1, SmiSendCommand     },
  { L"hlt",      L"[N]",         0, 1, SmiHaltCommand     },
  { L"state",    L"[hlt]",       0, 1, SmiStateCommand    },
  { L"variable", L"[N]",         0, 1, SmiVariableCommand },
  { L"count",    L"",            0, 0, SmiCountCommand    },
  { L"tseg",     L"",            0, 0, SmiTsegCommand     }
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
  return StmRunCommand (L"SmiTool", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
