/** @file
  Handlers of VM exits, by file. Each takes the guest's registers and returns what
  the entry code shall do: ExecResumeGuest or ExecContinueNatively.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXIT_H_
#define EXIT_H_

#include "../Resident.h"

//
// Fatal.c
//

UINTN
EFIAPI
ExecExitTripleFault (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Hypercall.c
//

UINTN
EFIAPI
ExecExitVmcall (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Init.c
//

UINTN
EFIAPI
ExecExitInit (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitSipi (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Instruction.c
//

UINTN
EFIAPI
ExecExitCpuid (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitXsetbv (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitInvd (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitUndefined (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitControlRegister (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Io.c
//

UINTN
EFIAPI
ExecExitIo (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Memory.c
//

UINTN
EFIAPI
ExecExitEptViolation (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitMonitorTrap (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Msr.c
//

UINTN
EFIAPI
ExecExitMsr (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Smi.c
//

UINTN
EFIAPI
ExecExitSmi (
  IN OUT VMX_CONTEXT  *Context
  );

//
// StmRequest.c
//

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
  );

//
// TaskSwitch.c
//

UINTN
EFIAPI
ExecExitTaskSwitch (
  IN OUT VMX_CONTEXT  *Context
  );

#endif
