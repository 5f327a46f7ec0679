/** @file
  Requests to the SMI handler that carries out the steps of attacks. It exists only
  while the owner of the machine asks for it (STM_TEST_HANDLER_FILE).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_ATTACK_HANDLER_H_
#define STM_ATTACK_HANDLER_H_

extern EFI_GUID  gStmAttackHandlerGuid;

///
/// The data of the communication buffer is one STM_STEP (StmStepLib.h).
///
#define STM_ATTACK_REQUEST_SIZE  sizeof (STM_STEP)

///
/// In STM_STEP.Kind: carry the step out at the next SMI, whatever raises it. The buffer is
/// read then, and gets the outcome.
///
#define STM_ATTACK_NEXT_SMI  BIT31

#endif
