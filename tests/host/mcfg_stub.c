/** @file
  What Protect/Mcfg.c needs on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include "copy_stub.h"
#include "shift_stub.h"
