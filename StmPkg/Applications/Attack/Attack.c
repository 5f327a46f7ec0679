/** @file
  Shell application: carries out the steps of an attack and records what came of each.

  The attacks themselves are in the lab (build_scripts/experiments/attacks). This
  program only does as it is told, so that an attack is one line of text.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Library/ShellCEntryLib.h>
#include <Library/StmRecordLib.h>
#include <StmRecord.h>

#define MOST_WORDS  24

///
/// In the order of EXEC_STATE, ATTACK_ACTOR and STM_STEP_RESULT.
///
STATIC CONST CHAR8  *mPlaces[]  = { "native", "root", "guest" };
STATIC CONST CHAR8  *mActors[]  = { "shell", "smm", "smm", "tool" };
STATIC CONST CHAR8  *mResults[] = { "pending", "done", "faulted", "rejected" };

STATIC ATTACK_WORD  mWords[MOST_WORDS];

/**
  Carry out a step.

  @param[in,out] Word  The step.
**/
STATIC
VOID
RunWord (
  IN OUT ATTACK_WORD  *Word
  )
{
  switch (Word->Actor) {
    case AttackByHandler:
    case AttackByHandlerAlone:
      AttackByHandlerStep (&Word->Step, (BOOLEAN)(Word->Actor == AttackByHandlerAlone));
      break;
    case AttackByTool:
      Word->Operation->Routine (&Word->Step);
      break;
    default:
      AttackByShellStep (&Word->Step);
      break;
  }
}

/**
  Record what came of a step.

  @param[in] Number  Of the step, from 1.
  @param[in] Word    The step.
**/
STATIC
VOID
RecordWord (
  IN UINTN              Number,
  IN CONST ATTACK_WORD  *Word
  )
{
  CONST STM_STEP  *Step;

  Step = &Word->Step;
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "attack-step",
    "n=%u label=%a by=%a op=%a a=0x%lx b=0x%lx c=0x%lx d=0x%lx result=%a vector=%u violations=%u value=0x%lx",
    (UINT32)Number,
    Word->Label,
    mActors[Word->Actor],
    Word->Operation->Name,
    Step->Argument[0],
    Step->Argument[1],
    Step->Argument[2],
    Step->Argument[3],
    mResults[MIN (Step->Result, StmStepRejected)],
    Step->Vector,
    Step->Violations,
    Step->Value
    );
}

/**
  Entry point.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The attack's name, and its steps.

  @retval 0  Every step was carried out or refused; the records tell.
  @return An EFI_STATUS without its high bit otherwise: EFI_INVALID_PARAMETER for a
          word that makes no sense.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  CHAR8  Name[64];
  UINTN  Count;

  if ((Argc < 3) || (Argc - 2 > MOST_WORDS) || RETURN_ERROR (UnicodeStrToAsciiStrS (Argv[1], Name, sizeof (Name)))) {
    Print (L"usage: Attack NAME [LABEL=][smm.|alone.]OPERATION[:ARGUMENT...] ...\n");
    return (INTN)(EFI_INVALID_PARAMETER & ~MAX_BIT);
  }

  if (EFI_ERROR (AttackGetPages ())) {
    return (INTN)(EFI_OUT_OF_RESOURCES & ~MAX_BIT);
  }

  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "attack-begin",
    "name=%a place=%a stm=%u",
    Name,
    mPlaces[AttackPlace ()],
    (UINT32)AttackStmActive ()
    );
  for (Count = 0; Count < Argc - 2; Count++) {
    if (!AttackReadWord (Argv[Count + 2], mWords, Count, &mWords[Count])) {
      Print (L"Attack: what is %s?\n", Argv[Count + 2]);
      return (INTN)(EFI_INVALID_PARAMETER & ~MAX_BIT);
    }

    RunWord (&mWords[Count]);
    RecordWord (Count + 1, &mWords[Count]);
  }

  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", "attack-end", "name=%a", Name);
  return 0;
}
