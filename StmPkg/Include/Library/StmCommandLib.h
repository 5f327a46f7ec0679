/** @file
  The commands of a Shell tool as a table: the first word chooses one, and the
  table also says what the tool's usage is.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_COMMAND_LIB_H_
#define STM_COMMAND_LIB_H_

/**
  Carry out one command.

  @param[in] Argc  Number of arguments, the tool's name and the command included.
  @param[in] Argv  The arguments, as the tool got them.

  @retval EFI_SUCCESS            Done.
  @retval EFI_INVALID_PARAMETER  An argument is not what the usage says.
  @retval others                 It failed.
**/
typedef
EFI_STATUS
(*STM_COMMAND_RUN)(
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

typedef struct {
  CONST CHAR16       *Name;       ///< the word that chooses it; empty: no word at all
  CONST CHAR16       *Usage;      ///< what may follow, for people
  UINTN              LeastWords;  ///< that must follow
  UINTN              MostWords;   ///< that may follow
  STM_COMMAND_RUN    Run;
} STM_COMMAND;

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
  );

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
  );

#endif
