/** @file
  VM exits on INIT and on start-up IPIs: the guest becomes what the processor would
  have become ("IA-32 and Intel 64 Processor States Following Power-up, Reset, or
  INIT", table 9-1 [table 10-1]; "Typical BSP Initialization Sequence", 8.4.3
  [9.4.3]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Guest.h"
#include "../Operation.h"

#define SIPI_VECTOR  0xFF

/**
  INIT.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitInit (
  IN OUT VMX_CONTEXT  *Context
  )
{
  MSR_IA32_APIC_BASE_REGISTER  ApicBase;

  ExecLeaveIfAsked (Context->Processor);
  ExecWriteResetState (&Context->Registers);

  //
  // The bootstrap processor starts at once, at the firmware's reset vector.
  //
  ApicBase.Uint64 = AsmReadMsr64 (MSR_IA32_APIC_BASE);
  VmWrite (
    VMCS_GUEST_ACTIVITY_STATE,
    (ApicBase.Bits.BSP != 0) ? VMX_ACTIVITY_ACTIVE : VMX_ACTIVITY_WAIT_FOR_SIPI
    );
  return ExecResumeGuest;
}

/**
  Start-up IPI: real mode, at the page that its vector names.

  @param[in,out] Context  The guest's registers, since INIT.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitSipi (
  IN OUT VMX_CONTEXT  *Context
  )
{
  UINT64  Vector;

  ExecLeaveIfAsked (Context->Processor);
  Vector = VmRead (VMCS_EXIT_QUALIFICATION) & SIPI_VECTOR;
  VmWrite (VMCS_GUEST_CS_SELECTOR, LShiftU64 (Vector, 8));
  VmWrite (VMCS_GUEST_CS_BASE, LShiftU64 (Vector, 12));
  VmWrite (VMCS_GUEST_RIP, 0);
  VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
  return ExecResumeGuest;
}
