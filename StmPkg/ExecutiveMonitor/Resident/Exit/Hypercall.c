/** @file
  Hypercalls of the guest (StmHypercall.h). A guest's VMCALL never reaches the
  STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Operation.h"

#define EFER_LMA  BIT10

/**
  How often an exit occurred, on all processors.

  @param[in] Parameters  Where the processors' blocks are.
  @param[in] Reason      Basic exit reason.

  @return The number.
**/
STATIC
UINT64
ExecSumOfExits (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Reason
  )
{
  UINT64  Sum;
  UINTN   Number;

  Sum = 0;
  for (Number = 0; Number < Parameters->Processors; Number++) {
    Sum += EXEC_PROCESSOR_OF (Parameters, Number)->ExitCount[Reason];
  }

  return Sum;
}

/**
  Can this guest continue natively? The way there is in 64-bit mode.

  @retval TRUE   It can.
  @retval FALSE  It is in another mode.
**/
STATIC
BOOLEAN
ExecIsIn64BitMode (
  VOID
  )
{
  return (BOOLEAN)(((VmRead (VMCS_GUEST_IA32_EFER) & EFER_LMA) != 0) &&
                   ((VmRead (VMCS_GUEST_CS_ACCESS_RIGHTS) & VMX_ACCESS_LONG) != 0));
}

/**
  EXEC_HYPERCALL_PROTECT and EXEC_HYPERCALL_UNPROTECT.

  @param[in,out] Processor  This processor.
  @param[in,out] Registers  The guest's.
**/
STATIC
VOID
ExecAnswerProtect (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN OUT VMX_REGISTERS   *Registers
  )
{
  UINT64       Page;
  BOOLEAN      Protect;
  EXEC_RESULT  Result;

  Page           = Registers->Rbx;
  Protect        = (BOOLEAN)((UINT32)Registers->Rax == EXEC_HYPERCALL_PROTECT);
  Registers->Rbx = 0;
  Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
  if ((Page & (SIZE_4KB - 1)) == 0) {
    Result         = ExecProtectPage (Processor, Page, Protect);
    Registers->Rbx = (Result == ExecOk) ? 0 : Processor->Detail;
    Registers->Rax = (Result == ExecOk) ? EXEC_HYPERCALL_SUCCESS : EXEC_HYPERCALL_STM_REFUSED;
  }
}

/**
  EXEC_HYPERCALL_RESOURCES.

  @param[in,out] Processor  This processor.
  @param[in,out] Registers  The guest's.
**/
STATIC
VOID
ExecAnswerResources (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN OUT VMX_REGISTERS   *Registers
  )
{
  UINT32       Next;
  EXEC_RESULT  Result;

  Result         = ExecGetBiosResources (Processor, (UINT32)Registers->Rbx, &Next);
  Registers->Rbx = (Result == ExecOk) ? Next : Processor->Detail;
  Registers->Rax = (Result == ExecOk) ? EXEC_HYPERCALL_SUCCESS : EXEC_HYPERCALL_STM_REFUSED;
}

/**
  EXEC_HYPERCALL_RESOURCE_BYTES.

  @param[in]     Processor  This processor.
  @param[in,out] Registers  The guest's.
**/
STATIC
VOID
ExecAnswerResourceBytes (
  IN     CONST EXEC_PROCESSOR  *Processor,
  IN OUT VMX_REGISTERS         *Registers
  )
{
  UINT64  Offset;

  Offset         = Registers->Rbx;
  Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
  if ((Offset < SIZE_4KB) && ((Offset % sizeof (UINT64)) == 0)) {
    Registers->Rbx = *(CONST UINT64 *)(UINTN)(Processor->ResourceList + Offset);
    Registers->Rax = EXEC_HYPERCALL_SUCCESS;
  }
}

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

      Registers->Rbx = ExecSumOfExits (Context->Processor->Shared, Reason);
      Registers->Rax = EXEC_HYPERCALL_SUCCESS;
      return ExecResumeGuest;

    case EXEC_HYPERCALL_PROTECT:
    case EXEC_HYPERCALL_UNPROTECT:
      ExecAnswerProtect (Context->Processor, Registers);
      return ExecResumeGuest;

    case EXEC_HYPERCALL_RESOURCES:
      ExecAnswerResources (Context->Processor, Registers);
      return ExecResumeGuest;

    case EXEC_HYPERCALL_RESOURCE_BYTES:
      ExecAnswerResourceBytes (Context->Processor, Registers);
      return ExecResumeGuest;

    case EXEC_HYPERCALL_LOG:
    case EXEC_HYPERCALL_LOG_ENTRY:
    case EXEC_HYPERCALL_LOG_BYTES:
    case EXEC_HYPERCALL_DOMAIN:
      ExecAnswerStmRequest (Context->Processor, Registers);
      return ExecResumeGuest;

    case EXEC_HYPERCALL_LEAVE:
      if (!ExecIsIn64BitMode ()) {
        Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
        return ExecResumeGuest;
      }

      EXEC_RECORD (
        "leave",
        "cpu=%u rip=0x%lx root_nmis=%lu",
        Context->Processor->Number,
        VmRead (VMCS_GUEST_RIP),
        Context->Processor->RootNmis
        );
      Registers->Rax = EXEC_HYPERCALL_SUCCESS;
      return ExecContinueNatively;

    default:
      Registers->Rax = EXEC_HYPERCALL_UNKNOWN;
      return ExecResumeGuest;
  }
}
