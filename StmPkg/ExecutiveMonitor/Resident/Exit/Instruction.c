/** @file
  VM exits for CPUID, XSETBV and INVD.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

#define VECTOR_GP  13

#define CPUID_ECX_VMX      BIT5
#define CPUID_ECX_OSXSAVE  BIT27
#define CPUID7_ECX_OSPKE   BIT4
#define CR4_OSXSAVE        BIT18
#define CR4_PKE            BIT22

#define XCR0_X87  BIT0
#define XCR0_SSE  BIT1
#define XCR0_AVX  BIT2

///
/// Components that can only be enabled together: MPX, AVX-512 (which also needs
/// AVX), AMX.
///
STATIC CONST UINT64  mXcr0Together[] = { BIT3 | BIT4, BIT5 | BIT6 | BIT7, BIT17 | BIT18 };

#define XCR0_AVX512  (BIT5 | BIT6 | BIT7)

/**
  Would the processor accept a value for XCR0 (SDM volume 1, "Enabling the XSAVE
  Feature Set and XSAVE-Enabled Features", 13.3)?

  @param[in] Value  New value.

  @retval TRUE   It would.
  @retval FALSE  #GP(0).
**/
STATIC
BOOLEAN
ExecXcr0Valid (
  IN UINT64  Value
  )
{
  UINT32  Eax;
  UINT32  Edx;
  UINT64  Part;
  UINTN   Index;

  AsmCpuidEx (CPUID_EXTENDED_STATE, 0, &Eax, NULL, NULL, &Edx);
  if (((Value & XCR0_X87) == 0) || ((Value & ~(LShiftU64 (Edx, 32) | Eax)) != 0)) {
    return FALSE;
  }

  for (Index = 0; Index < ARRAY_SIZE (mXcr0Together); Index++) {
    Part = Value & mXcr0Together[Index];
    if ((Part != 0) && (Part != mXcr0Together[Index])) {
      return FALSE;
    }
  }

  if (((Value & XCR0_AVX512) != 0) && ((Value & XCR0_AVX) == 0)) {
    return FALSE;
  }

  return (BOOLEAN)((Value & (XCR0_SSE | XCR0_AVX)) != XCR0_AVX);
}

/**
  CPUID: the processor's answer, without VMX.

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitCpuid (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  UINT32  Leaf;
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Ecx;
  UINT32  Edx;

  Leaf = (UINT32)Registers->Gpr[GPR_RAX];
  AsmCpuidEx (Leaf, (UINT32)Registers->Gpr[GPR_RCX], &Eax, &Ebx, &Ecx, &Edx);
  if (Leaf == CPUID_VERSION_INFO) {
    //
    // OSXSAVE mirrors CR4 of the context that executes CPUID: here ours.
    //
    Ecx &= ~(UINT32)(CPUID_ECX_VMX | CPUID_ECX_OSXSAVE);
    if ((VmRead (VMCS_GUEST_CR4) & CR4_OSXSAVE) != 0) {
      Ecx |= CPUID_ECX_OSXSAVE;
    }
  } else if ((Leaf == CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS) && ((UINT32)Registers->Gpr[GPR_RCX] == 0)) {
    Ecx &= ~(UINT32)CPUID7_ECX_OSPKE;
    if ((VmRead (VMCS_GUEST_CR4) & CR4_PKE) != 0) {
      Ecx |= CPUID7_ECX_OSPKE;
    }
  }

  Registers->Gpr[GPR_RAX] = Eax;
  Registers->Gpr[GPR_RBX] = Ebx;
  Registers->Gpr[GPR_RCX] = Ecx;
  Registers->Gpr[GPR_RDX] = Edx;
  ExecSkipInstruction ();
  return ExecResumeGuest;
}

/**
  XSETBV: carried out if the processor would accept it, else #GP(0). We run with
  the guest's XCR0 and use no extended state.

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitXsetbv (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  UINT64  Value;

  Value = LShiftU64 (Registers->Gpr[GPR_RDX], 32) | (UINT32)Registers->Gpr[GPR_RAX];
  if (((UINT32)Registers->Gpr[GPR_RCX] != 0) || !ExecXcr0Valid (Value)) {
    ExecInjectFault (VECTOR_GP, TRUE);
    return ExecResumeGuest;
  }

  AsmWriteCr4 (AsmReadCr4 () | CR4_OSXSAVE);
  AsmXSetBv (0, Value);
  ExecSkipInstruction ();
  return ExecResumeGuest;
}

/**
  INVD: write back first, since the caches also hold our data.

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitInvd (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  AsmWbinvd ();
  ExecSkipInstruction ();
  return ExecResumeGuest;
}
