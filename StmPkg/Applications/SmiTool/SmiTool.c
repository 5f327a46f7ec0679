/** @file
  Shell application: raises SMIs and looks at what they leave behind.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"
#include <Library/ShellCEntryLib.h>

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
  EFI_STATUS  Status;
  UINTN       Number;

  Number = (Argc >= 3) ? StrDecimalToUintn (Argv[2]) : 1;
  if ((Argc >= 2) && (StrCmp (Argv[1], L"demo") == 0)) {
    Status = SmiDemo ();
  } else if ((Argc >= 2) && (StrCmp (Argv[1], L"b2") == 0)) {
    Status = SmiRaise (
               Number,
               (Argc >= 4) ? (UINT8)StrHexToUintn (Argv[3]) : SMI_UNCLAIMED_COMMAND
               );
  } else if ((Argc >= 2) && (StrCmp (Argv[1], L"ipi") == 0)) {
    Status = SmiSend (Number);
  } else if ((Argc >= 2) && (StrCmp (Argv[1], L"hlt") == 0)) {
    Status = SmiHalt (Number);
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"state") == 0)) {
    Status = SmiState (FALSE);
  } else if ((Argc == 3) && (StrCmp (Argv[1], L"state") == 0) && (StrCmp (Argv[2], L"hlt") == 0)) {
    Status = SmiState (TRUE);
  } else if ((Argc >= 2) && (StrCmp (Argv[1], L"variable") == 0)) {
    Status = SmiVariables (Number);
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"count") == 0)) {
    Status = SmiLogCount ();
  } else if ((Argc == 2) && (StrCmp (Argv[1], L"tseg") == 0)) {
    Status = SmiCheckTseg ();
  } else {
    Print (L"usage: SmiTool demo | b2 [N [VALUE]] | ipi [N] | hlt [N] | state [hlt] | variable [N] | count | tseg\n");
    Status = EFI_INVALID_PARAMETER;
  }

  return (INTN)(Status & ~MAX_BIT);
}
