/** @file
  VM exits for instructions that the executive monitor carries out for its guest,
  or refuses because they do not exist without VMX or SMX.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Guest.h"

/**
  CPUID: the processor's answer, without VMX.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitCpuid (
  IN OUT VMX_CONTEXT  *Context
  )
{
  CPUID_VERSION_INFO_ECX  Version;
  UINT32                  Leaf;

  Leaf = (UINT32)Context->Registers.Rax;
  VmxEmulateCpuid (&Context->Registers);
  if (Leaf == CPUID_VERSION_INFO) {
    Version.Uint32         = (UINT32)Context->Registers.Rcx;
    Version.Bits.VMX       = 0;
    Context->Registers.Rcx = Version.Uint32;
  }

  return ExecResumeGuest;
}

/**
  XSETBV: carried out if the processor would accept it, else #GP(0). We run with
  the guest's XCR0 and use no extended state.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitXsetbv (
  IN OUT VMX_CONTEXT  *Context
  )
{
  IA32_CR4  Cr4;
  UINT64    Value;

  if (!VmxCheckXsetbv (&Context->Registers, &Value)) {
    return ExecResumeGuest;
  }

  Cr4.UintN        = AsmReadCr4 ();
  Cr4.Bits.OSXSAVE = 1;
  AsmWriteCr4 (Cr4.UintN);
  AsmXSetBv (0, Value);
  VmxSkipInstruction ();
  return ExecResumeGuest;
}

/**
  INVD: write back first, since the caches also hold our data.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitInvd (
  IN OUT VMX_CONTEXT  *Context
  )
{
  VmxEmulateInvd ();
  return ExecResumeGuest;
}

/**
  Accesses to control registers.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitControlRegister (
  IN OUT VMX_CONTEXT  *Context
  )
{
  if (!VmxEmulateControlRegister (&Context->Registers, ExecGuestMemory)) {
    ExecCrashFromVmcs ("unexpected-exit");
  }

  return ExecResumeGuest;
}

/**
  VM exits for instructions that do not exist without VMX or SMX: #UD.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitUndefined (
  IN OUT VMX_CONTEXT  *Context
  )
{
  VmxInjectException (EXCEPT_IA32_INVALID_OPCODE);
  return ExecResumeGuest;
}
