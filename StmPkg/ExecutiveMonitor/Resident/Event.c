/** @file
  Events that the guest must not lose: NMIs that come in VMX root operation, and
  events whose delivery a VM exit interrupts.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define NO_NMI_INJECTION  (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS | VMX_BLOCKING_BY_NMI)

/**
  Give the guest an NMI that came while this processor was in VMX root operation:
  called by X64/Exit.nasm before it resumes the guest.

  VM entry injects it if it injects nothing else. Otherwise the local APIC sends it
  again: NMIs are blocked since it came (X64/Nmi.nasm), so it waits, and the guest
  takes it when the processor lets it.

  @param[in,out] Context  NmiPending is cleared.
**/
VOID
EFIAPI
ExecDeliverNmi (
  IN OUT VMX_CONTEXT  *Context
  )
{
  UINT64  Activity;

  Context->NmiPending = 0;
  Context->Processor->RootNmis++;
  Activity = VmRead (VMCS_GUEST_ACTIVITY_STATE);
  if (((VmRead (VMCS_ENTRY_INTERRUPTION_INFO) & VMX_INTERRUPTION_VALID) == 0) &&
      ((VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & NO_NMI_INJECTION) == 0) &&
      ((Activity == VMX_ACTIVITY_ACTIVE) || (Activity == VMX_ACTIVITY_HLT)))
  {
    VmWrite (
      VMCS_ENTRY_INTERRUPTION_INFO,
      VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_NMI | EXCEPT_IA32_NMI
      );
  } else {
    ExecSendIpi (EXEC_IPI_SELF_NMI);
  }
}

/**
  Blocking of events behind a task switch: by STI and MOV SS it ends; IRET ends that by
  NMI, and an NMI that has switched tasks begins it.

  @param[in] Iret   IRET has switched tasks.
  @param[in] Event  IDT-vectoring information field.
**/
VOID
ExecSettleBlocking (
  IN BOOLEAN  Iret,
  IN UINT64   Event
  )
{
  UINT64  Blocking;

  Blocking  = VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE);
  Blocking &= ~(UINT64)(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS);
  if (Iret) {
    Blocking &= ~(UINT64)VMX_BLOCKING_BY_NMI;
  }

  if (((Event & VMX_INTERRUPTION_VALID) != 0) &&
      ((Event & VMX_INTERRUPTION_TYPE_MASK) == VMX_INTERRUPTION_TYPE_NMI))
  {
    Blocking |= VMX_BLOCKING_BY_NMI;
  }

  VmWrite (VMCS_GUEST_INTERRUPTIBILITY_STATE, Blocking);
}
