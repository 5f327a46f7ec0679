/** @file
  The dispatch table of VM exits of the SMI handler. To answer one more of them takes a
  file with its function (a line of Stm.inf) and a row of this table.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_EXIT_TABLE_H_
#define STM_EXIT_TABLE_H_

#include <Register/Vmx.h>

///
/// What the handler can cause has a row: the basic exit reason, the function that answers
/// it, and the primary processor-based VM-execution control that asks for the exit, 0 if
/// none has to. An exit without a row is excluded by the controls of the SMM-guest VMCS,
/// or is RSM, which has a way of its own: every SMI takes it.
///
/// Exit/Exit.h declares the functions, Entry/Dispatch.c calls them, Guest/SmmGuestVmcs.c
/// sets the controls.
///
/// There is neither VMX nor SMX for the handler: StmExitUndefined.
///
#define STM_EXIT_TABLE(Row)                                                    \
  Row (VMX_REASON_TRIPLE_FAULT, StmExitTripleFault, 0)                         \
  Row (VMX_REASON_CPUID, StmExitCpuid, 0)                                      \
  Row (VMX_REASON_INVD, StmExitInvd, 0)                                        \
  Row (VMX_REASON_VMCALL, StmApiHandler, 0)                                    \
  Row (VMX_REASON_CR_ACCESS, StmExitControlRegister, VMX_CPU_CR3_LOAD)         \
  Row (VMX_REASON_IO, StmExitIo, VMX_CPU_IO_BITMAPS)                           \
  Row (VMX_REASON_RDMSR, StmExitViolation, VMX_CPU_MSR_BITMAPS)                \
  Row (VMX_REASON_WRMSR, StmExitWrmsr, VMX_CPU_MSR_BITMAPS)                    \
  Row (VMX_REASON_EPT_VIOLATION, StmExitViolation, VMX_CPU_SECONDARY_CONTROLS) \
  Row (VMX_REASON_MONITOR_TRAP_FLAG, StmExitStepped, 0)                        \
  Row (VMX_REASON_PREEMPTION_TIMER, StmExitTimeout, 0)                         \
  Row (VMX_REASON_GETSEC, StmExitUndefined, 0)                                 \
  Row (VMX_REASON_INVEPT, StmExitUndefined, 0)                                 \
  Row (VMX_REASON_INVVPID, StmExitUndefined, 0)                                \
  Row (VMX_REASON_VMCLEAR, StmExitUndefined, 0)                                \
  Row (VMX_REASON_VMFUNC, StmExitUndefined, 0)                                 \
  Row (VMX_REASON_VMLAUNCH, StmExitUndefined, 0)                               \
  Row (VMX_REASON_VMPTRLD, StmExitUndefined, 0)                                \
  Row (VMX_REASON_VMPTRST, StmExitUndefined, 0)                                \
  Row (VMX_REASON_VMREAD, StmExitUndefined, 0)                                 \
  Row (VMX_REASON_VMRESUME, StmExitUndefined, 0)                               \
  Row (VMX_REASON_VMWRITE, StmExitUndefined, 0)                                \
  Row (VMX_REASON_VMXOFF, StmExitUndefined, 0)                                 \
  Row (VMX_REASON_VMXON, StmExitUndefined, 0)                                  \
  Row (VMX_REASON_XSETBV, StmExitUndefined, 0)

#endif
