/** @file
  SMIs of domains: what the SMI handler sees of an interrupted guest, and what of its
  changes reaches it, by the record of its VMCS in the database.

  Nothing of this is on the path of an SMI while the database is empty.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "State/State.h"

///
/// Exit qualification of an I/O SMI.
///
#define IO_PORT(Qualification)  ((UINT16)RShiftU64 ((Qualification), 16))

#define PROTECTED    (DOMAIN_INTEGRITY | DOMAIN_CONFIDENTIALITY)
#define DR6_INITIAL  0xFFFF0FF0

///
/// Of the MSRs that come back at RSM those that tell where the interrupted side's system
/// is.
///
STATIC CONST UINT32  mHiddenMsrs[] = {
  MSR_IA32_STAR,
  MSR_IA32_LSTAR,
  MSR_IA32_CSTAR,
  MSR_IA32_FMASK,
  MSR_IA32_TSC_AUX
};

/**
  Find a port in the firmware's list of trapped I/O ports.

  @param[in] Shared  Shared state.
  @param[in] Port    The port.

  @return The descriptor, NULL if there is none.
**/
STATIC
CONST STM_RSC_TRAPPED_IO_DESC *
FindTrap (
  IN CONST STM_SHARED  *Shared,
  IN UINT16            Port
  )
{
  CONST STM_RSC  *Resource;
  UINT32         Page;

  for (Page = 0; Page < Shared->BiosPages; Page++) {
    Resource = (CONST STM_RSC *)(UINTN)(Shared->BiosList + (UINT64)Page * SIZE_4KB);
    while (Resource->Header.RscType != END_OF_RESOURCES) {
      if ((Resource->Header.RscType == TRAPPED_IO_RANGE) && (Resource->Header.IgnoreResource == 0) &&
          (Port >= Resource->TrappedIo.Base) && (Port - Resource->TrappedIo.Base < Resource->TrappedIo.Length))
      {
        return &Resource->TrappedIo;
      }

      Resource = (CONST STM_RSC *)((CONST UINT8 *)Resource + Resource->Header.Length);
    }
  }

  return NULL;
}

/**
  Tell the executive monitor that a domain is served with less protection.

  @param[in] Processor  This processor.
  @param[in] Vmcs       The domain.
  @param[in] Expected   Its type in the database.
  @param[in] Degraded   The type for this SMI.
**/
STATIC
VOID
LogDegradation (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs,
  IN UINT32               Expected,
  IN UINT32               Degraded
  )
{
  ENTRY_EVT_MLE_DOMAIN_TYPE_DEGRADED  Entry;

  Entry.VmcsPhysPointer    = Vmcs;
  Entry.ExpectedDomainType = (UINT8)Expected;
  Entry.DegradedDomainType = (UINT8)Degraded;
  STM_EVENT (Processor, EvtMleDomainTypeDegraded, &Entry, sizeof (Entry));
}

/**
  Where a processor keeps what it hides.

  @param[in] Processor  The processor.

  @return Its place.
**/
STATIC
STM_HIDDEN_STATE *
HiddenOf (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  return (STM_HIDDEN_STATE *)((UINTN)Processor - STM_BLOCK_PROCESSOR + STM_BLOCK_HIDDEN);
}

