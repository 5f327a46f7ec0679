/** @file
  Accesses of the SMI handler to control registers, as far as they cause VM exits. A plain
  SMI causes none.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"
#include "State/State.h"

///
/// MOV to CR3 with CR4.PCIDE = 1: keep the TLB's entries. The bit is not stored.
///
#define CR3_NO_INVALIDATION  BIT63

#define CR0_PE    BIT0
#define CR0_TS    BIT3
#define CR0_PG    BIT31
#define CR0_LMSW  0xF    ///< what LMSW writes

#define CR8_PRIORITY  0xF

/**
  The number that a descriptor has for a control register.

  @param[in] Qualification  Exit qualification.

  @return STM_REGISTER_VIOLATION_TYPE.
**/
STATIC
UINT32
TypeOf (
  IN UINT64  Qualification
  )
{
  switch (VMX_CR_QUALIFICATION_NUMBER (Qualification)) {
    case 0:
      return StmRegisterCr0;
    case 3:
      return StmRegisterCr3;
    case 4:
      return StmRegisterCr4;
    default:
      return StmRegisterCr8;
  }
}

/**
  Outside 64-bit mode, a MOV to a control register has 32 bits of its operand, and what the
  upper half of the register holds is undefined.

  @param[in,out] Processor      This processor, the SMM-guest VMCS current.
  @param[in]     Qualification  Exit qualification.
**/
STATIC
VOID
DropUpperHalf (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Qualification
  )
{
  UINT32  Number;

  Number = VMX_CR_QUALIFICATION_REGISTER (Qualification);
  if (((VmRead (VMCS_GUEST_CS_ACCESS_RIGHTS) & VMX_ACCESS_LONG) == 0) &&
      (VMX_CR_QUALIFICATION_TYPE (Qualification) == VMX_CR_ACCESS_MOV_TO))
  {
    VmxWriteRegister (&Processor->Handler, Number, (UINT32)VmxReadRegister (&Processor->Handler, Number));
  }
}

/**
  Which bits of the register an instruction of the SMI handler would change.

  @param[in] Processor      This processor, the SMM-guest VMCS current.
  @param[in] Qualification  Exit qualification, not of a MOV from a register.

  @return The bits.
**/
STATIC
UINT64
Changed (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Qualification
  )
{
  UINT64  Value;

  switch (VMX_CR_QUALIFICATION_TYPE (Qualification)) {
    case VMX_CR_ACCESS_CLTS:
      return VmRead (VMCS_GUEST_CR0) & CR0_TS;
    case VMX_CR_ACCESS_LMSW:
      return (VMX_CR_QUALIFICATION_LMSW_DATA (Qualification) ^ VmRead (VMCS_GUEST_CR0)) & CR0_LMSW;
    default:
      Value = VmxReadRegister (&Processor->Handler, VMX_CR_QUALIFICATION_REGISTER (Qualification));
      break;
  }

  switch (VMX_CR_QUALIFICATION_NUMBER (Qualification)) {
    case 0:
      return Value ^ VmRead (VMCS_CR0_READ_SHADOW);
    case 3:
      return (Value & ~(UINT64)CR3_NO_INVALIDATION) ^ VmRead (VMCS_GUEST_CR3);
    case 4:
      return Value ^ VmRead (VMCS_CR4_READ_SHADOW);
    default:
      return Value ^ AsmReadCr8 ();
  }
}

/**
  Does the executive monitor protect what the SMI handler is about to do with a control
  register?

  @param[in]  Processor  This processor, the SMM-guest VMCS current at the VM exit.
  @param[out] Resource   A descriptor of it.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
FindViolation (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT STM_RSC              *Resource
  )
{
  STM_REGISTER_VIOLATION_DESC  *Register;
  UINT64                       Qualification;
  UINT32                       Type;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  Type          = TypeOf (Qualification);
  ZeroMem (Resource, sizeof (*Resource));
  Register               = &Resource->RegisterViolation;
  Register->Hdr.RscType  = REGISTER_VIOLATION;
  Register->Hdr.Length   = sizeof (*Register);
  Register->RegisterType = Type;
  if (VMX_CR_QUALIFICATION_TYPE (Qualification) == VMX_CR_ACCESS_MOV_FROM) {
    Register->ReadMask = StmBitProtection (Processor, StmSpaceRegister, STM_REGISTER_PLACE (Type, 0), STM_ACCESS_READ);
  } else {
    Register->WriteMask  = StmBitProtection (Processor, StmSpaceRegister, STM_REGISTER_PLACE (Type, 0), STM_ACCESS_WRITE);
    Register->WriteMask &= Changed (Processor, Qualification);
  }

  return (BOOLEAN)((Register->ReadMask | Register->WriteMask) != 0);
}

/**
  MOV to or from CR8 of the SMI handler, which the processor has only because some of the
  register is protected.

  @param[in,out] Processor      This processor, the SMM-guest VMCS current.
  @param[in]     Qualification  Exit qualification.
**/
STATIC
VOID
MoveCr8 (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Qualification
  )
{
  UINT32  Number;
  UINT64  Value;

  Number = VMX_CR_QUALIFICATION_REGISTER (Qualification);
  if (VMX_CR_QUALIFICATION_TYPE (Qualification) == VMX_CR_ACCESS_MOV_FROM) {
    VmxWriteRegister (&Processor->Handler, Number, AsmReadCr8 ());
    VmxSkipInstruction ();
    return;
  }

  Value = VmxReadRegister (&Processor->Handler, Number);
  if ((Value & ~(UINT64)CR8_PRIORITY) != 0) {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
    return;
  }

  AsmWriteCr8 ((UINTN)Value);
  VmxSkipInstruction ();
}

