/** @file
  Accesses of the SMI handler to control registers, as far as they cause VM exits. A plain
  SMI causes none.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "State/State.h"

///
/// MOV to CR3 with CR4.PCIDE = 1: keep the TLB's entries. The bit is not stored.
///
#define CR3_NO_INVALIDATION  BIT63

/**
  May the SMI handler do what caused the VM exit?

  @param[in] Processor      This processor.
  @param[in] Qualification  Exit qualification.

  @retval TRUE   It may.
  @retval FALSE  It sets a bit of CR4 that is the STM's, or loads CR3 with page tables that
                 are not in its SMRAM.
**/
STATIC
BOOLEAN
IsAllowed (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Qualification
  )
{
  UINT64  Value;

  switch (VMX_CR_QUALIFICATION_NUMBER (Qualification)) {
    case 3:
      if (VMX_CR_QUALIFICATION_TYPE (Qualification) != VMX_CR_ACCESS_MOV_TO) {
        return TRUE;
      }

      Value = VmxReadRegister (&Processor->Handler, VMX_CR_QUALIFICATION_REGISTER (Qualification));
      return StmIsHandlerCr3 (Processor->Shared, Value & ~(UINT64)CR3_NO_INVALIDATION);
    case 4:
      return FALSE;
    default:
      return TRUE;
  }
}

/**
  MOV to CR0, CR3 or CR4 of the SMI handler, and whatever else has the same exit reason.

  CR4: only what sets a bit that is the STM's causes a VM exit (STM_HANDLER_CR4_BITS), so
  each is #GP(0), as on a processor that does not have the bit. SMM under the default
  treatment does not allow CR4.VMXE either (DM-STM-08).

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitControlRegister (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (!IsAllowed (Processor, VmRead (VMCS_EXIT_QUALIFICATION))) {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
    return StmResumeHandler (Processor);
  }

  if (!VmxEmulateControlRegister (&Processor->Handler, NULL)) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  return StmResumeHandler (Processor);
}
