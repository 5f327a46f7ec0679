/** @file
  Steps that the SMI handler carries out.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Guid/StmAttackHandler.h>
#include <Library/LocalApicLib.h>
#include <Protocol/SmmCommunication.h>

///
/// How often to look for the end of an SMI: the local APIC delivers it soon, not at once.
///
#define ARRIVAL_POLLS  10000

///
/// How often to raise it. Where another processor is late for the SMI before, and still in
/// it, this one joins it instead.
///
#define MOST_SMIS  100

/**
  Raise an SMI that this processor alone takes, in which the handler carries out a step.

  The chipset's SMIs go to all processors. This one follows an interprocessor interrupt to
  oneself, and the firmware does not wait for the others.

  @param[in] Step  The step, in the buffer that the handler has been told.
**/
STATIC
VOID
RaiseAlone (
  IN CONST STM_STEP  *Step
  )
{
  UINTN  Count;
  UINTN  Poll;

  for (Count = 0; (Count < MOST_SMIS) && (*(CONST volatile UINT32 *)&Step->Result == StmStepPending); Count++) {
    AttackWaitForRace ();
    SendSmiIpi (GetApicId ());
    for (Poll = 0; (Poll < ARRIVAL_POLLS) && (*(CONST volatile UINT32 *)&Step->Result == StmStepPending); Poll++) {
      CpuPause ();
    }
  }
}

/**
  Let the SMI handler carry out a step.

  @param[in,out] Step   The step; its Result stays StmStepPending if there is no handler.
  @param[in]     Alone  In an SMI that this processor alone takes.
**/
VOID
AttackByHandlerStep (
  IN OUT STM_STEP  *Step,
  IN     BOOLEAN   Alone
  )
{
  EFI_SMM_COMMUNICATION_PROTOCOL  *Communication;
  EFI_SMM_COMMUNICATE_HEADER      *Header;
  UINTN                           Size;

  Size = OFFSET_OF (EFI_SMM_COMMUNICATE_HEADER, Data) + STM_ATTACK_REQUEST_SIZE;
  if (EFI_ERROR (gBS->LocateProtocol (&gEfiSmmCommunicationProtocolGuid, NULL, (VOID **)&Communication)) ||
      EFI_ERROR (gBS->AllocatePool (EfiRuntimeServicesData, Size, (VOID **)&Header)))
  {
    return;
  }

  CopyGuid (&Header->HeaderGuid, &gStmAttackHandlerGuid);
  Header->MessageLength = STM_ATTACK_REQUEST_SIZE;
  if (Alone) {
    Step->Kind |= STM_ATTACK_NEXT_SMI;
  }

  CopyMem (Header->Data, Step, sizeof (*Step));
  Communication->Communicate (Communication, Header, &Size);
  if (Alone) {
    RaiseAlone ((CONST STM_STEP *)Header->Data);
  }

  CopyMem (Step, Header->Data, sizeof (*Step));
  gBS->FreePool (Header);
}
