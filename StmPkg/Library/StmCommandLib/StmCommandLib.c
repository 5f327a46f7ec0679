/** @file
  The commands of a Shell tool as a table.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/StmCommandLib.h>
#include <Library/UefiLib.h>

/**
  The command that a call of a tool asks for.

  @param[in] Commands  The tool's commands.
  @param[in] Count     How many.
  @param[in] Argc      Number of arguments, the tool's name included.
  @param[in] Argv      The arguments.

  @return The command, or NULL if none is called so and takes so many words.
**/
CONST STM_COMMAND *
EFIAPI
StmFindCommand (
  IN CONST STM_COMMAND  *Commands,
  IN UINTN              Count,
  IN UINTN              Argc,
  IN CHAR16             **Argv
  )
{
  CONST CHAR16  *Name;
  UINTN         Words;
  UINTN         Index;

  Name  = (Argc >= 2) ? Argv[1] : L"";
  Words = (Argc >= 2) ? Argc - 2 : 0;
  for (Index = 0; Index < Count; Index++) {
    if ((StrCmp (Name, Commands[Index].Name) == 0) &&
        (Words >= Commands[Index].LeastWords) && (Words <= Commands[Index].MostWords))
    {
      return &Commands[Index];
    }
  }

  return NULL;
}

/**
  Carry out what a call of a tool asks for, or print the tool's usage.

  @param[in] Tool      The tool's name.
  @param[in] Commands  Its commands.
  @param[in] Count     How many.
  @param[in] Argc      Number of arguments, the tool's name included.
  @param[in] Argv      The arguments.

  @retval 0  Done.
  @return An EFI_STATUS without its high bit otherwise, as the Shell wants it; of
          EFI_INVALID_PARAMETER if the usage was printed.
**/
INTN
EFIAPI
StmRunCommand (
  IN CONST CHAR16       *Tool,
  IN CONST STM_COMMAND  *Commands,
  IN UINTN              Count,
  IN UINTN              Argc,
  IN CHAR16             **Argv
  )
{
  CONST STM_COMMAND  *Command;
  EFI_STATUS         Status;
  UINTN              Index;

  Command = StmFindCommand (Commands, Count, Argc, Argv);
  Status  = (Command != NULL) ? Command->Run (Argc, Argv) : EFI_INVALID_PARAMETER;
  if (Status == EFI_INVALID_PARAMETER) {
    for (Index = 0; Index < Count; Index++) {
      Print (
        L"%s%s%s%s%s%s\n",
        (Index == 0) ? L"usage: " : L"       ",
        Tool,
        (Commands[Index].Name[0] == L'\0') ? L"" : L" ",
        Commands[Index].Name,
        (Commands[Index].Usage[0] == L'\0') ? L"" : L" ",
        Commands[Index].Usage
        );
    }
  }

  return (INTN)(Status & ~MAX_BIT);
}
