/** @file
  Commands of the loader: launch, enter VMX root operation, leave it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

EXEC_PARAMETERS  *gExecParameters;

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
  Set the bits that VMX operation fixes in CR0 and CR4, and CR4.VMXE
  (SDM "Restrictions on VMX Operation", 23.8 [24.8]).
**/
STATIC
VOID
ExecEnableVmx (
  VOID
  )
{
  AsmWriteCr0 (AsmReadCr0 () | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0));
  AsmWriteCr4 (AsmReadCr4 () | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
}

/**
  VMXON, and the STM if the firmware offers it.

  @param[in,out] Parameters  State and Detail are set.

  @return ExecOk, or what failed; then VMX operation has been left again.
**/
STATIC
EXEC_RESULT
ExecEnterRoot (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  UINT32       Revision;
  VMX_RESULT   Vmx;
  EXEC_RESULT  Result;
  UINT64       Detail;

  Revision                                     = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  *(UINT32 *)(UINTN)Parameters->VmxonRegion    = Revision;
  *(UINT32 *)(UINTN)Parameters->ActivationVmcs = Revision;
  *(UINT32 *)(UINTN)Parameters->GuestVmcs      = Revision;

  ExecEnableVmx ();
  Vmx = AsmVmxOn (Parameters->VmxonRegion);
  if (Vmx != VmxSucceed) {
    Parameters->Detail = Vmx;
    ExecDisableVmx ();
    return ExecVmxonFailed;
  }

  Parameters->State = ExecStateRoot;
  StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "vmxon", "region=0x%lx", Parameters->VmxonRegion);

  Result = ExecStartStm (Parameters);
  if (Result != ExecOk) {
    Detail = Parameters->Detail;
    ExecLeaveVmx (Parameters);
    Parameters->Detail = Detail;
  }

  return Result;
}

/**
  Launch the caller as the guest.

  @param[in,out] Parameters  State and Detail are set.

  @retval ExecOk  The caller is now the guest.
  @return What failed; then VMX operation has been left again.
**/
STATIC
EXEC_RESULT
ExecLaunchGuest (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  EXEC_RESULT  Result;
  UINT64       Detail;
  UINT64       Error;

  Result = ExecSetUpVmcs (Parameters);
  if (Result == ExecOk) {
    ExecWriteGuestState ();
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "launch", "vmcs=0x%lx", Parameters->GuestVmcs);
    Parameters->State = ExecStateGuest;
    if (AsmLaunch () == VmxSucceed) {
      return ExecOk;
    }

    Error              = VmRead (VMCS_INSTRUCTION_ERROR);
    Parameters->State  = ExecStateRoot;
    Parameters->Detail = Error;
    Result             = ExecLaunchFailed;
  }

  Detail = Parameters->Detail;
  ExecLeaveVmx (Parameters);
  Parameters->Detail = Detail;
  return Result;
}

/**
  Carry out a command of the loader.

  @param[in,out] Parameters  Command in, result out.

  @return Parameters->Result.
**/
UINTN
EFIAPI
ExecMain (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  gExecParameters    = Parameters;
  Parameters->Detail = 0;

  switch (Parameters->Command) {
    case ExecCommandLaunch:
    case ExecCommandEnterRoot:
      ExecBuildHostState (Parameters);
      ZeroMem (Parameters->ExitCount, sizeof (Parameters->ExitCount));
      Parameters->Result = ExecEnterRoot (Parameters);
      if ((Parameters->Result == ExecOk) && (Parameters->Command == ExecCommandLaunch)) {
        Parameters->Result = ExecLaunchGuest (Parameters);
      }

      break;

    case ExecCommandLeaveRoot:
      Parameters->Result = ExecLeaveVmx (Parameters);
      break;
  }

  return Parameters->Result;
}
