/** @file
  What the parts of the resident executive monitor share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef RESIDENT_H_
#define RESIDENT_H_

#include <Base.h>
#include <Uefi/UefiBaseType.h>
#include <Protocol/DebugSupport.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Intel/StmApi.h>
#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/StmRecordLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#include "../Include/ExecutiveMonitor.h"

///
/// What exit handlers work on: lies at the top of the exit stack, where VM exits
/// push the guest's registers.
///
struct VMX_CONTEXT {
  VMX_REGISTERS    Registers;
};

///
/// What the entry code does after an exit handler, which returns it as UINTN.
///
enum {
  ExecResumeGuest,
  ExecContinueNatively          ///< VMX operation has been left; X64/Leave.nasm
};

///
/// State with which the guest continues natively; offsets in X64/Layout.inc.
///
typedef struct {
  IA32_DESCRIPTOR    Gdtr;
  UINT8              Reserved1[6];
  IA32_DESCRIPTOR    Idtr;
  UINT8              Reserved2[6];
  UINT64             Cr3;
  UINT64             Cs;
  UINT64             Ss;
  UINT64             Ds;
  UINT64             Es;
  UINT64             Fs;
  UINT64             Gs;
  UINT64             Tr;
  UINT64             Ldtr;
  UINT64             FsBase;
  UINT64             GsBase;
  UINT64             Dr7;
  UINT64             Rip;
  UINT64             Rsp;
  UINT64             Rflags;
  UINT64             Cr0;                 ///< as the guest sees it
  UINT64             Cr4;                 ///< likewise
  UINT64             SysenterCs;
  UINT64             SysenterEsp;
  UINT64             SysenterEip;
  UINT64             Pat;
  UINT64             Efer;
  UINT64             DebugCtl;
} EXEC_NATIVE_STATE;

///
/// The loader's block; one processor is supported.
///
extern EXEC_PARAMETERS  *gExecParameters;

//
// X64/
//

/**
  Save the callee-saved registers, write guest RSP and RIP, VMLAUNCH.

  @return VmxSucceed in the guest; the outcome of VMLAUNCH in the caller.
**/
UINTN
EFIAPI
AsmLaunch (
  VOID
  );

/**
  Where VM exits arrive: HOST_RIP.
**/
VOID
EFIAPI
AsmVmExit (
  VOID
  );

/**
  Go on natively with a guest's state.

  @param[in] State      Segments, tables, RIP, RSP, RFLAGS.
  @param[in] Registers  General-purpose registers.
**/
VOID
EFIAPI
AsmContinueNatively (
  IN CONST EXEC_NATIVE_STATE  *State,
  IN CONST VMX_REGISTERS      *Registers
  );

extern UINT8  AsmExceptionStubs[];

//
// HostState.c
//

/**
  Build page tables, GDT, TSS and IDT for VMX root operation.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecBuildHostState (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

/**
  Write the host-state area of the current VMCS.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecWriteHostState (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

//
// Vmcs.c
//

/**
  Make the guest VMCS current and write its controls and host state.

  @param[in,out] Parameters  Detail is set on failure.

  @retval ExecOk               Done.
  @retval ExecControlsMissing  The processor lacks a control.
**/
EXEC_RESULT
ExecSetUpVmcs (
  IN OUT EXEC_PARAMETERS  *Parameters
  );

//
// GuestState.c
//

/**
  Write the present state of the processor to the guest-state area of the
  current VMCS, except RIP, RSP and RFLAGS.
**/
VOID
ExecWriteGuestState (
  VOID
  );

//
// StmClient.c
//

/**
  Activate and start the STM on this processor.

  @param[in,out] Parameters  StmActive and Detail are set.

  @return ExecOk, ExecActivationFailed or ExecStmRefused.
**/
EXEC_RESULT
ExecStartStm (
  IN OUT EXEC_PARAMETERS  *Parameters
  );

/**
  Stop the STM on this processor, if it is active.

  @param[in,out] Parameters  StmActive and Detail are set.

  @return ExecOk or ExecStmRefused.
**/
EXEC_RESULT
ExecStopStm (
  IN OUT EXEC_PARAMETERS  *Parameters
  );

//
// Leave.c
//

/**
  Clear CR4.VMXE, outside VMX operation.
**/
VOID
ExecDisableVmx (
  VOID
  );

/**
  Stop the STM and leave VMX operation.

  @param[in,out] Parameters  State, StmActive and Detail are set.

  @return ExecOk or ExecStmRefused; in the latter case nothing has changed.
**/
EXEC_RESULT
ExecLeaveVmx (
  IN OUT EXEC_PARAMETERS  *Parameters
  );

/**
  Read from the current VMCS the state with which the guest continues natively.

  @param[out] State  Everything but general-purpose registers.
**/
VOID
ExecReadNativeState (
  OUT EXEC_NATIVE_STATE  *State
  );

/**
  Write the MSRs with which the guest continues natively.

  @param[in] State  From ExecReadNativeState.
**/
VOID
ExecWriteNativeMsrs (
  IN CONST EXEC_NATIVE_STATE  *State
  );

//
// Exit/
//

UINTN
EFIAPI
ExecExitSmi (
  IN OUT VMX_CONTEXT  *Context
  );

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

UINTN
EFIAPI
ExecExitMsr (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitVmcall (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitEptViolation (
  IN OUT VMX_CONTEXT  *Context
  );

UINTN
EFIAPI
ExecExitTripleFault (
  IN OUT VMX_CONTEXT  *Context
  );

//
// Crash.c
//

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
  );

/**
  Crash on behalf of the exit recorded in the current VMCS.

  @param[in] Class  Name for the record.
**/
VOID
ExecCrashFromVmcs (
  IN CONST CHAR8  *Class
  );

#endif
