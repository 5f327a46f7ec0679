/** @file
  Instructions that may fault, tried with the fault caught.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef TRY_H_
#define TRY_H_

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>

#define VECTOR_NONE  0            ///< no fault; #DE is never caught
#define VECTOR_DB    1
#define VECTOR_UD    6
#define VECTOR_GP    13

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
/// Where the single-step trap behind CPUID was taken, and where it must be.
///
extern UINT64  gTryStepRip;
extern UINT64  gTryStepExpected;

/**
  Load an IDT whose #DB, #UD and #GP lead to the instruction behind the try.
  Interrupts off.

  @param[out] Firmware  The firmware's IDTR, to be loaded again.
**/
VOID
TryBegin (
  OUT IA32_DESCRIPTOR  *Firmware
  );

/**
  Execute an instruction without operands of interest.

  @param[in] Instruction  Which.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryInstruction (
  IN TRY_INSTRUCTION  Instruction
  );

/**
  RDMSR.

  @param[in]  Index  MSR.
  @param[out] Value  Contents if there was no fault.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryReadMsr (
  IN  UINT32  Index,
  OUT UINT64  *Value
  );

/**
  WRMSR.

  @param[in] Index  MSR.
  @param[in] Value  New contents.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryWriteMsr (
  IN UINT32  Index,
  IN UINT64  Value
  );

/**
  MOV to CR0.

  @param[in] Value  New contents.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryWriteCr0 (
  IN UINT64  Value
  );

/**
  MOV to CR4.

  @param[in] Value  New contents.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryWriteCr4 (
  IN UINT64  Value
  );

/**
  XSETBV.

  @param[in] Index  Extended control register.
  @param[in] Value  New contents.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryXsetbv (
  IN UINT32  Index,
  IN UINT64  Value
  );

/**
  VMCALL.

  @param[in]  Number  For EAX.
  @param[in]  Rbx     For RBX.
  @param[out] Rax     RAX if there was no fault.

  @return Vector of the fault, or VECTOR_NONE.
**/
UINTN
EFIAPI
AsmTryVmcall (
  IN  UINT32  Number,
  IN  UINT64  Rbx,
  OUT UINT64  *Rax
  );

/**
  Step over CPUID with RFLAGS.TF set; gTryStepRip tells where the trap came.

  @return VECTOR_DB, or VECTOR_NONE if no trap came.
**/
UINTN
EFIAPI
AsmTryStep (
  VOID
  );

/**
  Interrupt entries for #DB, #UD and #GP.
**/
VOID
EFIAPI
AsmTryDebug (
  VOID
  );

VOID
EFIAPI
AsmTryUndefined (
  VOID
  );

VOID
EFIAPI
AsmTryProtection (
  VOID
  );

#endif
