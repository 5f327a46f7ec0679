/** @file
  How long the SMI handler may run.

  A handler that never ends would hold its processor for ever: SMIs stay blocked, and
  the STM gets no other VM exit of it. The VMX-preemption timer counts down while the
  handler runs, also when it has halted the processor with interrupts off, and causes a
  VM exit at 0 ("VMX-Preemption Timer", 25.5.1 [26.5.1]).

  Each start of the handler loads the timer, which is one VMWRITE. VM exits save what is
  left of it and VM entries load that, so that a handler does not get time by causing VM
  exits; and each takes a little, for the time that the STM spends on it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"
#include <Library/PcdLib.h>

#define TICKS_PER_UNIT  1000000ULL   ///< of PcdStmHandlerLimit

///
/// Ticks of the time-stamp counter for a VM exit, the STM's work on it and the entry.
///
#define EXIT_TICKS  BIT14

/**
  Ticks of the time-stamp counter as a number for the VMX-preemption timer, which
  counts each time a bit of the counter changes: IA32_VMX_MISC[4:0] tells which.

  @param[in] Ticks  Of the time-stamp counter.

  @return 1 to FFFFFFFFH.
**/
STATIC
UINT32
TimerValue (
  IN UINT64  Ticks
  )
{
  UINT64  Value;

  Value = RShiftU64 (Ticks, (UINTN)(AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_TIMER_RATE));
  return (UINT32)MAX (1, MIN (Value, MAX_UINT32));
}

/**
  Set up the limit in the SMM-guest VMCS, which is current, its other controls written.

  @param[in,out] Processor  This processor. HandlerLimit is what a start of the handler
                            writes to the timer.
**/
VOID
StmSetUpLimit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Pin;

  if (FixedPcdGet32 (PcdStmHandlerLimit) == 0) {
    return;
  }

  Pin = (UINT32)VmRead (VMCS_PIN_CONTROLS) | VMX_PIN_PREEMPTION_TIMER;
  if (!VmxWriteControls (VMCS_PIN_CONTROLS, MSR_IA32_VMX_PINBASED_CTLS, Pin, VMX_PIN_PREEMPTION_TIMER)) {
    return;
  }

  Processor->HandlerLimit = TimerValue (FixedPcdGet32 (PcdStmHandlerLimit) * TICKS_PER_UNIT);
  Processor->ExitCost     = TimerValue (EXIT_TICKS);
  VmxWriteControls (
    VMCS_EXIT_CONTROLS,
    MSR_IA32_VMX_EXIT_CTLS,
    (UINT32)VmRead (VMCS_EXIT_CONTROLS) | VMX_EXIT_SAVE_PREEMPTION_TIMER,
    0
    );
}

/**
  Take the cost of a VM exit other than RSM from the time that the handler has left.

  @param[in] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmChargeExit (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  UINT32  Left;

  if (Processor->HandlerLimit != 0) {
    Left = (UINT32)VmRead (VMCS_PREEMPTION_TIMER_VALUE);
    VmWrite (VMCS_PREEMPTION_TIMER_VALUE, Left - MIN (Left, Processor->ExitCost));
  }
}
