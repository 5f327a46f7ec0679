/** @file
  Accesses of the SMI handler that the STM refuses.

  What the executive monitor has protected: a protection exception
  (ProtectionException.c).

  What the STM keeps for itself, MSEG, its own MSRs, and MSRs that nobody
  knows: the access does not happen, and the handler takes #GP(0) at the instruction,
  as it would on a processor that does not have them.

  Nothing is skipped or faked, and the ring holds a record of each (written by the
  dispatcher).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"
#include "State/State.h"

/**
  The kind of exception that a violation is, if the executive monitor has protected
  what was touched.

  @param[in] Processor  This processor, the SMM-guest VMCS current.

  @return TXT_SMM_PROTECTION_EXCEPTION_TYPE, 0 if it has not.
**/
STATIC
UINT32
ProtectedKind (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  UINT32  Access;

  switch ((UINT32)VmRead (VMCS_EXIT_REASON)) {
    case VMX_REASON_EPT_VIOLATION:
      Access = StmProtectedAt (Processor, StmSpaceMemory, VmRead (VMCS_GUEST_PHYSICAL_ADDRESS), 1);
      return (Access != 0) ? TxtSmmPageViolation : 0;
    case VMX_REASON_RDMSR:
      Access = StmProtectedAt (Processor, StmSpaceMsr, (UINT32)Processor->Handler.Rcx, 1) & STM_ACCESS_READ;
      return (Access != 0) ? TxtSmmMsrViolation : 0;
    default:
      Access = StmProtectedAt (Processor, StmSpaceMsr, (UINT32)Processor->Handler.Rcx, 1) & STM_ACCESS_WRITE;
      return (Access != 0) ? TxtSmmMsrViolation : 0;
  }
}

/**
  Refuse an access.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitViolation (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_RSC    Resource;
  STM_ENTER  Enter;
  UINT32     Kind;

  //
  // A violation while an event was being delivered means that the handler's
  // stack or IDT lie where it has no access: nothing can be injected.
  //
  if ((VmRead (VMCS_IDT_VECTORING_INFO) & VMX_INTERRUPTION_VALID) != 0) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  if (((UINT32)VmRead (VMCS_EXIT_REASON) == VMX_REASON_EPT_VIOLATION) && StmTryEcam (Processor, &Enter)) {
    return Enter;
  }

  Kind = ProtectedKind (Processor);
  if (Kind != 0) {
    return StmRaiseProtectionException (Processor, Kind);
  }

  //
  // What is protected has changed since the handler was entered, or there is only now a
  // table for it: the handler tries again.
  //
  if ((Processor->Generation != *(volatile UINT32 *)&Processor->Shared->Generation) ||
      (((UINT32)VmRead (VMCS_EXIT_REASON) == VMX_REASON_EPT_VIOLATION) &&
       StmMapTouched (Processor, VmRead (VMCS_GUEST_PHYSICAL_ADDRESS))))
  {
    return StmResumeHandler (Processor);
  }

  //
  // The firmware cannot claim what the STM keeps: no trap for the STM's own sake, such
  // as of an MSR that comes back at RSM, arrives here.
  //
  StmDescribeAccess (Processor, &Resource);
  StmEventResource (Processor, EvtBiosAccessToUnclaimedResource, &Resource);
  VmxInjectException (EXCEPT_IA32_GP_FAULT);
  return StmResumeHandler (Processor);
}

/**
  WRMSR of the SMI handler. Of the MSRs that come back after it the STM takes note, and
  writes them for it; others it must not write.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitWrmsr (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Value;
  UINTN   Index;

  Index = StmFindKeptMsr ((UINT32)Processor->Handler.Rcx);
  if ((Index == STM_KEPT_MSRS) || (ProtectedKind (Processor) != 0)) {
    return StmExitViolation (Processor);
  }

  Value = LShiftU64 (Processor->Handler.Rdx, 32) | (UINT32)Processor->Handler.Rax;
  if (StmWriteKeptMsr (Processor, Index, Value)) {
    VmxSkipInstruction ();
  } else {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
  }

  return StmResumeHandler (Processor);
}
