/** @file
  VM exits after which this guest cannot go on.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

/**
  The guest's address space is the whole physical width: a violation is an
  address that the processor does not have, or an error of ours.

  @param[in,out] Context  The guest's registers.

  @return Does not return.
**/
UINTN
EFIAPI
ExecExitEptViolation (
  IN OUT VMX_CONTEXT  *Context
  )
{
  ExecCrashFromVmcs ("ept-violation");
  return ExecResumeGuest;
}

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
