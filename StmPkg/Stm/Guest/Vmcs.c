/** @file
  What both VMCSs of a processor have in common.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"
#include "Log/Log.h"

///
/// Controls without which the STM cannot keep the two sides apart.
///
#define NEEDED_EXIT_CONTROLS                                                   \
  (VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT |            \
   VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER)

/**
  Make one of this processor's VMCSs current, or crash: the region lies in MSEG
  and is the STM's own.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Processor->TransferVmcs or Processor->SmmGuestVmcs.
**/
VOID
StmMakeCurrent (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
  if (AsmVmPtrLoad (Vmcs) != VmxSucceed) {
    StmCrash (Processor, StmCrashBadState, 0, Vmcs, 0, StmBadOwnVmcs);
  }
}

/**
  VMCLEAR one of this processor's VMCSs, or crash.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Processor->TransferVmcs or Processor->SmmGuestVmcs.
**/
VOID
StmClearOwnVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
  if (AsmVmClear (Vmcs) != VmxSucceed) {
    StmCrash (Processor, StmCrashBadState, 0, Vmcs, 0, StmBadOwnVmcs);
  }
}

/**
  Write what both VMCSs share to the current one: host state and VM-exit controls.

  @param[in] Processor  This processor.
  @param[in] Rip        Where VM exits continue.
  @param[in] Registers  Register set that VM exits push.

  @retval TRUE   Done.
  @retval FALSE  Done, but the processor lacks a control that the STM needs.
**/
BOOLEAN
StmWriteHostArea (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Rip,
  IN CONST VMX_REGISTERS  *Registers
  )
{
  UINT32  Controls;

  VmWrite (VMCS_EXIT_MSR_STORE_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, 0);
  VmxWriteHostState (
    &Processor->Host,
    Processor->Shared->Idt,
    Processor->Shared->HostCr3,
    Rip,
    (UINT64)(UINTN)&Registers->Reserved
    );

  Controls = VmxLegalControls (NEEDED_EXIT_CONTROLS, MSR_IA32_VMX_EXIT_CTLS);
  VmWrite (VMCS_EXIT_CONTROLS, Controls);
  return (BOOLEAN)((Controls & NEEDED_EXIT_CONTROLS) == NEEDED_EXIT_CONTROLS);
}
