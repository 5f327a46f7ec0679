/** @file
  VM exits: one table from basic exit reason to handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

#define VECTOR_UD         6
#define RFLAGS_TF         BIT8
#define DEBUGCTL_BTF      BIT1
#define PENDING_DEBUG_BS  BIT14

STATIC CONST EXEC_EXIT_HANDLER  mHandlers[VMX_REASON_COUNT] = {
  [VMX_REASON_TRIPLE_FAULT]  = ExecExitTripleFault,
  [VMX_REASON_CPUID]         = ExecExitCpuid,
  [VMX_REASON_GETSEC]        = ExecExitUndefined,
  [VMX_REASON_INVD]          = ExecExitInvd,
  [VMX_REASON_VMCALL]        = ExecExitVmcall,
  [VMX_REASON_VMCLEAR]       = ExecExitUndefined,
  [VMX_REASON_VMLAUNCH]      = ExecExitUndefined,
  [VMX_REASON_VMPTRLD]       = ExecExitUndefined,
  [VMX_REASON_VMPTRST]       = ExecExitUndefined,
  [VMX_REASON_VMREAD]        = ExecExitUndefined,
  [VMX_REASON_VMRESUME]      = ExecExitUndefined,
  [VMX_REASON_VMWRITE]       = ExecExitUndefined,
  [VMX_REASON_VMXOFF]        = ExecExitUndefined,
  [VMX_REASON_VMXON]         = ExecExitUndefined,
  [VMX_REASON_CR_ACCESS]     = ExecExitControlRegister,
  [VMX_REASON_RDMSR]         = ExecExitMsr,
  [VMX_REASON_WRMSR]         = ExecExitMsr,
  [VMX_REASON_EPT_VIOLATION] = ExecExitEptViolation,
  [VMX_REASON_INVEPT]        = ExecExitUndefined,
  [VMX_REASON_INVVPID]       = ExecExitUndefined,
  [VMX_REASON_XSETBV]        = ExecExitXsetbv
};

/**
  Step over the instruction that caused the current exit. Blocking by STI and by
  MOV SS ends with it, and a guest that steps through its code takes the trap.
**/
VOID
ExecSkipInstruction (
  VOID
  )
{
  UINT64  Blocking;

  VmWrite (VMCS_GUEST_RIP, VmRead (VMCS_GUEST_RIP) + VmRead (VMCS_EXIT_INSTRUCTION_LENGTH));
  Blocking = VmRead (VMCS_GUEST_INTERRUPTIBILITY);
  if ((Blocking & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)) != 0) {
    VmWrite (VMCS_GUEST_INTERRUPTIBILITY, Blocking & ~(UINT64)(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS));
  }

  if (((VmRead (VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0) && ((VmRead (VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF) == 0)) {
    VmWrite (VMCS_GUEST_PENDING_DEBUG, VmRead (VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
  }
}

/**
  Make the guest take a fault at the instruction that caused the current exit.

  @param[in] Vector        Exception vector.
  @param[in] HasErrorCode  TRUE to push error code 0.
**/
VOID
ExecInjectFault (
  IN UINT8    Vector,
  IN BOOLEAN  HasErrorCode
  )
{
  VmWrite (VMCS_ENTRY_ERROR_CODE, 0);
  VmWrite (
    VMCS_ENTRY_INTERRUPTION,
    VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_EXCEPTION | Vector |
    (HasErrorCode ? VMX_INTERRUPTION_ERROR_CODE : 0)
    );
}

/**
  VM exits for instructions that do not exist without VMX or SMX: #UD.

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitUndefined (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  ExecInjectFault (VECTOR_UD, FALSE);
  return ExecResumeGuest;
}

/**
  A VM exit. Returns to resume the guest.

  @param[in,out] Registers  The guest's general-purpose registers.
**/
VOID
EFIAPI
ExecDispatch (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  UINT32             Reason;
  UINT32             Basic;
  EXEC_NATIVE_STATE  Native;

  Reason = (UINT32)VmRead (VMCS_EXIT_REASON);
  Basic  = Reason & VMX_REASON_BASIC_MASK;
  if ((Reason & VMX_REASON_ENTRY_FAILURE) != 0) {
    ExecCrashFromVmcs ("entry-failure");
  }

  if ((Basic >= ARRAY_SIZE (mHandlers)) || (mHandlers[Basic] == NULL)) {
    ExecCrashFromVmcs ("unexpected-exit");
  }

  gExecParameters->ExitCount[Basic]++;
  if (mHandlers[Basic](Registers) == ExecResumeGuest) {
    return;
  }

  //
  // The guest asked to leave: its state is read while the VMCS is still there,
  // and goes to the processor when VMX operation has ended.
  //
  ExecReadNativeState (&Native);
  if (ExecLeaveVmx (gExecParameters) != ExecOk) {
    Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_STM_REFUSED;
    return;
  }

  //
  // On our page tables still: their CR3 goes with any value of CR4.PCIDE.
  //
  AsmWriteCr4 ((UINTN)Native.Cr4);
  AsmWriteCr0 ((UINTN)Native.Cr0);
  ExecWriteNativeMsrs (&Native);
  AsmContinueNatively (&Native, Registers);
}
