/** @file
  Instructions that a guest of the executive monitor tries, and what each faults
  with. How a fault is caught is StmTryLib's: whoever else tries has routines of
  his own, so that these are here and not there.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef TRY_H_
#define TRY_H_

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/StmTryLib.h>
#include <Protocol/DebugSupport.h>

///
/// VMX and SMX instructions, in the order of Try.nasm.
///
typedef enum {
  TryVmxon,
  TryVmxoff,
  TryVmclear,
  TryVmptrld,
  TryVmptrst,
  TryVmread,
  TryVmwrite,
  TryVmlaunch,
  TryVmresume,
  TryInvept,
  TryInvvpid,
  TryGetsec,
  TryInvd,
  TryRdtscp,
  TryInstructionCount
} TRY_INSTRUCTION;

///
/// INS and OUTS, in the order of Try.nasm.
///
typedef enum {
  TryInsb,
  TryRepInsb,
  TryOutsb,
  TryRepOutsb,
  TryRepOutsbA32
} TRY_STRING_KIND;

///
/// Their operands; X64/Try.nasm knows the offsets.
///
typedef struct {
  UINT64    Kind;                 ///< 0x00: TRY_STRING_KIND
  UINT64    Port;                 ///< 0x08
  UINT64    Backward;             ///< 0x10: not 0 for DF = 1
  UINT64    Count;                ///< 0x18: RCX
  UINT64    Address;              ///< 0x20: RSI or RDI
} TRY_STRING;

///
/// Where the single-step trap behind CPUID was taken, and where it must be.
///
extern UINT64  gTryStepRip;
extern UINT64  gTryStepExpected;

/**
  Execute an instruction without operands of interest.

  @param[in] Instruction  Which.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryInstruction (
  IN TRY_INSTRUCTION  Instruction
  );

/**
  RDMSR.

  @param[in]  Index  MSR.
  @param[out] Value  Its contents, 0 after a fault.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryReadMsr (
  IN  UINT32  Index,
  OUT UINT64  *Value  OPTIONAL
  );

/**
  RDPMC.

  @param[in] Index  Counter.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryReadPmc (
  IN UINT32  Index
  );

/**
  INS or OUTS.

  @param[in,out] Operands  Count and Address change unless there is a fault.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryString (
  IN OUT TRY_STRING  *Operands
  );

/**
  WRMSR.

  @param[in] Index  MSR.
  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryWriteMsr (
  IN UINT32  Index,
  IN UINT64  Value
  );

/**
  MOV to CR0.

  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryWriteCr0 (
  IN UINT64  Value
  );

/**
  MOV to CR4.

  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryWriteCr4 (
  IN UINT64  Value
  );

/**
  XSETBV.

  @param[in] Index  Extended control register.
  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryXsetbv (
  IN UINT32  Index,
  IN UINT64  Value
  );

/**
  VMCALL.

  @param[in]  Number  For EAX.
  @param[in]  Rbx     For RBX.
  @param[out] Rax     RAX if there was no fault.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryVmcall (
  IN  UINT32  Number,
  IN  UINT64  Rbx,
  OUT UINT64  *Rax
  );

/**
  Step over CPUID with RFLAGS.TF set; gTryStepRip tells where the trap came.

  @return EXCEPT_IA32_DEBUG, or STM_TRY_DONE if no trap came.
**/
UINTN
TryStep (
  VOID
  );

#endif
