/** @file
  Processors of the API on the host: VMCS fields, MSRs, CPUID, and instructions that do
  nothing there.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api_stub_state.h"
#include <Library/SynchronizationLib.h>
#include "exchange_stub.h"
#include "shift_stub.h"

UINT32  gTestRunning;
UINT64  gTestMonitorCtl[TEST_PROCESSORS];
UINT64  gTestMsrMisc;
UINT64  gTestEptCapability;

STATIC UINT64  mFields[TEST_PROCESSORS][3];

STATIC
UINT64 *
Field (
  IN UINT64  Number
  )
{
  STATIC UINT64  Other;

  switch (Number) {
    case VMCS_GUEST_RFLAGS:
      return &mFields[gTestRunning][0];
    case VMCS_GUEST_CR3:
      return &mFields[gTestRunning][1];
    case VMCS_GUEST_INTERRUPTIBILITY_STATE:
      return &mFields[gTestRunning][2];
    default:
      Other = 0;
      return &Other;
  }
}

UINT64
EFIAPI
VmRead (
  IN UINT64  Number
  )
{
  return *Field (Number);
}

BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Number,
  IN UINT64  Value
  )
{
  *Field (Number) = Value;
  return TRUE;
}

BOOLEAN
EFIAPI
VmxWriteControls (
  IN UINT32  Control,
  IN UINT32  Msr,
  IN UINT32  Wanted,
  IN UINT32  Needed
  )
{
  return TRUE;
}

VOID
EFIAPI
VmxSkipInstruction (
  VOID
  )
{
}

UINT64
EFIAPI
VmxReadEptCapability (
  VOID
  )
{
  return gTestEptCapability;
}

VMX_RESULT
EFIAPI
AsmInvEpt (
  IN UINT64  Type,
  IN UINT64  EptPointer
  )
{
  return VmxSucceed;
}

VMX_RESULT
EFIAPI
AsmVmPtrLoad (
  IN UINT64  Region
  )
{
  return VmxSucceed;
}

UINT64
EFIAPI
AsmReadMsr64 (
  IN UINT32  Index
  )
{
  return (Index == MSR_IA32_SMM_MONITOR_CTL) ? gTestMonitorCtl[gTestRunning] : (Index == MSR_IA32_VMX_MISC) ? gTestMsrMisc : 0;
}

BOOLEAN
EFIAPI
AsmTryReadMsr (
  IN  UINT32  Msr,
  OUT UINT64  *Value
  )
{
  *Value = AsmReadMsr64 (Msr);
  return TRUE;
}

BOOLEAN
EFIAPI
AsmTryWriteMsr (
  IN UINT32  Msr,
  IN UINT64  Value
  )
{
  return TRUE;
}

UINT64
EFIAPI
AsmWriteMsr64 (
  IN UINT32  Index,
  IN UINT64  Value
  )
{
  if (Index == MSR_IA32_SMM_MONITOR_CTL) {
    gTestMonitorCtl[gTestRunning] = Value;
  }

  return Value;
}

UINT32
EFIAPI
AsmCpuid (
  IN  UINT32  Index,
  OUT UINT32  *Eax  OPTIONAL,
  OUT UINT32  *Ebx  OPTIONAL,
  OUT UINT32  *Ecx  OPTIONAL,
  OUT UINT32  *Edx  OPTIONAL
  )
{
  return Index;
}

UINT32
EFIAPI
InterlockedIncrement (
  IN volatile UINT32  *Value
  )
{
  return ++*Value;
}

/**
  One processor runs at a time: who waits here waits for ever.
**/
VOID
EFIAPI
CpuPause (
  VOID
  )
{
  __builtin_trap ();
}

UINT64
AsmReadTsc (
  VOID
  )
{
  STATIC UINT64  Ticks;

  return Ticks++;
}
