/** @file
  Instructions of the SMI handler that always cause a VM exit. A plain SMI
  executes none of them.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"

/**
  CPUID of the SMI handler.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitCpuid (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VmxEmulateCpuid (&Processor->Handler);
  return StmResumeHandler (Processor);
}

/**
  INVD of the SMI handler.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitInvd (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VmxEmulateInvd ();
  return StmResumeHandler (Processor);
}

/**
  VMX instructions other than VMCALL, GETSEC, and XSETBV: #UD. The handler runs with
  CR4.VMXE = 0 as it sees it, and under the default treatment VMX instructions do not
  exist for it. XSETBV is #UD of the processor's own while CR4.OSXSAVE is 0, as it is for
  the handler.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitUndefined (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VmxInjectException (EXCEPT_IA32_INVALID_OPCODE);
  return StmResumeHandler (Processor);
}
