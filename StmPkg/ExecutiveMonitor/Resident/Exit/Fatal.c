/** @file
  VM exits after which this guest cannot go on.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

/**
  The guest's address space is the whole physical width: a violation is an
  address that the processor does not have, or an error of ours.

  @param[in,out] Registers  The guest's.

  @return Does not return.
**/
EXEC_ACTION
ExecExitEptViolation (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  ExecCrashFromVmcs ("ept-violation");
  return ExecResumeGuest;
}

/**
  Triple fault: what resets a PC without us.

  @param[in,out] Registers  The guest's.

  @return Does not return.
**/
EXEC_ACTION
ExecExitTripleFault (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  ExecCrashFromVmcs ("guest-triple-fault");
  return ExecResumeGuest;
}
