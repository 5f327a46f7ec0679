/** @file
  Arithmetic of BaseLib for Domain/ on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Domain/Domain.h"
#include <Library/BaseLib.h>

#include "shift_stub.h"
