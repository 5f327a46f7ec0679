/** @file
  VM exits for accesses to CR0 and CR4: only the bits that VMX operation fixes
  are ours.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../Resident.h"

#define VECTOR_GP  13
#define CR0_PG     BIT31
#define CR0_PE     BIT0
#define CR0_NW     BIT29
#define CR0_CD     BIT30
#define CR4_VMXE   BIT13

/**
  A guest writes CR0. Without unrestricted guest it cannot leave paged protected
  mode; NE is shown as the guest wrote it and stays 1.

  @param[in] Value  New value.

  @retval TRUE   Done.
  @retval FALSE  #GP(0).
**/
STATIC
BOOLEAN
ExecWriteCr0 (
  IN UINT64  Value
  )
{
  if (((Value & (CR0_PG | CR0_PE)) != (CR0_PG | CR0_PE)) ||
      ((Value & (CR0_NW | CR0_CD)) == CR0_NW) ||
      ((Value & ~AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED1)) != 0))
  {
    return FALSE;
  }

  VmWrite (VMCS_CR0_READ_SHADOW, Value);
  VmWrite (VMCS_GUEST_CR0, Value | AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0));
  return TRUE;
}

/**
  A guest writes CR4. CPUID hides VMX, so VMXE is a reserved bit.

  @param[in] Value  New value.

  @retval TRUE   Done.
  @retval FALSE  #GP(0).
**/
STATIC
BOOLEAN
ExecWriteCr4 (
  IN UINT64  Value
  )
{
  if (((Value & CR4_VMXE) != 0) || ((Value & ~AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED1)) != 0)) {
    return FALSE;
  }

  VmWrite (VMCS_CR4_READ_SHADOW, Value);
  VmWrite (VMCS_GUEST_CR4, Value | AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
  return TRUE;
}

/**
  MOV to CR0 or CR4, CLTS, LMSW.

  @param[in,out] Registers  The guest's.

  @retval ExecResumeGuest  Always.
**/
EXEC_ACTION
ExecExitControlRegister (
  IN OUT EXEC_REGISTERS  *Registers
  )
{
  UINT64   Qualification;
  UINT32   Number;
  UINT64   Value;
  BOOLEAN  Done;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  if (VMX_CR_QUALIFICATION_TYPE (Qualification) != VMX_CR_ACCESS_MOV_TO) {
    //
    // LMSW can clear neither PE nor PG, and TS is the guest's own: no such exit
    // is possible with our masks.
    //
    ExecCrashFromVmcs ("unexpected-exit");
  }

  Number = VMX_CR_QUALIFICATION_REGISTER (Qualification);
  Value  = (Number == GPR_RSP) ? VmRead (VMCS_GUEST_RSP) : Registers->Gpr[Number];
  Done   = (VMX_CR_QUALIFICATION_NUMBER (Qualification) == 0) ? ExecWriteCr0 (Value) : ExecWriteCr4 (Value);
  if (Done) {
    ExecSkipInstruction ();
  } else {
    ExecInjectFault (VECTOR_GP, TRUE);
  }

  return ExecResumeGuest;
}
