/** @file
  VM exits for RDMSR and WRMSR: MSRs of VMX, which CPUID hides, and MSRs beyond
  the bitmap's ranges, which do not exist. Both fault.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

#define VECTOR_GP  13

/**
  RDMSR or WRMSR of an MSR that the guest does not have: #GP(0).

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitMsr (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  ExecInjectFault (VECTOR_GP, TRUE);
  return ExecResumeGuest;
}