/**
  May the SMI handler do what caused the VM exit?

  @param[in] Processor      This processor.
  @param[in] Qualification  Exit qualification.

  @retval TRUE   It may.
  @retval FALSE  It sets a bit of CR4 that is the STM's, loads CR3 with page tables that are
                 not in its SMRAM, or turns paging on with such.
**/
STATIC
BOOLEAN
IsAllowed (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Qualification
  )
{
  UINT64  Value;

  if (VMX_CR_QUALIFICATION_TYPE (Qualification) != VMX_CR_ACCESS_MOV_TO) {
    return TRUE;
  }

  switch (VMX_CR_QUALIFICATION_NUMBER (Qualification)) {
    case 0:
      Value = VmxReadRegister (&Processor->Handler, VMX_CR_QUALIFICATION_REGISTER (Qualification));
      return (BOOLEAN)(((Value & CR0_PG) == 0) || StmIsHandlerCr3 (Processor->Shared, VmRead (VMCS_GUEST_CR3)));
    case 3:
      Value = VmxReadRegister (&Processor->Handler, VMX_CR_QUALIFICATION_REGISTER (Qualification));
      return StmIsHandlerCr3 (Processor->Shared, Value & ~(UINT64)CR3_NO_INVALIDATION);
    case 4:
      return FALSE;
    default:
      return TRUE;
  }
}

/**
  Carry out what is allowed of MOV to and from CR0 and CR3.

  A handler that starts without paging may turn it on and off. For that its VMCS has the
  control "unrestricted guest", and the STM owns PE and PG only to be asked.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
**/
STATIC
VOID
Emulate (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64   Owned;
  BOOLEAN  Done;

  Owned = VmRead (VMCS_CR0_GUEST_HOST_MASK);
  if ((VmRead (VMCS_SECONDARY_CONTROLS) & VMX_CPU2_UNRESTRICTED_GUEST) != 0) {
    VmWrite (VMCS_CR0_GUEST_HOST_MASK, Owned & ~(UINT64)(CR0_PE | CR0_PG));
  }

  Done = VmxEmulateControlRegister (&Processor->Handler, StmTableMemory);
  VmWrite (VMCS_CR0_GUEST_HOST_MASK, Owned);
  if (!Done) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }
}

/**
  MOV to and from control registers of the SMI handler, CLTS and LMSW, as far as they cause
  VM exits. What changes a bit that the executive monitor protects, or reads a register of
  which it protects some, is a protection exception.

  CR4: only what sets a bit that is the STM's causes a VM exit (STM_HANDLER_CR4_BITS), so
  each is #GP(0), as on a processor that does not have the bit. SMM under the default
  treatment does not allow CR4.VMXE either (DM-STM-08).

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitControlRegister (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64     Qualification;
  STM_RSC    Resource;
  STM_ENTER  Enter;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  DropUpperHalf (Processor, Qualification);
  if (FindViolation (Processor, &Resource)) {
    Enter = StmRaiseProtectionException (Processor, TxtSmmRegisterViolation);
    CopyMem (&Processor->Exception.Resource, &Resource, sizeof (Resource));
    return Enter;
  }

  if (Processor->Generation != *(volatile UINT32 *)&Processor->Shared->Generation) {
    //
    // Another processor has opened what this VM exit is about, and the masks here do not
    // know it yet. They do when the handler executes the instruction again.
    //
    return StmResumeHandler (Processor);
  }

  if (VMX_CR_QUALIFICATION_NUMBER (Qualification) == 8) {
    MoveCr8 (Processor, Qualification);
    return StmResumeHandler (Processor);
  }

  if (!IsAllowed (Processor, Qualification)) {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
    return StmResumeHandler (Processor);
  }

  Processor->Restore |= STM_RESTORE_MODE;
  Emulate (Processor);
  return StmResumeHandler (Processor);
}
