/** @file
  What the parts of GuestTool share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef GUEST_TOOL_H_
#define GUEST_TOOL_H_

#include "Try.h"

//
// Hidden.c
//

/**
  Look at the memory of the executive monitor: nothing is there. Reads give ones,
  writes are lost.

  @retval EFI_SUCCESS       So it is.
  @retval EFI_NOT_STARTED   We are not the executive monitor's guest.
  @retval EFI_DEVICE_ERROR  Something else was read; the record says what.
**/
EFI_STATUS
GuestCheckHidden (
  VOID
  );

#endif
