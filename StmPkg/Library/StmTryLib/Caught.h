/** @file
  What the exception entries and StmTry share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef CAUGHT_H_
#define CAUGHT_H_

#include <Library/BaseLib.h>

///
/// Where a caught fault goes: set by StmTry.
///
extern BASE_LIBRARY_JUMP_BUFFER  gStmTryLeave;

#endif
