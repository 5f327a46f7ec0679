/** @file
  Steps that this program carries out itself.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Library/StmTryLib.h>

/**
  Carry out a step here, its exceptions caught.

  @param[in,out] Step  The step.
**/
VOID
AttackByShellStep (
  IN OUT STM_STEP  *Step
  )
{
  EFI_TPL  Tpl;

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  StmStepRun (Step);
  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
}
