/** @file
  The part of the test handler that carries out the steps of attacks.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef ATTACK_H_
#define ATTACK_H_

#include <PiSmm.h>
#include <Library/StmStepLib.h>

/**
  Register the handler.

  @param[in] Tables  Page tables that map all memory below 4 GB at its own address.

  @retval EFI_SUCCESS  It is registered.
  @retval others       No memory.
**/
EFI_STATUS
AttackRegister (
  IN CONST UINT64  *Tables
  );

#endif
