/** @file
  Where VM exits go: a table of exit handlers for each of the two VMCSs, by basic
  exit reason.

  One SMI passes through here twice. It comes in as an SMM VM exit and leaves as
  the entry of the SMI handler; the handler's RSM comes in as a VM exit of the
  handler and leaves as the return from SMM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Entry.h"
#include "Api/Api.h"
#include "Exit/Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"

///
/// SMM VM exits but SMIs. An empty place is an unexpected exit.
///
/// Pointers only, as linked: the image holds no other data that a linker places in a
/// writable section (build_scripts/stm_image).
///
STATIC CONST VMX_EXIT_HANDLER  mSmmExits[VMX_EXIT_PLACES] = {
  [VMX_REASON_VMCALL] = StmApiExecutive
};

///
/// VM exits of the SMI handler. What it can cause has a place; an empty one is an
/// exit that the controls of the SMM-guest VMCS exclude, or RSM, which has a way of its
/// own: every SMI takes it.
///
STATIC CONST VMX_EXIT_HANDLER  mHandlerExits[VMX_EXIT_PLACES] = {
  [VMX_REASON_TRIPLE_FAULT]      = StmExitTripleFault,
  [VMX_REASON_CPUID]             = StmExitCpuid,
  [VMX_REASON_INVD]              = StmExitInvd,
  [VMX_REASON_VMCALL]            = StmApiHandler,
  [VMX_REASON_CR_ACCESS]         = StmExitControlRegister,
  [VMX_REASON_IO]                = StmExitIo,
  [VMX_REASON_RDMSR]             = StmExitViolation,
  [VMX_REASON_WRMSR]             = StmExitWrmsr,
  [VMX_REASON_MONITOR_TRAP_FLAG] = StmExitStepped,
  [VMX_REASON_EPT_VIOLATION]     = StmExitViolation,
  [VMX_REASON_PREEMPTION_TIMER]  = StmExitTimeout,
  [VMX_REASON_XSETBV]            = StmExitUndefined,
  [VMX_EXIT_VMX_INSTRUCTION]     = StmExitUndefined
};

/**
  Where a function of the tables is. They hold addresses as linked, since nobody has to
  relocate the image: any firmware may copy it anywhere.

  @param[in] Processor  This processor.
  @param[in] Linked     From a table, not NULL.

  @return The function.
**/
STATIC
VMX_EXIT_HANDLER
Placed (
  IN CONST STM_PROCESSOR  *Processor,
  IN VMX_EXIT_HANDLER     Linked
  )
{
  return (VMX_EXIT_HANDLER)((UINTN)Linked + (UINTN)Processor->Shared->ImageBase);
}

/**
  SMM VM exits: called by Entry/Exit.nasm. The processor has made the SMM-transfer
  VMCS current.

  @param[in,out] Processor  This processor, registers in Interrupted.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchSmmExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VMX_EXIT_HANDLER  Handler;
  UINT32            Reason;

  //
  // An SMM VM exit leaves the launch state of the SMM-transfer VMCS "launched", so
  // the next entry takes VMRESUME.
  //
  Reason = (UINT32)VmRead (VMCS_EXIT_REASON);
  switch (Reason & (VMX_REASON_ENTRY_FAILURE | VMX_REASON_BASIC_MASK)) {
    case VMX_REASON_IO_SMI:
    case VMX_REASON_OTHER_SMI:
      Processor->TransferLaunched = TRUE;
      return StmExitSmi (Processor, Reason);
    default:
      break;
  }

  Handler = VmxFindExitHandler (mSmmExits, Reason);
  if (Handler == NULL) {
    return StmExitUnexpected (Processor, Reason);
  }

  Processor->TransferLaunched = TRUE;
  return Placed (Processor, Handler)(Processor);
}

/**
  RSM: the handler is done, and what follows depends on what it ran for. Called by
  Entry/Exit.nasm, the SMM-guest VMCS is current.

  @param[in,out] Processor  This processor; nobody needs the handler's registers any more.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchRsm (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  Processor->SmmGuestLaunched = TRUE;
  if (Processor->Step.Active) {
    //
    // Another processor has replaced a string instruction by RSM. The next SMI must not
    // begin with a step that is half done.
    //
    StmEndStep (Processor);
  }

  switch (StmFinishHandler (Processor)) {
    case StmEventSetup:
      return StmApiCompleteStart (Processor);
    case StmEventTeardown:
      return StmApiCompleteStop (Processor);
    default:
      return StmFinishSmi (Processor);
  }
}

/**
  VM exits of the SMI handler other than RSM: called by Entry/Exit.nasm, the SMM-guest
  VMCS is current.

  @param[in,out] Processor  This processor, registers in Handler.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchHandlerExit (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  VMX_EXIT_HANDLER  Handler;
  STM_ENTER         Enter;
  UINT32            Reason;

  Reason  = (UINT32)VmRead (VMCS_EXIT_REASON);
  Handler = VmxFindExitHandler (mHandlerExits, Reason);
  if (Handler == NULL) {
    return StmExitUnexpected (Processor, Reason);
  }

  Processor->SmmGuestLaunched = TRUE;
  if (Processor->Step.Active) {
    StmEndStep (Processor);
  }

  Processor->ExitCount++;
  StmChargeExit (Processor);
  StmRing (
    Processor,
    StmRingHandlerExit,
    Reason,
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    (Reason == VMX_REASON_EPT_VIOLATION) ? VmRead (VMCS_GUEST_PHYSICAL_ADDRESS) : 0
    );
  Enter = Placed (Processor, Handler)(Processor);
  STM_SEE_PROTECTION (Processor);
  return Enter;
}
