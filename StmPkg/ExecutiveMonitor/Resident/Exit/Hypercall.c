/** @file
  Hypercalls of the guest (StmHypercall.h). A guest's VMCALL never reaches the
  STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

/**
  VMCALL. Only CPL 0 may call us; above it the instruction does not exist.

  @param[in,out] Context  The guest's registers.

  @return What the entry code shall do.
**/
UINTN
EFIAPI
ExecExitVmcall (
  IN OUT VMX_CONTEXT  *Context
  )
{
  VMX_REGISTERS  *Registers;
  UINT64         Reason;

  if ((VmRead (VMCS_GUEST_SS_ACCESS_RIGHTS) & VMX_ACCESS_DPL_MASK) != 0) {
    VmxInjectException (EXCEPT_IA32_INVALID_OPCODE);
    return ExecResumeGuest;
  }

  VmxSkipInstruction ();
  Registers = &Context->Registers;
  switch ((UINT32)Registers->Rax) {
    case EXEC_HYPERCALL_PRESENT:
      Registers->Rax = EXEC_HYPERCALL_SIGNATURE;
      return ExecResumeGuest;

    case EXEC_HYPERCALL_STATISTICS:
      Reason = Registers->Rbx;
      if (Reason >= EXEC_EXIT_REASONS) {
        Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
        return ExecResumeGuest;
      }

      Registers->Rbx = gExecParameters->ExitCount[Reason];
      Registers->Rax = EXEC_HYPERCALL_SUCCESS;
      return ExecResumeGuest;

    case EXEC_HYPERCALL_LEAVE:
      StmRecord (
        STM_RECORD_PORT_EXECUTIVE,
        "EXEC",
        "leave",
        "rip=0x%lx",
        VmRead (VMCS_GUEST_RIP)
        );
      Registers->Rax = EXEC_HYPERCALL_SUCCESS;
      return ExecContinueNatively;

    default:
      Registers->Rax = EXEC_HYPERCALL_UNKNOWN;
      return ExecResumeGuest;
  }
}
