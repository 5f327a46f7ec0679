/** @file
  VM exits after which this guest cannot go on.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"

/**
  Triple fault: what resets a PC without us.

  @param[in,out] Context  The guest's registers.

  @return Does not return.
**/
UINTN
EFIAPI
ExecExitTripleFault (
  IN OUT VMX_CONTEXT  *Context
  )
{
  ExecCrashFromVmcs ("guest-triple-fault");
  return ExecResumeGuest;
}
