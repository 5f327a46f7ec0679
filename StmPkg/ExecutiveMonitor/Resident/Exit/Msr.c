/** @file
  VM exits for RDMSR and WRMSR: MSRs of VMX, which CPUID hides, and MSRs beyond
  the bitmap's ranges, which do not exist. Both fault.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"

/**
  RDMSR or WRMSR of an MSR that the guest does not have: #GP(0).

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitMsr (
  IN OUT VMX_CONTEXT  *Context
  )
{
  VmxInjectException (EXCEPT_IA32_GP_FAULT);
  return ExecResumeGuest;
}
