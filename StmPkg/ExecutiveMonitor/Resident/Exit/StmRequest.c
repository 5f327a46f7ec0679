/** @file
  Hypercalls by which the guest uses the STM's event log and gives its own domain a type
  (StmHypercall.h). The guest names no address: what it reads comes in RBX.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Operation.h"

/**
  Give the guest the outcome of a call of the STM.

  @param[in]     Processor  This processor.
  @param[in]     Result     The outcome.
  @param[in,out] Registers  The guest's.
**/
STATIC
VOID
Answer (
  IN     CONST EXEC_PROCESSOR  *Processor,
  IN     EXEC_RESULT           Result,
  IN OUT VMX_REGISTERS         *Registers
  )
{
  Registers->Rbx = (Result == ExecOk) ? 0 : Processor->Detail;
  Registers->Rax = (Result == ExecOk) ? EXEC_HYPERCALL_SUCCESS : EXEC_HYPERCALL_STM_REFUSED;
}

/**
  EXEC_HYPERCALL_LOG.

  @param[in,out] Processor  This processor.
  @param[in,out] Registers  The guest's.
**/
STATIC
VOID
AnswerLog (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN OUT VMX_REGISTERS   *Registers
  )
{
  UINT32  SubFunction;
  UINT32  Value;

  SubFunction = (UINT32)Registers->Rbx;
  Value       = (UINT32)RShiftU64 (Registers->Rbx, 32);
  if ((SubFunction == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) && (Value > EXEC_LOG_PAGES)) {
    Registers->Rbx = 0;
    Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
    return;
  }

  Answer (Processor, ExecManageLog (Processor, SubFunction, Value), Registers);
}

/**
  EXEC_HYPERCALL_LOG, EXEC_HYPERCALL_LOG_ENTRY, EXEC_HYPERCALL_LOG_BYTES and
  EXEC_HYPERCALL_DOMAIN.

  @param[in,out] Processor  This processor.
  @param[in,out] Registers  The guest's.
**/
VOID
ExecAnswerStmRequest (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN OUT VMX_REGISTERS   *Registers
  )
{
  CONST UINT8  *Copy;
  UINT64       Offset;

  Copy = (CONST UINT8 *)(UINTN)Processor->ResourceList;
  switch ((UINT32)Registers->Rax) {
    case EXEC_HYPERCALL_LOG:
      AnswerLog (Processor, Registers);
      break;
    case EXEC_HYPERCALL_LOG_ENTRY:
      Registers->Rax = ExecReadLog (Processor, Registers->Rbx);
      if (Registers->Rax == EXEC_HYPERCALL_SUCCESS) {
        Registers->Rbx = *(CONST UINT64 *)Copy;
      }

      break;
    case EXEC_HYPERCALL_LOG_BYTES:
      Offset         = Registers->Rbx;
      Registers->Rax = EXEC_HYPERCALL_BAD_INPUT;
      if ((Offset < STM_LOG_ENTRY_SIZE) && ((Offset % sizeof (UINT64)) == 0)) {
        Registers->Rbx = *(CONST UINT64 *)(Copy + Offset);
        Registers->Rax = EXEC_HYPERCALL_SUCCESS;
      }

      break;
    default:
      Answer (Processor, ExecManageDomain (Processor, Registers->Rbx), Registers);
      break;
  }
}
