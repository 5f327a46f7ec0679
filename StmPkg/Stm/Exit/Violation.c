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
#include "Protect/Bitmap.h"
#include "Protect/Protect.h"
#include "Protect/Snapshot.h"
#include "State/State.h"

/**
  What the SMI handler wants to write to an MSR.

  @param[in] Processor  This processor, the SMM-guest VMCS current at the VM exit for WRMSR.

  @return EDX:EAX.
**/
STATIC
UINT64
Written (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return LShiftU64 (Processor->Handler.Rdx, 32) | (UINT32)Processor->Handler.Rax;
}

/**
  Which protected bits of an MSR a WRMSR of the SMI handler would change.

  @param[in] Processor  This processor, the SMM-guest VMCS current at the VM exit for it.

  @return The bits; if nobody can say what the MSR holds, all that are protected.
**/
STATIC
UINT64
ProtectedChange (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  UINT64  Bits;
  UINT64  Old;
  UINT32  Msr;

  Msr  = (UINT32)Processor->Handler.Rcx;
  Bits = StmBitProtection (Processor, StmSpaceMsr, STM_MSR_PLACE (Msr, 0), STM_ACCESS_WRITE);
  if ((Bits == 0) || StmMsrIsWhole (Msr) || !AsmTryReadMsr (Msr, &Old)) {
    return Bits;
  }

  return Bits & (Old ^ Written (Processor));
}

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
      //
      // Who reads a bit of it reads all of it.
      //
      Access = StmProtectedAt (Processor, StmSpaceMsr, STM_MSR_PLACE ((UINT32)Processor->Handler.Rcx, 0), STM_REGISTER_BITS);
      return ((Access & STM_ACCESS_READ) != 0) ? TxtSmmMsrViolation : 0;
    default:
      return (ProtectedChange (Processor) != 0) ? TxtSmmMsrViolation : 0;
  }
}

/**
  Whether what is not protected can succeed at a second try: protection has changed since the
  handler was entered, or there is only now a table for the address.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Access     What a memory access does: STM_ACCESS_READ and so on.

  @retval TRUE   It can.
  @retval FALSE  It cannot.
**/
STATIC
BOOLEAN
TriesAgain (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Access
  )
{
  return (BOOLEAN)((Processor->Generation != *(volatile UINT32 *)&Processor->Shared->Generation) ||
                   (((UINT32)VmRead (VMCS_EXIT_REASON) == VMX_REASON_EPT_VIOLATION) &&
                    StmMapTouched (Processor, VmRead (VMCS_GUEST_PHYSICAL_ADDRESS), Access)));
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
  UINT32     Access;
  UINT32     Kind;

  Access = (UINT32)VmRead (VMCS_EXIT_QUALIFICATION) & STM_ACCESS_ALL;
  if (((UINT32)VmRead (VMCS_EXIT_REASON) == VMX_REASON_EPT_VIOLATION) &&
      StmSnapshotTouch (Processor, VmRead (VMCS_GUEST_PHYSICAL_ADDRESS), Access, NULL))
  {
    VmxRepeatEvent ();
    return StmResumeHandler (Processor);
  }

  //
  // A violation while an event was being delivered: the handler's stack or IDT lie where
  // there is only now a table, and the event is delivered again; or where it has no
  // access, and nothing can be injected.
  //
  if ((VmRead (VMCS_IDT_VECTORING_INFO) & VMX_INTERRUPTION_VALID) != 0) {
    if ((ProtectedKind (Processor) != 0) || !TriesAgain (Processor, Access)) {
      StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
    }

    VmxRepeatEvent ();
    return StmResumeHandler (Processor);
  }

  if (((UINT32)VmRead (VMCS_EXIT_REASON) == VMX_REASON_EPT_VIOLATION) && StmTryEcam (Processor, &Enter)) {
    return Enter;
  }

  Kind = ProtectedKind (Processor);
  if (Kind != 0) {
    return StmRaiseProtectionException (Processor, Kind);
  }

  if (TriesAgain (Processor, Access)) {
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
  writes them for it; and so it does with one of which bits are protected, if these stay as
  they are. Others it must not write.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitWrmsr (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINTN    Index;
  UINT32   Msr;
  BOOLEAN  Done;

  Msr   = (UINT32)Processor->Handler.Rcx;
  Index = StmFindKeptMsr (Msr);
  if ((ProtectedKind (Processor) != 0) ||
      ((Index == STM_KEPT_MSRS) &&
       (StmMsrIsOwn (Msr) || (StmBitProtection (Processor, StmSpaceMsr, STM_MSR_PLACE (Msr, 0), STM_ACCESS_WRITE) == 0))))
  {
    return StmExitViolation (Processor);
  }

  if (Index == STM_KEPT_MSRS) {
    Done = AsmTryWriteMsr (Msr, Written (Processor));
  } else {
    Done = StmWriteKeptMsr (Processor, Index, Written (Processor));
  }

  if (Done) {
    VmxSkipInstruction ();
  } else {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
  }

  return StmResumeHandler (Processor);
}
