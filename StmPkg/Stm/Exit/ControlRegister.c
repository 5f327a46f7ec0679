/** @file
  Writes of the SMI handler to the bits of CR0 and CR4 that VMX operation fixes.
  The handler does not see them fixed; a plain SMI never comes here.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

#define EXCEPTION_GP  13

#define CR0_PE    BIT0
#define CR0_NE    BIT5
#define CR0_NW    BIT29
#define CR0_CD    BIT30
#define CR0_PG    BIT31
#define CR4_VMXE  BIT13

/**
  Value of a general-purpose register by its number in an exit qualification.

  @param[in] Registers  Registers of the handler.
  @param[in] Number     0 to 15, RSP is 4.

  @return The value.
**/
STATIC
UINT64
ReadRegister (
  IN CONST STM_REGISTERS  *Registers,
  IN UINT32               Number
  )
{
  switch (Number) {
    case 0:
      return Registers->Rax;
    case 1:
      return Registers->Rcx;
    case 2:
      return Registers->Rdx;
    case 3:
      return Registers->Rbx;
    case 4:
      return VmRead (VMCS_GUEST_RSP);
    case 5:
      return Registers->Rbp;
    case 6:
      return Registers->Rsi;
    case 7:
      return Registers->Rdi;
    default:
      return (&Registers->R8)[Number - 8];
  }
}

/**
  MOV to CR0 or CR4. Clearing CR0.NE is granted in the read shadow only. Leaving
  long mode, setting CR4.VMXE, which SMM under the default treatment does not
  allow either (DM-STM-08), NW without CD, or a bit of CR0 that VMX operation
  keeps 0 raises #GP(0).

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitControlRegister (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Qualification;
  UINT64  Value;
  UINT32  Register;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  Register      = VMX_CR_QUALIFICATION_NUMBER (Qualification);
  if (VMX_CR_QUALIFICATION_TYPE (Qualification) != VMX_CR_ACCESS_MOV_TO) {
    //
    // CLTS and LMSW touch none of the fixed bits that the handler may change.
    //
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  Value = ReadRegister (&Processor->Handler, VMX_CR_QUALIFICATION_REGISTER (Qualification));
  if ((Register == 0) && ((Value & ~AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED1)) == 0) &&
      ((Value & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG)) && ((Value & (CR0_NW | CR0_CD)) != CR0_NW))
  {
    VmWrite (VMCS_GUEST_CR0, Value | CR0_NE);
    VmWrite (VMCS_CR0_READ_SHADOW, Value);
  } else if ((Register == 4) && ((Value & CR4_VMXE) == 0)) {
    VmWrite (VMCS_GUEST_CR4, Value | Processor->HandlerCr4Fixed0);
    VmWrite (VMCS_CR4_READ_SHADOW, Value);
  } else {
    StmInjectException (EXCEPTION_GP, TRUE);
    return StmResumeHandler (Processor);
  }

  StmSkipInstruction ();
  return StmResumeHandler (Processor);
}
