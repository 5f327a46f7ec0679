/** @file
  Raises SMIs by interprocessor interrupt: the local APIC's interrupt command
  register (ICR) with delivery mode SMI (SDM "Interrupt Command Register (ICR)",
  10.6.1 [11.6.1]).

  Such an SMI follows no I/O instruction and no chipset knows of it. Under the
  dual-monitor treatment its exit reason is "other SMI", that of a port write
  "I/O SMI".

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"
#include <Library/LocalApicLib.h>

///
/// How often to look for the SMI: the local APIC delivers it soon, not at once.
///
#define ARRIVAL_POLLS  10000

/**
  Raise SMIs by interprocessor interrupts to this processor.

  The self shorthand is for fixed interrupts only, so the destination is this
  processor's own APIC id.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       The SMI count grew by exactly Count.
  @retval EFI_DEVICE_ERROR  It did not.
**/
EFI_STATUS
SmiSend (
  IN UINTN  Count
  )
{
  UINTN   Index;
  UINTN   Poll;
  UINT64  Start;
  UINT64  Before;
  UINT64  Counted;

  SMI_RECORD ("smi-begin", "cause=ipi");
  Start = AsmReadMsr64 (MSR_SMI_COUNT);
  for (Index = 0; Index < Count; Index++) {
    Before = AsmReadMsr64 (MSR_SMI_COUNT);
    SendSmiIpi (GetApicId ());
    for (Poll = 0; (Poll < ARRIVAL_POLLS) && (AsmReadMsr64 (MSR_SMI_COUNT) == Before); Poll++) {
      CpuPause ();
    }
  }

  Counted = AsmReadMsr64 (MSR_SMI_COUNT) - Start;
  SMI_RECORD ("smi-end", "raised=%lu counted=%lu", (UINT64)Count, Counted);
  Print (L"SmiTool: %ld SMIs sent by IPI, %ld counted\n", (UINT64)Count, Counted);
  return (Counted == Count) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}
