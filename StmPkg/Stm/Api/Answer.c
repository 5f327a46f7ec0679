/** @file
  Answers to calls of the STM API. "StmApi.h": EAX number in and status out, CF = 1
  for an error.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Log/Log.h"

#define RFLAGS_CF          BIT0
#define RFLAGS_ARITHMETIC  (BIT0 | BIT2 | BIT4 | BIT6 | BIT7 | BIT11)

/**
  Write status and flags, and step over the VMCALL. The flags after it are those
  of VMsucceed (DM-INT-27), CF by the API.

  @param[in,out] Registers  The caller's.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.
**/
STATIC
VOID
WriteAnswer (
  IN OUT VMX_REGISTERS  *Registers,
  IN     UINT32         Status
  )
{
  UINT64  Rflags;

  Rflags = VmRead (VMCS_GUEST_RFLAGS) & ~(UINT64)RFLAGS_ARITHMETIC;
  if (Status != STM_SUCCESS) {
    Rflags |= RFLAGS_CF;
  }

  Registers->Rax = Status;
  VmWrite (VMCS_GUEST_RFLAGS, Rflags);
  VmxSkipInstruction ();
}

/**
  Write an entry to the event log if a call is refused for what it was given.

  @param[in] Processor  This processor.
  @param[in] Api        Number of the call.
  @param[in] Status     STM_SUCCESS or an error of StmStatusCode.h.
**/
STATIC
VOID
LogRefusal (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Api,
  IN UINT32               Status
  )
{
  ENTRY_EVT_LOG_INVALID_PARAM  Entry;

  switch (Status) {
    case (UINT32)ERROR_STM_SECURITY_VIOLATION:
    case (UINT32)ERROR_STM_BAD_CR3:
    case (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST:
    case (UINT32)ERROR_STM_INVALID_PAGECOUNT:
    case (UINT32)ERROR_STM_RESERVED_BIT_SET:
    case (UINT32)ERROR_STM_UNSUPPORTED_MSR_BIT:
    case (UINT32)ERROR_INVALID_API:
    case (UINT32)ERROR_INVALID_PARAMETER:
      Entry.VmcallApiNumber = Api;
      STM_EVENT (Processor, EvtLogInvalidParameterDetected, &Entry, sizeof (Entry));
      break;
    default:
      break;
  }
}

/**
  Answer the executive monitor and return to it.

  A processor that is activated by a call which does not initialize it goes back
  to the default treatment: a failed call leaves no STM active.

  A refused call leaves its record at once: whoever refuses it, the reader looks
  for the reason while the executive monitor still runs.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswer (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  )
{
  StmRing (Processor, StmRingApi, (UINT32)Processor->Interrupted.Rax, Status, VmRead (VMCS_GUEST_RIP), 0);
  if (Status != STM_SUCCESS) {
    StmRingFlush (Processor);
    LogRefusal (Processor, (UINT32)Processor->Interrupted.Rax, Status);
  }

  WriteAnswer (&Processor->Interrupted, Status);
  if (Processor->State == StmProcessorOff) {
    StmLeave (Processor);
  }

  return StmReturn (Processor);
}

/**
  Answer the SMI handler and let it continue.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Status     STM_SUCCESS or an error of StmStatusCode.h.

  @return What the entry code shall do.
**/
STM_ENTER
StmApiAnswerHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Status
  )
{
  LogRefusal (Processor, (UINT32)Processor->Handler.Rax, Status);
  WriteAnswer (&Processor->Handler, Status);
  return StmResumeHandler (Processor);
}
