/** @file
  Steps that the SMI handler carries out.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Guid/StmAttackHandler.h>
#include <Protocol/SmmCommunication.h>

/**
  Let the SMI handler carry out a step.

  @param[in,out] Step  The step; its Result stays StmStepPending if there is no handler.
**/
VOID
AttackByHandlerStep (
  IN OUT STM_STEP  *Step
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
  CopyMem (Header->Data, Step, sizeof (*Step));
  Communication->Communicate (Communication, Header, &Size);
  CopyMem (Step, Header->Data, sizeof (*Step));
  gBS->FreePool (Header);
}
