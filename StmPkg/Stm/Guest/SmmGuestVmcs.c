/** @file
  The SMM-guest VMCS: how the processor runs the SMI handler as a guest of the
  STM. Its guest state is written for each entry (State/Handler.c).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExitTable.h"
#include "Guest.h"

///
/// What the dispatch table asks for.
///
#define OR_CONTROL(BasicReason, Function, Control)  | (Control)
#define NEEDED_CPU_CONTROLS  (VMX_CPU_SECONDARY_CONTROLS STM_EXIT_TABLE (OR_CONTROL))

///
/// Without loading debug state, PAT and EFER the STM could not keep handler and
/// interrupted side apart.
///
#define NEEDED_ENTRY_CONTROLS                                                  \
  (STM_WANTED_ENTRY_CONTROLS | VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_TO_SMM)

/**
  Say whether a load of CR3 with what the PSD says causes a VM exit: that is how firmware
  flushes the TLB. State/Handler.c writes the value.

  @param[in] Free  FALSE if it does.
**/
VOID
StmWriteCr3Targets (
  IN BOOLEAN  Free
  )
{
  VmWrite (
    VMCS_CR3_TARGET_COUNT,
    (Free && ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_CR3_TARGETS) != 0)) ? 1 : 0
    );
}

/**
  Write the controls of the current VMCS.

  NMI exiting without virtual NMIs: IRET of the handler then leaves NMIs blocked
  ("Changes to Instruction Behavior in VMX Non-Root Operation", 25.3 [26.3]).
  Otherwise an NMI could arrive in the STM, between two VM exits of the handler,
  and the STM would have to hand it on. So it stays pending in the processor
  until the return from SMM, which gives it to the interrupted side.

  @param[in] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
STATIC
BOOLEAN
WriteControls (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_SHARED  *Shared;
  UINT32            PassThrough;

  Shared      = Processor->Shared;
  PassThrough = VmxPassThroughControls ();
  if (!VmxWriteControls (VMCS_PIN_CONTROLS, MSR_IA32_VMX_PINBASED_CTLS, VMX_PIN_NMI, VMX_PIN_NMI) ||
      !VmxWriteControls (VMCS_PROCESSOR_CONTROLS, MSR_IA32_VMX_PROCBASED_CTLS, NEEDED_CPU_CONTROLS, NEEDED_CPU_CONTROLS) ||
      !VmxWriteControls (
         VMCS_SECONDARY_CONTROLS,
         MSR_IA32_VMX_PROCBASED_CTLS2,
         VMX_CPU2_EPT | PassThrough,
         VMX_CPU2_EPT
         ) ||
      !VmxWriteControls (
         VMCS_ENTRY_CONTROLS,
         MSR_IA32_VMX_ENTRY_CTLS,
         NEEDED_ENTRY_CONTROLS,
         NEEDED_ENTRY_CONTROLS
         ))
  {
    return FALSE;
  }

  VmWrite (VMCS_EXCEPTION_BITMAP, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
  VmWrite (VMCS_TSC_OFFSET, 0);

  StmWriteCr3Targets (TRUE);
  //
  // One page for both halves of the ports. What causes a VM exit for its twin's sake, the STM
  // carries out (Exit/Port.c).
  //
  VmWrite (VMCS_IO_BITMAP_A, Shared->Dynamic + STM_DYNAMIC_IO_BITMAP);
  VmWrite (VMCS_IO_BITMAP_B, Shared->Dynamic + STM_DYNAMIC_IO_BITMAP);
  VmWrite (VMCS_MSR_BITMAP, Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP);
  VmWrite (
    VMCS_EPT_POINTER,
    (Shared->Snapshot.Pages == 0) ? Shared->EptPointer :
    ((Shared->EptPointer & ~EPT_ADDRESS_MASK) | STM_SNAPSHOT_ROOT (Processor))
    );
  if ((PassThrough & VMX_CPU2_XSAVES) != 0) {
    VmWrite (VMCS_XSS_EXITING_BITMAP, 0);
  }

  //
  // The STM owns the bits that VMX operation fixes, and of CR4 those that would show the
  // handler registers that do not come back after it. A handler that writes CR0 or CR4
  // as firmware does causes no VM exit.
  //
  VmWrite (VMCS_CR0_GUEST_HOST_MASK, Processor->HandlerCr0Fixed0);
  VmWrite (VMCS_CR4_GUEST_HOST_MASK, ~(UINT64)STM_HANDLER_CR4_BITS);
  VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
  return TRUE;
}

/**
  Set up the SMM-guest VMCS. Leaves the SMM-transfer VMCS current.

  @param[in,out] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
BOOLEAN
StmSetUpSmmGuestVmcs (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  BOOLEAN  Supported;

  Processor->HandlerCr0Fixed0               = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0);
  Processor->HandlerCr4Fixed0               = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0);
  *(UINT32 *)(UINTN)Processor->SmmGuestVmcs = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  StmClearOwnVmcs (Processor, Processor->SmmGuestVmcs);

  StmMakeCurrent (Processor, Processor->SmmGuestVmcs);
  Supported = StmWriteHostArea (Processor, Processor->Shared->SmmGuestExit, &Processor->Handler);
  if (Supported) {
    Supported = WriteControls (Processor);
    StmSetUpLimit (Processor);
  }

  StmMakeCurrent (Processor, Processor->TransferVmcs);
  return Supported;
}
