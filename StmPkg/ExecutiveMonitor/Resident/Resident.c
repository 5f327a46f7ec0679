/** @file
  Commands of the loader: launch, enter VMX root operation, leave it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"
#include "Operation.h"

EXEC_PARAMETERS  *gExecParameters;

STATIC_ASSERT (OFFSET_OF (EXEC_FRAME, ReturnAddress) == 0x40, "X64/Layout.inc");
STATIC_ASSERT (sizeof (EXEC_PROCESSOR) <= SIZE_4KB, "first page of a processor");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Gdtr) == 0x00, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Idtr) == 0x10, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Cr3) == 0x20, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Cs) == 0x28, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Ss) == 0x30, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Ds) == 0x38, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Es) == 0x40, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Fs) == 0x48, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Gs) == 0x50, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Tr) == 0x58, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Ldtr) == 0x60, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, FsBase) == 0x68, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, GsBase) == 0x70, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Dr7) == 0x78, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Rip) == 0x80, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Rsp) == 0x88, "X64/Layout.inc");
STATIC_ASSERT (OFFSET_OF (EXEC_NATIVE_STATE, Rflags) == 0x90, "X64/Layout.inc");

/**
  Launch the caller as the guest. Returns only if that fails; then VMX operation
  has been left again.

  @param[in,out] Processor  State and Detail are set.
  @param[in]     Frame      Registers of the caller.

  @return What failed.
**/
STATIC
EXEC_RESULT
ExecLaunchGuest (
  IN OUT EXEC_PROCESSOR    *Processor,
  IN     CONST EXEC_FRAME  *Frame
  )
{
  EXEC_RESULT  Result;
  UINT64       Detail;

  Result = ExecSetUpVmcs (Processor);
  if (Result == ExecOk) {
    ExecWriteGuestState ();
    EXEC_RECORD ("launch", "cpu=%u vmcs=0x%lx", Processor->Number, Processor->GuestVmcs);
    Processor->State  = ExecStateGuest;
    Processor->Result = ExecOk;
    InterlockedIncrement (&Processor->Shared->Guests);
    AsmLaunch (Frame);

    InterlockedDecrement (&Processor->Shared->Guests);
    Processor->State  = ExecStateRoot;
    Processor->Detail = VmRead (VMCS_INSTRUCTION_ERROR);
    Result            = ExecLaunchFailed;
  }

  Detail = Processor->Detail;
  ExecLeaveVmx (Processor);
  Processor->Detail = Detail;
  return Result;
}

/**
  Carry out a command of the loader: called by the entry point. The processor that
  activates comes first, and prepares what all share.

  @param[in,out] Processor  The caller's block; Result and Detail are set.
  @param[in]     Command    What to do.
  @param[in]     Frame      Registers of the caller.

  @return Processor->Result.
**/
UINTN
EFIAPI
ExecMain (
  IN OUT EXEC_PROCESSOR    *Processor,
  IN     EXEC_COMMAND      Command,
  IN     CONST EXEC_FRAME  *Frame
  )
{
  gExecParameters   = Processor->Shared;
  Processor->Detail = 0;
  if (Processor->Activates && (Processor->State == ExecStateOff)) {
    ExecBuildMaps (gExecParameters);
    ExecBuildBitmaps (gExecParameters);
    ExecBuildIdt ();
    gExecParameters->WakeEntry = (UINT64)(UINTN)ExecWake;
  }

  switch (Command) {
    case ExecCommandEnterRoot:
      Processor->Result = ExecEnterRoot (Processor);
      break;

    case ExecCommandLaunch:
      Processor->Result = ExecLaunchGuest (Processor, Frame);
      break;

    case ExecCommandStart:
      Processor->Result = ExecEnterRoot (Processor);
      if (Processor->Result == ExecOk) {
        Processor->Result = ExecLaunchGuest (Processor, Frame);
      }

      break;

    case ExecCommandLeaveRoot:
      Processor->Result = ExecLeaveVmx (Processor);
      break;
  }

  return Processor->Result;
}
