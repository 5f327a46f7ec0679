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
// Bitmap.c traps these, Exit/Io.c says what they do.
//
#define EXEC_PORT_KEYBOARD_COMMAND  0x64
#define EXEC_PORT_FAST_RESET        0x92
#define EXEC_PORT_RESET_CONTROL     0xCF9

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
// HostState.c
//

/**
  Build the IDT that all processors share in VMX root operation.
**/
VOID
ExecBuildIdt (
  VOID
  );

/**
  Build a processor's GDT and TSS, and write the host-state area of the current
  VMCS.

  @param[in] Processor  Where its memory is.
**/
VOID
ExecWriteHostState (
  IN EXEC_PROCESSOR  *Processor
  );

//
// Memory.c
//

/**
  Build page tables for VMX root operation, and EPT without the hidden range.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecBuildMaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

/**
  Let the guest reach unbacked memory at a hidden address, until
  ExecHideUnbacked.

  @param[in] Parameters  Where the memory is.
  @param[in] Address     Guest-physical address.

  @retval TRUE   Done.
  @retval FALSE  The address is not hidden.
**/
BOOLEAN
ExecShowUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Address
  );

/**
  Take the hidden range from the guest again, and what it has written there.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecHideUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

//
// Bitmap.c
//

/**
  Fill the MSR bitmap and the I/O bitmaps.

  @param[in] Parameters  Where they are.
**/
VOID
ExecBuildBitmaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

//
// Vmcs.c
//

/**
  Make the guest VMCS current and write its controls and host state.

  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk               Done.
  @retval ExecControlsMissing  The processor lacks a control.
**/
EXEC_RESULT
ExecSetUpVmcs (
  IN OUT EXEC_PROCESSOR  *Processor
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

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk, ExecActivationFailed or ExecStmRefused.
**/
EXEC_RESULT
ExecStartStm (
  IN OUT EXEC_PROCESSOR  *Processor
  );

/**
  Stop the STM on this processor, if it is active.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk or ExecStmRefused.
**/
EXEC_RESULT
ExecStopStm (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// Enter.c
//

/**
  VMXON, and the STM if the firmware offers it.

  @param[in,out] Processor  State and Detail are set.

  @return ExecOk, or what failed; then VMX operation has been left again.
**/
EXEC_RESULT
ExecEnterRoot (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// ResetState.c
//

/**
  Write the state that INIT leaves to the current VMCS and to the registers that it
  does not hold.

  @param[out] Registers  The guest's.
**/
VOID
ExecWriteResetState (
  OUT VMX_REGISTERS  *Registers
  );

//
// Sleep.c
//

///
/// In the page of the waking routine: a loop of HLT, for guests in real mode.
///
#define EXEC_HALT_OFFSET  0xFF0

/**
  Be ready to come back, if that is wanted and this is S3. VMX operation has been
  left, the sleep has not begun.

  @param[in,out] Shared  Sleep, and where the waking routine goes.
  @param[in]     Value   What the guest writes to the control port.
**/
VOID
ExecPrepareReturn (
  IN OUT EXEC_PARAMETERS  *Shared,
  IN     UINT16           Value
  );

/**
  Put the waking routine into its page, for one processor, and behind it the code in
  which guests halt.

  @param[in,out] Shared     Where the page is; Waking is set.
  @param[in]     Processor  Who will wake.
  @param[in]     Entry      Where the routine ends.
**/
VOID
ExecPlaceRoutine (
  IN OUT EXEC_PARAMETERS  *Shared,
  IN     EXEC_PROCESSOR   *Processor,
  IN     UINT64           Entry
  );

/**
  At the wake: leave the FACS as the guest did.

  @param[in] Shared  Where it is.

  @return The guest's waking vector.
**/
UINT32
ExecRestoreVector (
  IN CONST EXEC_PARAMETERS  *Shared
  );

//
// Wake.c
//

/**
  Awake: where the bootstrap processor's waking routine ends. On our page tables and
  its exit stack. Does not return.
**/
VOID
EFIAPI
ExecWake (
  VOID
  );

//
// Leave.c
//

/**
  Tell the guest where we are.

  @param[in] Shared     Where the guest looks.
  @param[in] State      Of all processors.
  @param[in] StmActive  Whether the STM serves SMIs.
**/
VOID
ExecPublish (
  IN CONST EXEC_PARAMETERS  *Shared,
  IN EXEC_STATE             State,
  IN BOOLEAN                StmActive
  );

/**
  Clear CR4.VMXE, outside VMX operation.
**/
VOID
ExecDisableVmx (
  VOID
  );

/**
  Stop the STM and leave VMX operation.

  @param[in,out] Processor  State, StmActive and Detail are set.

  @return ExecOk or ExecStmRefused; in the latter case nothing has changed.
**/
EXEC_RESULT
ExecLeaveVmx (
  IN OUT EXEC_PROCESSOR  *Processor
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

/**
  Leave a guest that has no TSS, as the firmware, a task register whose selector it
  takes for none.

  @param[in] Processor  Where its GDT is.
**/
VOID
ExecParkTaskRegister (
  IN CONST EXEC_PROCESSOR  *Processor
  );

//
// Power.c
//

/**
  Leave VMX operation on all processors, because the platform is about to sleep or
  to be reset. The other processors halt; this one returns, in VMX root operation
  no longer.

  @param[in,out] Processor  This processor.
  @param[in]     Event      Name of what is about to happen, for the record.
**/
VOID
ExecLeaveEverywhere (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     CONST CHAR8     *Event
  );

/**
  Leave VMX operation and halt, if another processor has asked for it: the first
  thing that exits on INIT and SIPI do.

  @param[in,out] Processor  This processor.
**/
VOID
ExecLeaveIfAsked (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// Event.c
//

/**
  Give the guest an NMI that came while this processor was in VMX root operation:
  called by X64/Exit.nasm before it resumes the guest.

  @param[in,out] Context  NmiPending is cleared.
**/
VOID
EFIAPI
ExecDeliverNmi (
  IN OUT VMX_CONTEXT  *Context
  );

/**
  Let VM entry repeat an event whose delivery the current VM exit has interrupted
  ("Information for VM Exits That Occur During Event Delivery", 24.9.3 [25.9.3]).
**/
VOID
ExecRepeatEvent (
  VOID
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
