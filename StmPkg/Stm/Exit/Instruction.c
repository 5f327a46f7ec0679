/** @file
  Instructions of the SMI handler that always cause a VM exit. A plain SMI
  executes none of them.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"

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
  XSETBV of the SMI handler. XCR0 belongs to no VMCS, so the interrupted value is
  kept and comes back at RSM.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitXsetbv (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Value;

  if (VmxCheckXsetbv (&Processor->Handler, &Value)) {
    if ((Processor->Restore & STM_RESTORE_XCR0) == 0) {
      Processor->Xcr0     = AsmXGetBv (0);
      Processor->Restore |= STM_RESTORE_XCR0;
    }

    AsmXSetBv (0, Value);
    VmxSkipInstruction ();
  }

  return StmResumeHandler (Processor);
}

/**
  Accesses of the SMI handler to control registers. Setting CR4.VMXE raises
  #GP(0): SMM under the default treatment does not allow it either (DM-STM-08).

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitControlRegister (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (!VmxEmulateControlRegister (&Processor->Handler, NULL)) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  return StmResumeHandler (Processor);
}

/**
  VMX instructions other than VMCALL, and GETSEC: #UD. The handler runs with
  CR4.VMXE = 0 as it sees it, and under the default treatment these instructions
  do not exist for it.

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
