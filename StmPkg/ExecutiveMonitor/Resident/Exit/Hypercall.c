/** @file
  Hypercalls of the guest (StmHypercall.h). A guest's VMCALL never reaches the
  STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

#define VECTOR_UD  6

/**
  VMCALL. Only CPL 0 may call us; above it the instruction does not exist.

  @param[in,out] Registers  The guest's.

  @return What the entry code shall do.
**/
EXEC_ACTION
ExecExitVmcall (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  UINT64  Reason;

  if ((VmRead (VMCS_GUEST_SS_ACCESS) & VMX_ACCESS_DPL_MASK) != 0) {
    ExecInjectFault (VECTOR_UD, FALSE);
    return ExecResumeGuest;
  }

  ExecSkipInstruction ();
  switch ((UINT32)Registers->Gpr[GPR_RAX]) {
    case EXEC_HYPERCALL_PRESENT:
      Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_SIGNATURE;
      return ExecResumeGuest;

    case EXEC_HYPERCALL_STATISTICS:
      Reason = Registers->Gpr[GPR_RBX];
      if (Reason >= EXEC_EXIT_REASONS) {
        Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_BAD_INPUT;
        return ExecResumeGuest;
      }

      Registers->Gpr[GPR_RBX] = gExecParameters->ExitCount[Reason];
      Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_SUCCESS;
      return ExecResumeGuest;

    case EXEC_HYPERCALL_LEAVE:
      StmRecord (
        STM_RECORD_PORT_EXECUTIVE,
        "EXEC",
        "leave",
        "rip=0x%lx",
        VmRead (VMCS_GUEST_RIP)
        );
      Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_SUCCESS;
      return ExecContinueNatively;

    default:
      Registers->Gpr[GPR_RAX] = EXEC_HYPERCALL_UNKNOWN;
      return ExecResumeGuest;
  }
}
