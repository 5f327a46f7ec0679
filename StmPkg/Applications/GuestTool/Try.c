/** @file
  Instructions that may fault, as routines for StmTry.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Try.h"

///
/// Operands and result of a routine; X64/Try.nasm knows the offsets.
///
typedef struct {
  UINT64    Number;               ///< 0x00: instruction, register, or EAX of VMCALL
  UINT64    Value;                ///< 0x08: new contents, or RBX of VMCALL
  UINT64    Result;               ///< 0x10: RAX of VMCALL
} TRY_OPERANDS;

//
// Routines and an interrupt entry of X64/Try.nasm.
//
VOID
EFIAPI
AsmRunInstruction (
  IN OUT VOID  *Operands
  );

VOID
EFIAPI
AsmRunVmcall (
  IN OUT VOID  *Operands
  );

VOID
EFIAPI
AsmRunString (
  IN OUT VOID  *Operands
  );

VOID
EFIAPI
AsmRunStep (
  VOID
  );

VOID
EFIAPI
AsmStepped (
  VOID
  );

/**
  RDMSR.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunReadMsr (
  IN OUT VOID  *Context
  )
{
  ((TRY_OPERANDS *)Context)->Result = AsmReadMsr64 ((UINT32)((TRY_OPERANDS *)Context)->Number);
}

/**
  RDPMC.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunReadPmc (
  IN OUT VOID  *Context
  )
{
  ((TRY_OPERANDS *)Context)->Result = AsmReadPmc ((UINT32)((TRY_OPERANDS *)Context)->Number);
}

/**
  WRMSR.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunWriteMsr (
  IN OUT VOID  *Context
  )
{
  AsmWriteMsr64 ((UINT32)((TRY_OPERANDS *)Context)->Number, ((TRY_OPERANDS *)Context)->Value);
}

/**
  MOV to CR0.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunWriteCr0 (
  IN OUT VOID  *Context
  )
{
  AsmWriteCr0 ((UINTN)((TRY_OPERANDS *)Context)->Value);
}

/**
  MOV to CR4.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunWriteCr4 (
  IN OUT VOID  *Context
  )
{
  AsmWriteCr4 ((UINTN)((TRY_OPERANDS *)Context)->Value);
}

/**
  XSETBV.

  @param[in,out] Context  TRY_OPERANDS.
**/
STATIC
VOID
EFIAPI
RunXsetbv (
  IN OUT VOID  *Context
  )
{
  AsmXSetBv ((UINT32)((TRY_OPERANDS *)Context)->Number, ((TRY_OPERANDS *)Context)->Value);
}

/**
  Try a routine with operands.

  @param[in] Routine  Which.
  @param[in] Number   First operand.
  @param[in] Value    Second operand.

  @return Vector of the fault, or STM_TRY_DONE.
**/
STATIC
UINTN
TryWithOperands (
  IN STM_TRY_ROUTINE  Routine,
  IN UINT64           Number,
  IN UINT64           Value
  )
{
  TRY_OPERANDS  Operands;

  Operands.Number = Number;
  Operands.Value  = Value;
  Operands.Result = 0;
  return StmTry (Routine, &Operands);
}

/**
  Execute an instruction without operands of interest.

  @param[in] Instruction  Which.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryInstruction (
  IN TRY_INSTRUCTION  Instruction
  )
{
  return TryWithOperands (AsmRunInstruction, Instruction, 0);
}

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
  )
{
  TRY_OPERANDS  Operands;
  UINTN         Vector;

  Operands.Number = Index;
  Operands.Value  = 0;
  Operands.Result = 0;
  Vector          = StmTry (RunReadMsr, &Operands);
  if (Value != NULL) {
    *Value = Operands.Result;
  }

  return Vector;
}

/**
  RDPMC.

  @param[in] Index  Counter.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryReadPmc (
  IN UINT32  Index
  )
{
  return TryWithOperands (RunReadPmc, Index, 0);
}

/**
  INS or OUTS.

  @param[in,out] Operands  Count and Address change unless there is a fault.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryString (
  IN OUT TRY_STRING  *Operands
  )
{
  return StmTry (AsmRunString, Operands);
}

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
  )
{
  return TryWithOperands (RunWriteMsr, Index, Value);
}

/**
  MOV to CR0.

  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryWriteCr0 (
  IN UINT64  Value
  )
{
  return TryWithOperands (RunWriteCr0, 0, Value);
}

/**
  MOV to CR4.

  @param[in] Value  New contents.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
TryWriteCr4 (
  IN UINT64  Value
  )
{
  return TryWithOperands (RunWriteCr4, 0, Value);
}

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
  )
{
  return TryWithOperands (RunXsetbv, Index, Value);
}

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
  )
{
  TRY_OPERANDS  Operands;
  UINTN         Vector;

  Operands.Number = Number;
  Operands.Value  = Rbx;
  Vector          = StmTry (AsmRunVmcall, &Operands);
  if (Vector == STM_TRY_DONE) {
    *Rax = Operands.Result;
  }

  return Vector;
}

/**
  Step over CPUID with RFLAGS.TF set; gTryStepRip tells where the trap came.

  @return EXCEPT_IA32_DEBUG, or STM_TRY_DONE if no trap came.
**/
UINTN
TryStep (
  VOID
  )
{
  //
  // Not a fault to be left but a trap to return from.
  //
  StmIdtSetGate (EXCEPT_IA32_DEBUG, AsmStepped);
  gTryStepRip = 0;
  AsmRunStep ();
  return (gTryStepRip != 0) ? EXCEPT_IA32_DEBUG : STM_TRY_DONE;
}
