/** @file
  Accesses of the SMI handler that the STM refuses: MSEG, denied ports, denied
  or unknown MSRs.

  Policy: the access does not happen, the ring holds a record of it (written by
  the dispatcher), and the handler takes #GP(0) at the instruction. Nothing is
  skipped or faked.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"

/**
  Refuse an access.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitViolation (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  //
  // A violation while an event was being delivered means that the handler's
  // stack or IDT lie where it has no access: nothing can be injected.
  //
  if ((VmRead (VMCS_IDT_VECTORING_INFO) & VMX_INTERRUPTION_VALID) != 0) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  VmxInjectException (EXCEPT_IA32_GP_FAULT);
  return StmResumeHandler (Processor);
}
