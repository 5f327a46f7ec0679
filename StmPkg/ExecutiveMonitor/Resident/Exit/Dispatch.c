/** @file
  VM exits: one table from basic exit reason to handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Operation.h"

///
/// An empty place is an unexpected exit.
///
STATIC CONST VMX_EXIT_HANDLER  mHandlers[VMX_EXIT_PLACES] = {
  [VMX_REASON_TRIPLE_FAULT]      = ExecExitTripleFault,
  [VMX_REASON_INIT]              = ExecExitInit,
  [VMX_REASON_SIPI]              = ExecExitSipi,
  [VMX_REASON_IO_SMI]            = ExecExitSmi,
  [VMX_REASON_OTHER_SMI]         = ExecExitSmi,
  [VMX_REASON_TASK_SWITCH]       = ExecExitTaskSwitch,
  [VMX_REASON_CPUID]             = ExecExitCpuid,
  [VMX_REASON_INVD]              = ExecExitInvd,
  [VMX_REASON_VMCALL]            = ExecExitVmcall,
  [VMX_REASON_CR_ACCESS]         = ExecExitControlRegister,
  [VMX_REASON_IO]                = ExecExitIo,
  [VMX_REASON_RDMSR]             = ExecExitMsr,
  [VMX_REASON_WRMSR]             = ExecExitMsr,
  [VMX_REASON_MONITOR_TRAP_FLAG] = ExecExitMonitorTrap,
  [VMX_REASON_EPT_VIOLATION]     = ExecExitEptViolation,
  [VMX_REASON_XSETBV]            = ExecExitXsetbv,
  [VMX_EXIT_VMX_INSTRUCTION]     = ExecExitUndefined
};

/**
  A VM exit. Returns to resume the guest.

  @param[in,out] Context  The guest's registers.
**/
VOID
EFIAPI
ExecDispatch (
  IN OUT VMX_CONTEXT  *Context
  )
{
  UINT32             Reason;
  VMX_EXIT_HANDLER   Handler;
  EXEC_NATIVE_STATE  Native;

  Reason  = (UINT32)VmRead (VMCS_EXIT_REASON);
  Handler = VmxFindExitHandler (mHandlers, Reason);
  if (Handler == NULL) {
    ExecCrashFromVmcs (((Reason & VMX_REASON_ENTRY_FAILURE) != 0) ? "entry-failure" : "unexpected-exit");
    return;
  }

  Context->Processor->ExitCount[Reason & VMX_REASON_BASIC_MASK]++;
  if (Handler (Context) == ExecResumeGuest) {
    return;
  }

  //
  // The guest asked to leave: its state is read while the VMCS is still there,
  // and goes to the processor when VMX operation has ended.
  //
  ExecReadNativeState (&Native);
  if (ExecLeaveVmx (Context->Processor) != ExecOk) {
    Context->Registers.Rax = EXEC_HYPERCALL_STM_REFUSED;
    return;
  }

  InterlockedDecrement (&Context->Processor->Shared->Guests);
  if (Native.Tr == 0) {
    ExecParkTaskRegister (Context->Processor);
  }

  //
  // On our page tables still: their CR3 goes with any value of CR4.PCIDE.
  //
  AsmWriteCr4 ((UINTN)Native.Cr4);
  AsmWriteCr0 ((UINTN)Native.Cr0);
  ExecWriteNativeMsrs (&Native);
  if (Context->NmiPending != 0) {
    //
    // It waits until IRET unblocks NMIs.
    //
    ExecSendIpi (EXEC_IPI_SELF_NMI);
  }

  AsmContinueNatively (&Native, &Context->Registers);
}
