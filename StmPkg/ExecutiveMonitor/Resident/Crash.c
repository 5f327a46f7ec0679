/** @file
  Crash path: one record to our own port, then a reset. No locks, nothing
  allocated.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

/**
  Write the crash record and reset the platform. Does not return.

  @param[in] Class          Name for the record.
  @param[in] Reason         Exit reason or exception vector.
  @param[in] Qualification  Exit qualification or error code.
  @param[in] Rip            RIP of the failing code.
  @param[in] Address        Guest-physical address or CR2.
**/
VOID
ExecCrash (
  IN CONST CHAR8  *Class,
  IN UINT64       Reason,
  IN UINT64       Qualification,
  IN UINT64       Rip,
  IN UINT64       Address
  )
{
  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "crash",
    "class=%a reason=0x%lx qual=0x%lx rip=0x%lx address=0x%lx",
    Class,
    Reason,
    Qualification,
    Rip,
    Address
    );
  VmxResetPlatform ();
}

/**
  Crash on behalf of the exit recorded in the current VMCS.

  @param[in] Class  Name for the record.
**/
VOID
ExecCrashFromVmcs (
  IN CONST CHAR8  *Class
  )
{
  ExecCrash (
    Class,
    VmRead (VMCS_EXIT_REASON),
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    VmRead (VMCS_GUEST_PHYSICAL_ADDRESS)
    );
}

/**
  VMRESUME failed. Does not return.
**/
VOID
EFIAPI
ExecResumeFailed (
  VOID
  )
{
  ExecCrash ("resume-failed", VmRead (VMCS_INSTRUCTION_ERROR), 0, VmRead (VMCS_GUEST_RIP), 0);
}

/**
  An exception in VMX root operation: called by X64/Exception.nasm. Does not
  return.

  @param[in] Frame  Vector, error code, interrupted state.
**/
VOID
EFIAPI
ExecException (
  IN CONST VMX_EXCEPTION_FRAME  *Frame
  )
{
  ExecCrash ("exception", Frame->Vector, Frame->ErrorCode, Frame->Rip, AsmReadCr2 ());
}
