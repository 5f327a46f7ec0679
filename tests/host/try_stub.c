/** @file
  What StmTryLib needs from the processor, for tests on the host: an IDTR, and
  SetJump and LongJump for the host's calling convention.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/StmTryLib.h>
#include "copy_stub.h"

#define TEST_CS  0x38

UINT8            AsmTryEntries[512];
IA32_DESCRIPTOR  TestIdtr;

VOID
EFIAPI
StmTryCaught (
  IN UINTN  Vector
  );

//
// The registers that a callee keeps, RSP of the caller and where to return to.
//
asm (
  ".globl SetJump\n"
  "SetJump:\n"
  "  movq %rbx, (%rdi)\n"
  "  movq %rbp, 8(%rdi)\n"
  "  movq %r12, 16(%rdi)\n"
  "  movq %r13, 24(%rdi)\n"
  "  movq %r14, 32(%rdi)\n"
  "  movq %r15, 40(%rdi)\n"
  "  leaq 8(%rsp), %rax\n"
  "  movq %rax, 48(%rdi)\n"
  "  movq (%rsp), %rax\n"
  "  movq %rax, 56(%rdi)\n"
  "  xorl %eax, %eax\n"
  "  ret\n"
  ".globl LongJump\n"
  "LongJump:\n"
  "  movq (%rdi), %rbx\n"
  "  movq 8(%rdi), %rbp\n"
  "  movq 16(%rdi), %r12\n"
  "  movq 24(%rdi), %r13\n"
  "  movq 32(%rdi), %r14\n"
  "  movq 40(%rdi), %r15\n"
  "  movq 48(%rdi), %rsp\n"
  "  movq %rsi, %rax\n"
  "  jmpq *56(%rdi)\n"
  );

VOID
EFIAPI
AsmReadIdtr (
  OUT IA32_DESCRIPTOR  *Idtr
  )
{
  *Idtr = TestIdtr;
}

VOID
EFIAPI
AsmWriteIdtr (
  IN CONST IA32_DESCRIPTOR  *Idtr
  )
{
  TestIdtr = *Idtr;
}

UINT16
EFIAPI
AsmReadCs (
  VOID
  )
{
  return TEST_CS;
}

///
/// What a routine of the test saw, and whether it is to fault.
///
typedef struct {
  UINT64    Fault;              ///< vector, or 0
  UINT64    Entered;
  UINT64    Finished;
  UINT8     Gates[256 * 16];    ///< the IDT during the try
} TEST_CONTEXT;

/**
  A routine that copies the IDT in force and faults if it is told to.

  @param[in,out] Context  TEST_CONTEXT.
**/
STATIC
VOID
EFIAPI
TestRoutine (
  IN OUT VOID  *Context
  )
{
  TEST_CONTEXT  *Test;

  Test = Context;
  Test->Entered++;
  CopyMem (Test->Gates, (VOID *)TestIdtr.Base, sizeof (Test->Gates));
  if (Test->Fault != 0) {
    StmTryCaught (Test->Fault);
  }

  Test->Finished++;
}

/**
  Try the routine.

  @param[in,out] Test  What it is to do and has seen.

  @return What StmTry returned.
**/
UINTN
TestTry (
  IN OUT TEST_CONTEXT  *Test
  )
{
  return StmTry (TestRoutine, Test);
}
