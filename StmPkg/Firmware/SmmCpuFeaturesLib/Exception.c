/** @file
  The firmware's handler of protection exceptions: an SMI handler touched what the
  executive monitor protects, and the STM asks the firmware what is to be done.

  Nothing good can be. The instruction cannot be carried out, an SMI handler that goes on
  without its effect works on wrong data, and to execute it again would raise the next
  exception. So the handler says what was touched and gives up: the STM records
  STM_CRASH_BIOS_PANIC with the kind of violation and resets the platform.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Library/DebugLib.h>
#include <Library/StmRecordLib.h>
#include <StmRecord.h>

///
/// EBX of RETURN_FROM_PROTECTION_EXCEPTION for a kind of violation that StmApi.h does
/// not have.
///
#define PANIC_UNKNOWN  0x0F

///
/// In the order of TXT_SMM_PROTECTION_EXCEPTION_TYPE.
///
STATIC CONST CHAR8  *CONST  mKinds[] = { "?", "page", "msr", "register", "io", "pci" };

/**
  Tell what was touched, and give up. Called by SmiEntryException on the stack of
  exceptions.

  @param[in] Frame  State of the violation.

  @return EBX of RETURN_FROM_PROTECTION_EXCEPTION: the kind of violation, 1 to 5, or
          15 for one that StmApi.h does not have. Never 0, by which the instruction
          would be executed again.
**/
UINT32
EFIAPI
SmiProtectionException (
  IN CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  )
{
  UINT32  Kind;

  Kind = (UINT32)Frame->ErrorCode;
  if ((Kind < TxtSmmPageViolation) || (Kind > TxtSmmPciViolation)) {
    Kind = 0;
  }

  DEBUG ((
    DEBUG_ERROR,
    "%a: protection exception, %a violation at 0x%lx, qualification 0x%lx\n",
    gEfiCallerBaseName,
    mKinds[Kind],
    Frame->Rip,
    Frame->VmcsExitQualification
    ));
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "FW",
    "protection-exception",
    "kind=%a rip=0x%lx qual=0x%lx rcx=0x%lx",
    mKinds[Kind],
    Frame->Rip,
    Frame->VmcsExitQualification,
    Frame->Rcx
    );
  return (Kind == 0) ? PANIC_UNKNOWN : Kind;
}
