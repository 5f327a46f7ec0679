/** @file
  A guest for the parts of the executive monitor that read and write its memory: a
  VMCS that is an array, 2 MB of guest-physical memory behind EPT of its own, of which
  the last page is hidden.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <setjmp.h>
#include "../../StmPkg/ExecutiveMonitor/Resident/Exit/Exit.h"
#include "../../StmPkg/ExecutiveMonitor/Resident/Guest.h"
#include "shift_stub.h"

#define FIELDS       0x8000
#define MEMORY_SIZE  SIZE_2MB
#define EPT_RWX      7

UINT64         TestVmcs[FIELDS];
UINT8          TestMemory[MEMORY_SIZE] __attribute__ ((aligned (SIZE_4KB)));
CONST CHAR8    *TestCrash;
UINT32         TestCr3Accepted;
STATIC UINT64  mEpt[4][512]        __attribute__ ((aligned (SIZE_4KB)));
STATIC UINT8   mUnbacked[SIZE_4KB] __attribute__ ((aligned (SIZE_4KB)));

STATIC EXEC_PARAMETERS  mParameters;
EXEC_PARAMETERS         *gExecParameters = &mParameters;
STATIC jmp_buf          mCrashed;

VOID
TestStart (
  VOID
  )
{
  UINTN  Index;

  __builtin_memset (TestVmcs, 0, sizeof (TestVmcs));
  __builtin_memset (TestMemory, 0, sizeof (TestMemory));
  __builtin_memset (mUnbacked, 0xFF, sizeof (mUnbacked));
  TestCrash                = NULL;
  TestCr3Accepted          = 1;
  mParameters.TableCount   = 1;
  mParameters.UnbackedPage = (UINTN)mUnbacked;
  mEpt[0][0]               = (UINTN)mEpt[1] | EPT_RWX;
  mEpt[1][0]               = (UINTN)mEpt[2] | EPT_RWX;
  mEpt[2][0]               = (UINTN)mEpt[3] | EPT_RWX;
  for (Index = 0; Index < 511; Index++) {
    mEpt[3][Index] = (UINTN)&TestMemory[Index * SIZE_4KB] | EPT_RWX;
  }

  TestVmcs[VMCS_EPT_POINTER] = (UINTN)mEpt[0] | EPT_POINTER_WALK_4 | EPT_MEMORY_TYPE_WB;
}

/**
  A task switch, to its end or to a crash.
**/
VOID
TestTaskSwitch (
  IN OUT VMX_REGISTERS  *Registers
  )
{
  VMX_CONTEXT  Context;

  Context.Registers = *Registers;
  if (setjmp (mCrashed) == 0) {
    ExecExitTaskSwitch (&Context);
  }

  *Registers = Context.Registers;
}

UINT64
EFIAPI
VmRead (
  IN UINT64  Field
  )
{
  return TestVmcs[Field % FIELDS];
}

BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Field,
  IN UINT64  Value
  )
{
  TestVmcs[Field % FIELDS] = Value;
  return TRUE;
}

VOID
ExecCrashFromVmcs (
  IN CONST CHAR8  *Class
  )
{
  TestCrash = Class;
  longjmp (mCrashed, 1);
}

VOID
ExecLock (
  IN OUT volatile UINT32  *Lock
  )
{
}

VOID
ExecUnlock (
  IN OUT volatile UINT32  *Lock
  )
{
}

VOID
EFIAPI
StmRecord (
  IN UINT16       Port,
  IN CONST CHAR8  *Source,
  IN CONST CHAR8  *Event,
  IN CONST CHAR8  *Format,
  ...
  )
{
}

VOID
ExecSettleBlocking (
  IN BOOLEAN  Iret,
  IN UINT64   Event
  )
{
}

BOOLEAN
EFIAPI
VmxLoadCr3 (
  IN UINT64            Value,
  IN VMX_GUEST_MEMORY  Memory  OPTIONAL
  )
{
  TestVmcs[VMCS_GUEST_CR3] = Value;
  return (BOOLEAN)TestCr3Accepted;
}

VOID
EFIAPI
VmxInjectSelectorFault (
  IN UINT8   Vector,
  IN UINT16  ErrorCode
  )
{
  TestVmcs[VMCS_ENTRY_INTERRUPTION_INFO]    = Vector;
  TestVmcs[VMCS_ENTRY_EXCEPTION_ERROR_CODE] = ErrorCode;
}
