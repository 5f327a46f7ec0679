/** @file
  INITIALIZE_PROTECTION, START, STOP: the life of the STM on one processor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"
#include "Session/Session.h"
#include "State/State.h"

///
/// Capabilities that INITIALIZE_PROTECTION reports in EBX: none of bit-granular
/// I/O, memory or MSR protection.
///
#define STM_CAPABILITIES  0

/**
  Set or clear blocking by SMI of the interrupted side.

  @param[in] Blocked  TRUE to keep SMIs pending after the return (DM-RET-56).
**/
STATIC
VOID
BlockSmis (
  IN BOOLEAN  Blocked
  )
{
  UINT64  Interruptibility;

  Interruptibility = VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(UINT64)VMX_BLOCKING_BY_SMI;
  VmWrite (VMCS_GUEST_INTERRUPTIBILITY_STATE, Interruptibility | (Blocked ? VMX_BLOCKING_BY_SMI : 0));
}

/**
  Prepare a processor for the STM: SMIs stay blocked until START.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Open       TRUE for INITIALIZE_PROTECTION, which opens the session.

  @return STM_SUCCESS, or why it cannot be done.
**/
STATIC
UINT32
Initialize (
  IN OUT STM_PROCESSOR  *Processor,
  IN     BOOLEAN        Open
  )
{
  CONST CHAR8  *Problem;
  UINT32       Status;
  CHAR8        Digest[2 * sizeof (Processor->Shared->MsegSha256) + 1];

  if ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_STORE_LMA) == 0) {
    //
    // Returns rely on exits to store EFER.LMA (DM-EXI-32).
    //
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  Problem = StmFindPsdProblem (Processor);
  if (Problem != NULL) {
    STM_RECORD (Processor, "refused", "cpu=%u reason=psd member=%a smbase=0x%lx", Processor->Slot, Problem, Processor->Saved.Smbase);
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  if (Processor->SmmGuestVmcs == 0) {
    //
    // In the spare block, which is for this answer.
    //
    return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
  }

  if (!StmSetUpSmmGuestVmcs (Processor)) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  Status = StmLoadBiosList (Processor);
  if (Status != STM_SUCCESS) {
    return Status;
  }

  Status = StmSessionJoin (Processor->Shared, Open);
  if (Status != STM_SUCCESS) {
    return Status;
  }

  Processor->State = StmProcessorInitialized;
  StmTellPsd (Processor, DOMAIN_UNPROTECTED, XSTATE_READWRITE);
  BlockSmis (TRUE);

  STM_RECORD (
    Processor,
    "init",
    "cpu=%u exec_vmxon=0x%lx smbase=0x%lx mseg_sha256=%a",
    Processor->Slot,
    Processor->VmxonPointer,
    Processor->Saved.Smbase,
    StmRecordBytes (Processor->Shared->MsegSha256, sizeof (Processor->Shared->MsegSha256), Digest)
    );
  return STM_SUCCESS;
}

/**
  INITIALIZE_PROTECTION (10007H).

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiInitializeProtection (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;

  if (Processor->State != StmProcessorOff) {
    return StmApiAnswer (Processor, (UINT32)ERROR_STM_ALREADY_STARTED);
  }

  Status = Initialize (Processor, TRUE);
  if (Status == STM_SUCCESS) {
    Processor->Interrupted.Rbx = STM_CAPABILITIES;
  }

  return StmApiAnswer (Processor, Status);
}

/**
  Set IA32_SMM_MONITOR_CTL[2] as the executive monitor asks in EDX of START: with
  1, a later VMXOFF leaves SMI blocking as it is (DM-DEA-22).

  @param[in] Options  EDX of START.

  @retval TRUE   Done.
  @retval FALSE  IA32_VMX_MISC[28] does not allow it.
**/
STATIC
BOOLEAN
SetVmxOffBehaviour (
  IN UINT32  Options
  )
{
  UINT64  Control;

  Control = AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL);
  if ((Options & STM_CONFIG_SMI_UNBLOCKING_BY_VMX_OFF) == 0) {
    if ((Control & VMX_SMM_MONITOR_CTL_BLOCK_UNBLOCKING) != 0) {
      AsmWriteMsr64 (MSR_IA32_SMM_MONITOR_CTL, Control & ~(UINT64)VMX_SMM_MONITOR_CTL_BLOCK_UNBLOCKING);
    }

    return TRUE;
  }

  if ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_BLOCK_UNBLOCKING) == 0) {
    return FALSE;
  }

  AsmWriteMsr64 (MSR_IA32_SMM_MONITOR_CTL, Control | VMX_SMM_MONITOR_CTL_BLOCK_UNBLOCKING);
  return TRUE;
}

/**
  Second half of START, after the RSM of the firmware's setup code.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiCompleteStart (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  Processor->State = StmProcessorStarted;
  BlockSmis (FALSE);
  STM_RECORD (Processor, "start", "cpu=%u", Processor->Slot);
  return StmApiAnswer (Processor, STM_SUCCESS);
}

/**
  START (10001H). On a processor other than the one that called
  INITIALIZE_PROTECTION this is the call that activates the STM; before any has
  called it, and after the last one has stopped, there is nothing to start.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiStart (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;

  if (Processor->State == StmProcessorStarted) {
    return StmApiAnswer (Processor, (UINT32)ERROR_STM_ALREADY_STARTED);
  }

  if (!SetVmxOffBehaviour ((UINT32)Processor->Interrupted.Rdx)) {
    return StmApiAnswer (Processor, (UINT32)ERROR_STM_UNSUPPORTED_MSR_BIT);
  }

  if (Processor->State == StmProcessorOff) {
    Status = Initialize (Processor, FALSE);
    if (Status != STM_SUCCESS) {
      return StmApiAnswer (Processor, Status);
    }
  }

  if (StmPrepareHandler (Processor, StmEventSetup)) {
    STM_SEE_PROTECTION (Processor);
    return StmEnterHandler (Processor);
  }

  return StmApiCompleteStart (Processor);
}

/**
  Second half of STOP, after the RSM of the firmware's teardown code.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiCompleteStop (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_RECORD (
    Processor,
    "stop",
    "cpu=%u smis=%lu exits=%lu",
    Processor->Slot,
    Processor->SmiCount,
    Processor->ExitCount
    );

  Processor->State = StmProcessorOff;
  StmSessionPart (Processor->Shared);
  return StmApiAnswer (Processor, STM_SUCCESS);
}

/**
  STOP (10002H). Before START it undoes INITIALIZE_PROTECTION; the firmware's
  setup code did not run then, so its teardown code does not run either.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiStop (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  switch (Processor->State) {
    case StmProcessorStarted:
      if (StmPrepareHandler (Processor, StmEventTeardown)) {
        STM_SEE_PROTECTION (Processor);
        return StmEnterHandler (Processor);
      }

      return StmApiCompleteStop (Processor);
    case StmProcessorInitialized:
      return StmApiCompleteStop (Processor);
    default:
      return StmApiAnswer (Processor, (UINT32)ERROR_STM_STOPPED);
  }
}
