/** @file
  Other processors: one that runs a routine for this program, and one that writes to memory
  while others look at it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"

#define CALM_POLLS  1000
#define RACE_POLLS  10000

///
/// What the racing processor works on. It may outlive the program: nobody else ends it.
///
typedef struct {
  volatile UINT64    *Place;
  UINT64             Number[2];   ///< what is written in turn
  volatile UINT64    Rounds;      ///< how often it has written
  volatile UINT32    Ending;
} RACE;

STATIC RACE       *mRace;
STATIC EFI_EVENT  mRaceEnded;

/**
  Run a routine on another processor, and wait for its end.

  @param[in]     Processor  Its number.
  @param[in]     Routine    The routine.
  @param[in,out] Context    Its argument.

  @retval TRUE   It has run.
  @retval FALSE  There is no such processor, or it is busy.
**/
BOOLEAN
AttackRunOn (
  IN     UINT64            Processor,
  IN     EFI_AP_PROCEDURE  Routine,
  IN OUT VOID              *Context
  )
{
  EFI_MP_SERVICES_PROTOCOL  *Mp;

  return (BOOLEAN)(!EFI_ERROR (gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp)) &&
                   !EFI_ERROR (Mp->StartupThisAP (Mp, Routine, (UINTN)Processor, NULL, 0, Context, NULL)));
}

/**
  Write to memory over and over, on another processor.

  @param[in,out] Context  RACE.
**/
STATIC
VOID
EFIAPI
RunRace (
  IN OUT VOID  *Context
  )
{
  RACE  *Race;

  Race = Context;
  while (Race->Ending == 0) {
    (*Race->Place)++;
    Race->Rounds++;
  }
}

/**
  Write two numbers to memory in turn, over and over, on another processor.

  @param[in,out] Context  RACE.
**/
STATIC
VOID
EFIAPI
RunSwap (
  IN OUT VOID  *Context
  )
{
  RACE  *Race;

  Race = Context;
  for ( ; Race->Ending == 0; Race->Rounds++) {
    *Race->Place = Race->Number[Race->Rounds % ARRAY_SIZE (Race->Number)];
  }
}

/**
  Have another processor run a routine until AttackCalm.

  @param[in,out] Step     The step: number of the processor, address, and what the routine
                          writes.
  @param[in]     Routine  The routine.
**/
STATIC
VOID
Begin (
  IN OUT STM_STEP          *Step,
  IN     EFI_AP_PROCEDURE  Routine
  )
{
  EFI_MP_SERVICES_PROTOCOL  *Mp;

  Step->Result = StmStepRejected;
  if ((mRace != NULL) ||
      EFI_ERROR (gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp)) ||
      EFI_ERROR (gBS->AllocatePool (EfiRuntimeServicesData, sizeof (*mRace), (VOID **)&mRace)))
  {
    return;
  }

  mRace->Place     = (volatile UINT64 *)(UINTN)Step->Argument[1];
  mRace->Number[0] = Step->Argument[2];
  mRace->Number[1] = Step->Argument[3];
  mRace->Rounds    = 0;
  mRace->Ending    = 0;
  if (!EFI_ERROR (gBS->CreateEvent (0, TPL_CALLBACK, NULL, NULL, &mRaceEnded))) {
    if (!EFI_ERROR (Mp->StartupThisAP (Mp, Routine, (UINTN)Step->Argument[0], mRaceEnded, 0, mRace, NULL))) {
      Step->Result = StmStepDone;
      return;
    }

    gBS->CloseEvent (mRaceEnded);
  }

  gBS->FreePool (mRace);
  mRace = NULL;
}

/**
  Have another processor write to memory over and over. Arguments: number of the processor
  and address of 8 bytes.

  @param[in,out] Step  The step.
**/
VOID
AttackRace (
  IN OUT STM_STEP  *Step
  )
{
  Begin (Step, RunRace);
}

/**
  Have another processor write two numbers to memory in turn, over and over. Arguments:
  number of the processor, address of 8 bytes, and the numbers.

  @param[in,out] Step  The step.
**/
VOID
AttackSwap (
  IN OUT STM_STEP  *Step
  )
{
  Begin (Step, RunSwap);
}

/**
  Wait until the racing processor, if there is one, is out of the last SMI: it writes again.
**/
VOID
AttackWaitForRace (
  VOID
  )
{
  UINT64  Before;
  UINTN   Polls;

  if (mRace == NULL) {
    return;
  }

  Before = mRace->Rounds;
  for (Polls = 0; (Polls < RACE_POLLS) && (mRace->Rounds - Before < 2); Polls++) {
    gBS->Stall (1000);
  }
}

/**
  Have it end. Rejected if it does not.

  @param[in,out] Step  The step.
**/
VOID
AttackCalm (
  IN OUT STM_STEP  *Step
  )
{
  UINTN  Polls;

  Step->Result = StmStepRejected;
  if (mRace == NULL) {
    return;
  }

  mRace->Ending = 1;
  for (Polls = 0; Polls < CALM_POLLS; Polls++) {
    if (gBS->CheckEvent (mRaceEnded) == EFI_SUCCESS) {
      gBS->CloseEvent (mRaceEnded);
      gBS->FreePool (mRace);
      mRace        = NULL;
      Step->Result = StmStepDone;
      return;
    }

    gBS->Stall (1000);
  }
}
