/** @file
  VM exits for guest-physical addresses: the hidden range.

  To the guest nothing is there. It reads ones and its writes are lost, as on a bus
  without a device, and each access is reported. The instruction is not emulated:
  for its duration a page of ones is there, and the monitor trap flag brings the
  processor back behind it ("Monitor Trap Flag", 25.5.2 [26.5.2]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Guest.h"

///
/// Accesses that are reported singly; a guest that searches memory makes many.
///
#define REPORTED_ACCESSES  32

///
/// Exit qualification: the access was part of an IRET that had unblocked NMIs.
///
#define NMI_UNBLOCKED_BY_IRET  BIT12

/**
  What an access was, for the record.

  @param[in] Qualification  Of the EPT violation.

  @return A word.
**/
STATIC
CONST CHAR8 *
ExecAccessName (
  IN UINT64  Qualification
  )
{
  if ((Qualification & VMX_EPT_VIOLATION_FETCH) != 0) {
    return "fetch";
  }

  return ((Qualification & VMX_EPT_VIOLATION_WRITE) != 0) ? "write" : "read";
}

/**
  EPT violation. Everything but the hidden range is mapped: elsewhere it is an
  address that the processor does not have, or an error of ours.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  The guest runs on for one instruction.
**/
UINTN
EFIAPI
ExecExitEptViolation (
  IN OUT VMX_CONTEXT  *Context
  )
{
  EXEC_PROCESSOR  *Processor;
  UINT64          Address;
  UINT64          Qualification;

  Processor = Context->Processor;
  Address   = VmRead (VMCS_GUEST_PHYSICAL_ADDRESS);
  if (!ExecShowUnbacked (Processor->Shared, Address)) {
    ExecCrashFromVmcs ("ept-violation");
  }

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  if (Processor->HiddenAccesses++ < REPORTED_ACCESSES) {
    EXEC_RECORD (
      "hidden-access",
      "cpu=%u access=%a address=0x%lx rip=0x%lx",
      Processor->Number,
      ExecAccessName (Qualification),
      Address,
      VmRead (VMCS_GUEST_RIP)
      );
  }

  if (((Qualification & NMI_UNBLOCKED_BY_IRET) != 0) &&
      ((VmRead (VMCS_IDT_VECTORING_INFO) & VMX_INTERRUPTION_VALID) == 0))
  {
    //
    // The IRET is executed once more.
    //
    VmWrite (
      VMCS_GUEST_INTERRUPTIBILITY_STATE,
      VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) | VMX_BLOCKING_BY_NMI
      );
  }

  VmxRepeatEvent ();
  VmWrite (VMCS_PROCESSOR_CONTROLS, VmRead (VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MONITOR_TRAP_FLAG);
  return ExecResumeGuest;
}

/**
  Monitor trap flag: the instruction that reached for the hidden range, or INS or
  OUTS at a port of Io.c, is over.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitMonitorTrap (
  IN OUT VMX_CONTEXT  *Context
  )
{
  ExecHideUnbacked (Context->Processor->Shared);
  VmWrite (
    VMCS_PROCESSOR_CONTROLS,
    (VmRead (VMCS_PROCESSOR_CONTROLS) & ~(UINT64)VMX_CPU_MONITOR_TRAP_FLAG) | VMX_CPU_IO_BITMAPS
    );
  return ExecResumeGuest;
}
