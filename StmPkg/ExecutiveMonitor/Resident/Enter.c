/** @file
  The way into VMX operation.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

/**
  Set the bits that VMX operation fixes in CR0 and CR4, and CR4.VMXE
  (SDM "Restrictions on VMX Operation", 23.8 [24.8]).
**/
STATIC
VOID
ExecEnableVmx (
  VOID
  )
{
  AsmWriteCr0 (AsmReadCr0 () | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0));
  AsmWriteCr4 (AsmReadCr4 () | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
}

/**
  VMXON, and the STM if the firmware offers it.

  @param[in,out] Processor  State and Detail are set.

  @return ExecOk, or what failed; then VMX operation has been left again.
**/
EXEC_RESULT
ExecEnterRoot (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  UINT32       Revision;
  VMX_RESULT   Vmx;
  EXEC_RESULT  Result;
  UINT64       Detail;

  Revision                                    = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  *(UINT32 *)(UINTN)Processor->VmxonRegion    = Revision;
  *(UINT32 *)(UINTN)Processor->ActivationVmcs = Revision;
  *(UINT32 *)(UINTN)Processor->GuestVmcs      = Revision;
  ZeroMem (Processor->ExitCount, sizeof (Processor->ExitCount));
  Processor->HiddenAccesses = 0;
  Processor->RootNmis       = 0;
  Processor->ApicId         = VmxReadApicId ();

  ExecEnableVmx ();
  Vmx = AsmVmxOn (Processor->VmxonRegion);
  if (Vmx != VmxSucceed) {
    Processor->Detail = Vmx;
    ExecDisableVmx ();
    return ExecVmxonFailed;
  }

  Processor->State = ExecStateRoot;
  EXEC_RECORD ("vmxon", "cpu=%u region=0x%lx", Processor->Number, Processor->VmxonRegion);

  Result = ExecStartStm (Processor);
  if (Result != ExecOk) {
    Detail = Processor->Detail;
    ExecLeaveVmx (Processor);
    Processor->Detail = Detail;
  }

  return Result;
}