/**
  Put the interrupted registers of a confidential domain out of the handler's sight: it is
  entered with zeroes, and so is the save state composed (State/Handler.c). DX and the
  accumulator of an access to a port are left, if the handler is to serve it.

  @param[in,out] Processor  This processor.
  @param[in]     Shown      Bits of RAX.
**/
STATIC
VOID
Hide (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Shown
  )
{
  STM_HIDDEN_STATE  *Hidden;
  UINTN             Index;

  Hidden              = HiddenOf (Processor);
  Hidden->Interrupted = Processor->Interrupted;
  ZeroMem (&Processor->Interrupted, sizeof (Processor->Interrupted));
  Processor->Interrupted.Rax = Hidden->Interrupted.Rax & Shown;
  if (Shown != 0) {
    Processor->Interrupted.Rdx = (UINT16)Hidden->Interrupted.Rdx;
  }

  //
  // What the handler can read without a VM exit. RSM gives back whatever differs from
  // the interrupted side's.
  //
  AsmWriteDr0 (0);
  AsmWriteDr1 (0);
  AsmWriteDr2 (0);
  AsmWriteDr3 (0);
  AsmWriteDr6 (DR6_INITIAL);
  AsmWriteCr2 (0);
  AsmWriteMsr64 (MSR_IA32_KERNEL_GS_BASE, 0);
  for (Index = 0; Index < ARRAY_SIZE (mHiddenMsrs); Index++) {
    StmWriteKeptMsr (Processor, StmFindKeptMsr (mHiddenMsrs[Index]), 0);
  }
}

/**
  Find out to which domain an SMI belongs, and hide what the handler must not see of it.
  Called by STM_FIND_DOMAIN.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Vmcs       Executive-VMCS pointer.
  @param[in]     Reason     Exit-reason field.
**/
VOID
StmFindDomain (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Vmcs,
  IN     UINT32         Reason
  )
{
  CONST STM_RSC_TRAPPED_IO_DESC  *Trap;
  STM_DOMAIN_SMI                 Smi;
  UINT64                         Qualification;
  UINT32                         Policy;
  UINT32                         XState;

  Policy = StmDomainFind (&Processor->Shared->Domains, Vmcs);
  if (Policy == 0) {
    return;
  }

  Trap          = NULL;
  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  if ((Reason & MAX_UINT16) == VMX_REASON_IO_SMI) {
    Trap = FindTrap (Processor->Shared, IO_PORT (Qualification));
  }

  if (!StmDomainJudge (Policy, Trap, Qualification, &Smi)) {
    //
    // The interface demands a reset: to hide the operand would be to serve the guest
    // wrongly, to show it would be to betray it.
    //
    StmCrash (
      Processor,
      StmCrashProtectionException,
      Reason,
      Qualification,
      Processor->Saved.Rip,
      (UINT32)STM_CRASH_DOMAIN_DEGRADATION_FAILURE
      );
  }

  if (Smi.Type != STM_DOMAIN_TYPE (Policy)) {
    LogDegradation (Processor, Vmcs, STM_DOMAIN_TYPE (Policy), Smi.Type);
  }

  XState                 = STM_DOMAIN_XSTATE (Policy);
  Processor->Domain      = STM_DOMAIN_PRESENT | STM_DOMAIN_POLICY (Smi.Type, XState, 0);
  Processor->DomainTaken = Smi.Taken;
  StmTellPsd (Processor, Smi.Type, XState);
  if (XState == XSTATE_SCRUB) {
    AsmScrubFx ();
  }

  if ((Smi.Type & DOMAIN_CONFIDENTIALITY) != 0) {
    Hide (Processor, Smi.Shown);
  }
}

/**
  Bring back what was hidden from the handler, which has ended. Called for a domain only.

  @param[in,out] Processor  This processor.
**/
VOID
StmShowDomain (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if ((Processor->Domain & DOMAIN_CONFIDENTIALITY) != 0) {
    Processor->Interrupted = HiddenOf (Processor)->Interrupted;
  }
}

/**
  The end of the handler for a domain: what of its changes counts. The STM has restored
  the registers that no VMCS holds.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @retval TRUE   All that a handler may change.
  @retval FALSE  No more than what is done already.
**/
BOOLEAN
StmLeaveDomain (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Domain;

  Domain = Processor->Domain;
  if ((Domain & PROTECTED) != 0) {
    StmWriteProtected (Processor, Processor->DomainTaken);
  }

  StmTellPsd (Processor, DOMAIN_UNPROTECTED, XSTATE_READWRITE);
  Processor->Domain = 0;
  return (BOOLEAN)((Domain & PROTECTED) == 0);
}
