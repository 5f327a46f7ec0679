/** @file
  INS and OUTS of the SMI handler at a port that causes a VM exit, where the access is
  allowed.

  They move data between the port and memory. Whether the handler may access the memory
  depends on segment limits, page tables and EPT, and on which fault comes first. A
  mistake of the STM's there would let the handler read or write, by the STM's
  hand, what it must not. So the processor executes the instruction, as the handler's, at
  a port where nobody listens, and which nobody can protect; the monitor trap flag brings
  the STM back behind it, and it does the access at the port that was meant. If the handler has no access to the
  memory, it takes its fault, or the STM an EPT violation, and the port is not touched.

  Bitmaps and EPT stay as they are meanwhile: another processor may replace the
  instruction by any other, which then gains nothing.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"

/**
  Let the processor execute INS or OUTS at another port.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current, at the VM exit for
                            the instruction.

  @return What the entry code shall do.
**/
STM_ENTER
StmStartStep (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_STEP  *Step;

  Step                   = &Processor->Step;
  Step->Active           = TRUE;
  Step->Qualification    = (UINT32)VmRead (VMCS_EXIT_QUALIFICATION);
  Step->Rip              = VmRead (VMCS_GUEST_RIP) + VmRead (VMCS_EXIT_INSTRUCTION_LENGTH);
  Step->Rcx              = Processor->Handler.Rcx;
  Step->Rdx              = Processor->Handler.Rdx;
  Step->Linear           = VmRead (VMCS_GUEST_LINEAR_ADDRESS);
  Processor->Handler.Rdx = (Step->Rdx & ~(UINT64)MAX_UINT16) | STM_STEP_PORTS_BASE;
  VmWrite (VMCS_PROCESSOR_CONTROLS, VmRead (VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MONITOR_TRAP_FLAG);
  return StmResumeHandler (Processor);
}

/**
  Put back what StmStartStep has changed, at the first VM exit after it, whichever that
  is.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmEndStep (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VmWrite (VMCS_PROCESSOR_CONTROLS, VmRead (VMCS_PROCESSOR_CONTROLS) & ~(UINT64)VMX_CPU_MONITOR_TRAP_FLAG);
  Processor->Handler.Rdx = Processor->Step.Rdx;
  Processor->Step.Active = FALSE;
}

/**
  Has the processor executed the instruction, or has it delivered a fault instead?

  @param[in] Processor  This processor, the SMM-guest VMCS current, at the first VM exit
                        after StmStartStep.

  @retval TRUE   It has executed it, or one repetition of it.
  @retval FALSE  It has not.
**/
BOOLEAN
StmIsStepDone (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_STEP  *Step;

  Step = &Processor->Step;
  if ((Step->Qualification & VMX_IO_QUALIFICATION_REP) != 0) {
    return (BOOLEAN)(Processor->Handler.Rcx != Step->Rcx);
  }

  return (BOOLEAN)(VmRead (VMCS_GUEST_RIP) == Step->Rip);
}
