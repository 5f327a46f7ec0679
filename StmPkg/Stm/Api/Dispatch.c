/** @file
  Calls of the STM API, by number: from the executive monitor and from the SMI
  handler. "StmApi.h": EAX number in and status out, CF = 1 for an error.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

#define RFLAGS_CF          BIT0
#define RFLAGS_ARITHMETIC  (BIT0 | BIT2 | BIT4 | BIT6 | BIT7 | BIT11)

typedef
STM_ENTER
(*STM_API_FUNCTION)(
  IN OUT STM_PROCESSOR  *Processor
  );

///
/// By number, bits 15:0; bit 16 marks the executive monitor's calls. Pointers
/// only, since the image may hold no other data that the loader has to place in
/// a writable section (build_scripts/stm_image).
///
#define API_INDEX(Number)  ((Number) & 0xFFFF)
#define API_EXECUTIVE      BIT16

STATIC CONST STM_API_FUNCTION  mExecutiveApi[] = {
  [API_INDEX (STM_API_START)]                 = StmApiStart,
  [API_INDEX (STM_API_STOP)]                  = StmApiStop,
  [API_INDEX (STM_API_PROTECT_RESOURCE)]      = StmApiNotSupported,
  [API_INDEX (STM_API_UNPROTECT_RESOURCE)]    = StmApiNotSupported,
  [API_INDEX (STM_API_GET_BIOS_RESOURCES)]    = StmApiNotSupported,
  [API_INDEX (STM_API_MANAGE_VMCS_DATABASE)]  = StmApiNotSupported,
  [API_INDEX (STM_API_INITIALIZE_PROTECTION)] = StmApiInitializeProtection,
  [API_INDEX (STM_API_MANAGE_EVENT_LOG)]      = StmApiNotSupported
};

/**
  Flags behind a VMCALL: those of VMsucceed (DM-INT-27), CF by the API.

  @param[in] Rflags  Flags before.
  @param[in] Status  Status of the call.

  @return Flags after.
**/
STATIC
UINT64
AnswerFlags (
  IN UINT64  Rflags,
  IN UINT32  Status
  )
{
  return (Rflags & ~(UINT64)RFLAGS_ARITHMETIC) | ((Status == STM_SUCCESS) ? 0 : RFLAGS_CF);
}

/**
  Answer the executive monitor: status to EAX, CF for an error, step over the
  VMCALL, return.

  A processor that is activated by a call which does not initialize it goes back
  to the default treatment: a failed call leaves no STM behind.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswer (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  )
{
  UINT32  Number;

  Number                     = (UINT32)Processor->Interrupted.Rax;
  Processor->Interrupted.Rax = Status;
  VmWrite (VMCS_GUEST_RFLAGS, AnswerFlags (VmRead (VMCS_GUEST_RFLAGS), Status));
  StmRing (Processor, StmRingApi, Number, Status, VmRead (VMCS_GUEST_RIP), 0);
  StmSkipInstruction ();

  if (Processor->State == StmProcessorOff) {
    StmRingFlush (Processor->Shared);

    //
    // "Deactivating the Dual-Monitor Treatment", 34.15.7 [32.15.7]. The
    // executive-VMCS pointer is the VMXON pointer, because the VMCALL came from
    // root operation (DM-EXI-11, DM-DEA-04). The handler's VMCS must not stay
    // active (DM-INT-30).
    //
    AsmVmClear (Processor->HandlerVmcs);
    VmWrite (VMCS_ENTRY_CONTROLS, VmRead (VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    AsmAtomicAdd32 (&Processor->Shared->Active, MAX_UINT32);
  }

  return StmReturn (Processor);
}

/**
  A function of the API that this STM does not have.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiNotSupported (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  return StmApiAnswer (Processor, (UINT32)ERROR_STM_FUNCTION_NOT_SUPPORTED);
}

/**
  API calls of the executive monitor: VMCALL in VMX root operation outside SMM.

  @param[in,out] Processor  This processor, the SMI side's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiExecutive (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Number;
  UINT32  Index;

  StmReadInterrupted (Processor);
  Number = (UINT32)Processor->Interrupted.Rax;
  Index  = API_INDEX (Number);
  if ((Number != (API_EXECUTIVE | Index)) || (Index >= ARRAY_SIZE (mExecutiveApi)) || (mExecutiveApi[Index] == NULL)) {
    return StmApiAnswer (Processor, (UINT32)ERROR_INVALID_API);
  }

  return mExecutiveApi[Index] (Processor);
}

/**
  API calls of the SMI handler: VMCALL in the guest of the STM.

  The handler maps memory itself, since it runs with EPT; address lookup and
  protection exceptions are not there yet. StmApi.h allows
  ERROR_STM_FUNCTION_NOT_SUPPORTED for the former; for the others it is the one
  honest answer.

  @param[in,out] Processor  This processor, the handler's VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmApiHandler (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT32  Status;

  switch ((UINT32)Processor->Handler.Rax) {
    case STM_API_MAP_ADDRESS_RANGE:
    case STM_API_UNMAP_ADDRESS_RANGE:
    case STM_API_ADDRESS_LOOKUP:
    case STM_API_RETURN_FROM_PROTECTION_EXCEPTION:
      Status = (UINT32)ERROR_STM_FUNCTION_NOT_SUPPORTED;
      break;
    default:
      Status = (UINT32)ERROR_INVALID_API;
      break;
  }

  Processor->Handler.Rax = Status;
  VmWrite (VMCS_GUEST_RFLAGS, AnswerFlags (VmRead (VMCS_GUEST_RFLAGS), Status));
  StmSkipInstruction ();
  return StmResumeHandler (Processor);
}
