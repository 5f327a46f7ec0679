/** @file
  The record of one comparison.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

/**
  Log one comparison.

  @param[in] Field   Name.
  @param[in] Before  Value before the SMI.
  @param[in] After   Value after it.

  @retval 0  Equal.
  @retval 1  Different.
**/
UINTN
StateReport (
  IN CONST CHAR8  *Field,
  IN UINT64       Before,
  IN UINT64       After
  )
{
  SMI_RECORD (
    "state-check",
    "result=%a field=%a before=0x%lx after=0x%lx",
    (Before == After) ? "pass" : "fail",
    Field,
    Before,
    After
    );
  if (Before != After) {
    Print (L"SmiTool: %a was 0x%lx, is 0x%lx\n", Field, Before, After);
    return 1;
  }

  return 0;
}
