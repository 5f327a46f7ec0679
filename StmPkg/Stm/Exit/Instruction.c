/** @file
  Instructions of the SMI handler that always cause a VM exit: CPUID, INVD,
  XSETBV; and what all emulation needs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

#define EXCEPTION_GP  13

#define CPUID_1_ECX_OSXSAVE  BIT27
#define CPUID_7_ECX_OSPKE    BIT4
#define CR4_OSXSAVE          BIT18
#define CR4_PKE              BIT22

#define XCR0_X87      BIT0
#define XCR0_SSE      BIT1
#define XCR0_AVX      BIT2
#define XCR0_BNDREGS  BIT3
#define XCR0_BNDCSR   BIT4
#define XCR0_AVX512   (BIT5 | BIT6 | BIT7)
#define XCR0_TILE     (BIT17 | BIT18)

/**
  Step over the instruction that caused the current exit of the SMI handler.
**/
VOID
StmSkipInstruction (
  VOID
  )
{
  VmWrite (VMCS_GUEST_RIP, VmRead (VMCS_GUEST_RIP) + VmRead (VMCS_EXIT_INSTRUCTION_LENGTH));
  VmWrite (
    VMCS_GUEST_INTERRUPTIBILITY,
    VmRead (VMCS_GUEST_INTERRUPTIBILITY) & ~(UINT64)(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)
    );
}

/**
  Make the SMI handler take an exception with error code 0 or none.

  @param[in] Vector     Exception vector.
  @param[in] ErrorCode  TRUE if the exception pushes an error code.
**/
VOID
StmInjectException (
  IN UINT8    Vector,
  IN BOOLEAN  ErrorCode
  )
{
  VmWrite (
    VMCS_ENTRY_INTERRUPTION,
    VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_EXCEPTION | Vector | (ErrorCode ? VMX_INTERRUPTION_ERROR_CODE : 0)
    );
  VmWrite (VMCS_ENTRY_ERROR_CODE, 0);
}

/**
  CPUID of the SMI handler: what the processor says, except for the bits that
  mirror CR4, which here is the STM's.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitCpuid (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_REGISTERS  *Handler;
  UINT32         Leaf;
  UINT32         Eax;
  UINT32         Ebx;
  UINT32         Ecx;
  UINT32         Edx;

  Handler = &Processor->Handler;
  Leaf    = (UINT32)Handler->Rax;
  AsmCpuidEx (Leaf, (UINT32)Handler->Rcx, &Eax, &Ebx, &Ecx, &Edx);
  if (Leaf == 1) {
    Ecx &= ~(UINT32)CPUID_1_ECX_OSXSAVE;
    if ((VmRead (VMCS_GUEST_CR4) & CR4_OSXSAVE) != 0) {
      Ecx |= CPUID_1_ECX_OSXSAVE;
    }
  } else if ((Leaf == 7) && ((UINT32)Handler->Rcx == 0)) {
    Ecx &= ~(UINT32)CPUID_7_ECX_OSPKE;
    if ((VmRead (VMCS_GUEST_CR4) & CR4_PKE) != 0) {
      Ecx |= CPUID_7_ECX_OSPKE;
    }
  }

  Handler->Rax = Eax;
  Handler->Rbx = Ebx;
  Handler->Rcx = Ecx;
  Handler->Rdx = Edx;
  StmSkipInstruction ();
  return StmResumeHandler (Processor);
}

/**
  INVD of the SMI handler: dropping modified lines would drop the STM's too, so
  they are written back.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitInvd (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  AsmWbinvd ();
  StmSkipInstruction ();
  return StmResumeHandler (Processor);
}

/**
  Would XSETBV accept a value for XCR0? "XSETBV", SDM volume 2.

  @param[in] Value  The value.

  @retval TRUE   It would.
  @retval FALSE  It would raise #GP(0).
**/
STATIC
BOOLEAN
IsXcr0Valid (
  IN UINT64  Value
  )
{
  UINT32  Low;
  UINT32  High;

  AsmCpuidEx (0xD, 0, &Low, NULL, NULL, &High);
  if (((Value & ~(LShiftU64 (High, 32) | Low)) != 0) || ((Value & XCR0_X87) == 0)) {
    return FALSE;
  }

  if (((Value & XCR0_AVX) != 0) && ((Value & XCR0_SSE) == 0)) {
    return FALSE;
  }

  if (((Value & XCR0_BNDREGS) != 0) != ((Value & XCR0_BNDCSR) != 0)) {
    return FALSE;
  }

  if (((Value & XCR0_AVX512) != 0) &&
      (((Value & XCR0_AVX512) != XCR0_AVX512) || ((Value & XCR0_AVX) == 0)))
  {
    return FALSE;
  }

  return (BOOLEAN)(((Value & XCR0_TILE) == 0) || ((Value & XCR0_TILE) == XCR0_TILE));
}

/**
  XSETBV of the SMI handler. XCR0 belongs to no VMCS, so the interrupted value is
  kept and comes back at RSM.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitXsetbv (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Value;

  Value = LShiftU64 ((UINT32)Processor->Handler.Rdx, 32) | (UINT32)Processor->Handler.Rax;
  if (((UINT32)Processor->Handler.Rcx != 0) || !IsXcr0Valid (Value)) {
    StmInjectException (EXCEPTION_GP, TRUE);
    return StmResumeHandler (Processor);
  }

  if (!Processor->RestoreXcr0) {
    Processor->Xcr0        = AsmReadXcr0 ();
    Processor->RestoreXcr0 = TRUE;
  }

  AsmWriteXcr0 (Value);
  StmSkipInstruction ();
  return StmResumeHandler (Processor);
}
