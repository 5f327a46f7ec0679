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
#include <Library/SynchronizationLib.h>
#include <Library/StmRecordLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#include "../Include/ExecutiveMonitor.h"

///
/// What exit handlers work on: lies at the top of a processor's exit stack, where
/// VM exits push the guest's registers. HOST_GS_BASE points to it.
///
struct VMX_CONTEXT {
  VMX_REGISTERS     Registers;
  EXEC_PROCESSOR    *Processor;
  UINT64            NmiPending;      ///< set by X64/Nmi.nasm: an NMI that belongs to the guest
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
/// Registers of the loader that the entry point saved: X64/Entry.nasm. A guest is
/// launched with them, as if the entry point had returned.
///
typedef struct {
  UINT64    Saved[8];
  UINT64    ReturnAddress;
} EXEC_FRAME;

///
/// Set by the first command; one resident part serves all processors.
///
extern EXEC_PARAMETERS  *gExecParameters;

///
/// Write a record, one processor at a time, so that lines stay whole. The crash
/// path does not: it takes no lock.
///
#define EXEC_RECORD(...)                                       \
  do {                                                         \
    ExecLock (&gExecParameters->RecordLock);                   \
    StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", __VA_ARGS__); \
    ExecUnlock (&gExecParameters->RecordLock);                 \
  } while (FALSE)

//
// X64/
//

/**
  Write guest RSP, RIP and RFLAGS, VMLAUNCH. If it succeeds the guest continues
  in the loader, and nothing returns here.

  @param[in] Frame  Registers of the loader.

  @return Outcome of the VMLAUNCH that failed.
**/
UINTN
EFIAPI
AsmLaunch (
  IN CONST EXEC_FRAME  *Frame
  );

/**
  VMLAUNCH with these registers. Does not return.

  @param[in] Registers  The guest's.
**/
VOID
EFIAPI
AsmLaunchWith (
  IN CONST VMX_REGISTERS  *Registers
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

/**
  Halt with interrupts off. Does not return: only INIT or a reset ends it.
**/
VOID
EFIAPI
AsmHalt (
  VOID
  );

/**
  Where an NMI in VMX root operation arrives: the gate of vector 2.
**/
VOID
EFIAPI
AsmNmi (
  VOID
  );

extern UINT8  AsmExceptionStubs[];

//
// Lock.c
//

/**
  Take a lock; waits for it.

  @param[in,out] Lock  0 if it is free.
**/
VOID
ExecLock (
  IN OUT volatile UINT32  *Lock
  );

/**
  Give a lock back.

  @param[in,out] Lock  Taken by ExecLock.
**/
VOID
ExecUnlock (
  IN OUT volatile UINT32  *Lock
  );

//
// Apic.c
//

/**
  Send an interprocessor interrupt.

  @param[in] Command  Bits 31:0 of the interrupt command register, whose shorthand
                      says who gets it: EXEC_IPI_*.
**/
VOID
ExecSendIpi (
  IN UINT32  Command
  );

/**
  Send an interprocessor interrupt to one processor. At a wake only, when the guest
  has not set up its local APIC yet: the whole interrupt command register is used.

  @param[in] ApicId   Whom.
  @param[in] Command  Bits 31:0 of the interrupt command register, without shorthand.
**/
VOID
ExecSendIpiTo (
  IN UINT32  ApicId,
  IN UINT32  Command
  );

#define EXEC_IPI_SELF_NMI     0x00044400
#define EXEC_IPI_OTHERS_INIT  0x000C4500
#define EXEC_IPI_OTHERS_SIPI  0x000C4600
#define EXEC_IPI_ONE_INIT     0x00004500
#define EXEC_IPI_ONE_SIPI     0x00004600       ///< and the page

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
