/** @file
  Instructions that always cause a VM exit, and what all emulation needs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi/UefiBaseType.h>
#include <Protocol/DebugSupport.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Library/BaseLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>

#define CR0_PE            BIT0
#define RFLAGS_TF         BIT8
#define DEBUGCTL_BTF      BIT1
#define PENDING_DEBUG_BS  BIT14

#define BLOCKING_BY_INSTRUCTION  (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)

///
/// Components of XCR0.
///
#define XCR0_X87     BIT0
#define XCR0_SSE     BIT1
#define XCR0_AVX     BIT2
#define XCR0_MPX     (BIT3 | BIT4)
#define XCR0_AVX512  (BIT5 | BIT6 | BIT7)
#define XCR0_AMX     (BIT17 | BIT18)

/**
  Step over an instruction whose length the processor does not tell, as if it had been
  executed.

  @param[in] Length  Its length in bytes.
**/
VOID
EFIAPI
VmxSkipBytes (
  IN UINT32  Length
  )
{
  UINT64  Blocking;

  VmWrite (VMCS_GUEST_RIP, VmRead (VMCS_GUEST_RIP) + Length);
  Blocking = VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE);
  if ((Blocking & BLOCKING_BY_INSTRUCTION) != 0) {
    VmWrite (VMCS_GUEST_INTERRUPTIBILITY_STATE, Blocking & ~(UINT64)BLOCKING_BY_INSTRUCTION);
  }

  //
  // With DEBUGCTL.BTF = 1 only branches trap, and none of these instructions is one.
  //
  if (((VmRead (VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0) && ((VmRead (VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF) == 0)) {
    VmWrite (VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, VmRead (VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) | PENDING_DEBUG_BS);
  }
}

/**
  Step over the instruction that caused the current VM exit, as if it had been
  executed: blocking by STI and by MOV SS ends with it, and a guest that
  single-steps takes its debug trap ("Pending debug exceptions", 24.4.2
  [25.4.2]).
**/
VOID
EFIAPI
VmxSkipInstruction (
  VOID
  )
{
  VmxSkipBytes ((UINT32)VmRead (VMCS_EXIT_INSTRUCTION_LENGTH));
}

/**
  Make the guest take an exception, at the instruction that caused the current VM
  exit, with error code 0 if the vector has one and the guest is not in real mode,
  where no exception has.

  @param[in] Vector  #UD or #GP: EXCEPT_IA32_INVALID_OPCODE, EXCEPT_IA32_GP_FAULT.
**/
VOID
EFIAPI
VmxInjectException (
  IN UINT8  Vector
  )
{
  UINT32  Interruption;

  Interruption = VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION | Vector;
  if ((Vector == EXCEPT_IA32_GP_FAULT) && ((VmRead (VMCS_GUEST_CR0) & CR0_PE) != 0)) {
    Interruption |= VMX_INTERRUPTION_ERROR_CODE;
    VmWrite (VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
  }

  VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, Interruption);
}

/**
  Make the guest take an exception whose error code names a selector.

  @param[in] Vector     #TS, #NP or #SS.
  @param[in] ErrorCode  The selector, without its RPL.
**/
VOID
EFIAPI
VmxInjectSelectorFault (
  IN UINT8   Vector,
  IN UINT16  ErrorCode
  )
{
  VmWrite (VMCS_ENTRY_EXCEPTION_ERROR_CODE, ErrorCode);
  VmWrite (
    VMCS_ENTRY_INTERRUPTION_INFO,
    VMX_INTERRUPTION_VALID | VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION | VMX_INTERRUPTION_ERROR_CODE | Vector
    );
}

/**
  Let VM entry repeat an event whose delivery the current VM exit has interrupted
  ("Information for VM Exits That Occur During Event Delivery", 24.9.3 [25.9.3]).
**/
VOID
EFIAPI
VmxRepeatEvent (
  VOID
  )
{
  UINT64  Event;

  Event = VmRead (VMCS_IDT_VECTORING_INFO);
  if ((Event & VMX_INTERRUPTION_VALID) == 0) {
    return;
  }

  //
  // Bit 12 is undefined here and must be 0 there.
  //
  VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, Event & ~(UINT64)BIT12);
  VmWrite (VMCS_ENTRY_EXCEPTION_ERROR_CODE, VmRead (VMCS_IDT_VECTORING_ERROR_CODE));
  VmWrite (VMCS_ENTRY_INSTRUCTION_LENGTH, VmRead (VMCS_EXIT_INSTRUCTION_LENGTH));

  //
  // An NMI is delivered only where NMIs are not blocked, and blocks them itself.
  //
  if ((Event & VMX_INTERRUPTION_TYPE_MASK) == VMX_INTERRUPTION_TYPE_NMI) {
    VmWrite (
      VMCS_GUEST_INTERRUPTIBILITY_STATE,
      VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(UINT64)VMX_BLOCKING_BY_NMI
      );
  }
}

/**
  CPUID: what the processor says, except for the bits that mirror CR4 of the
  context that executes it, OSXSAVE and OSPKE: the guest gets its own.

  @param[in,out] Registers  The guest's.
**/
VOID
EFIAPI
VmxEmulateCpuid (
  IN OUT VMX_REGISTERS  *Registers
  )
{
  UINT32                                       Leaf;
  UINT32                                       SubLeaf;
  UINT32                                       Eax;
  UINT32                                       Ebx;
  UINT32                                       Ecx;
  UINT32                                       Edx;
  CPUID_VERSION_INFO_ECX                       Version;
  CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS_ECX  Structured;
  IA32_CR4                                     Cr4;

  Leaf      = (UINT32)Registers->Rax;
  SubLeaf   = (UINT32)Registers->Rcx;
  Cr4.UintN = (UINTN)VmRead (VMCS_GUEST_CR4);
  AsmCpuidEx (Leaf, SubLeaf, &Eax, &Ebx, &Ecx, &Edx);
  if (Leaf == CPUID_VERSION_INFO) {
    Version.Uint32       = Ecx;
    Version.Bits.OSXSAVE = Cr4.Bits.OSXSAVE;
    Ecx                  = Version.Uint32;
  } else if ((Leaf == CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS) &&
             (SubLeaf == CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS_SUB_LEAF_INFO))
  {
    Structured.Uint32     = Ecx;
    Structured.Bits.OSPKE = Cr4.Bits.PKE;
    Ecx                   = Structured.Uint32;
  }

  Registers->Rax = Eax;
  Registers->Rbx = Ebx;
  Registers->Rcx = Ecx;
  Registers->Rdx = Edx;
  VmxSkipInstruction ();
}

/**
  INVD: dropping modified lines would drop the monitor's too, so they are written
  back.
**/
VOID
EFIAPI
VmxEmulateInvd (
  VOID
  )
{
  AsmWbinvd ();
  VmxSkipInstruction ();
}

/**
  Are components that can only be enabled together all enabled or all not?

  @param[in] Value     Value for XCR0.
  @param[in] Together  The components.

  @retval TRUE   They are.
  @retval FALSE  Some are enabled, some not.
**/
STATIC
BOOLEAN
IsAllOrNone (
  IN UINT64  Value,
  IN UINT64  Together
  )
{
  return (BOOLEAN)(((Value & Together) == 0) || ((Value & Together) == Together));
}

/**
  Would XSETBV accept a value for XCR0 ("Enabling the XSAVE Feature Set and
  XSAVE-Enabled Features", SDM volume 1, 13.3)?

  @param[in] Supported  Bits that the processor allows, CPUID.(EAX=0DH,ECX=0):EDX:EAX.
  @param[in] Value      The value.

  @retval TRUE   It would.
  @retval FALSE  It would raise #GP(0).
**/
BOOLEAN
EFIAPI
VmxIsXcr0Valid (
  IN UINT64  Supported,
  IN UINT64  Value
  )
{
  if (((Value & ~Supported) != 0) || ((Value & XCR0_X87) == 0)) {
    return FALSE;
  }

  if (((Value & XCR0_AVX) != 0) && ((Value & XCR0_SSE) == 0)) {
    return FALSE;
  }

  if (((Value & XCR0_AVX512) != 0) && ((Value & XCR0_AVX) == 0)) {
    return FALSE;
  }

  return (BOOLEAN)(IsAllOrNone (Value, XCR0_MPX) &&
                   IsAllOrNone (Value, XCR0_AVX512) &&
                   IsAllOrNone (Value, XCR0_AMX));
}

/**
  XSETBV: the first half. What follows for an accepted value is the monitor's:
  AsmXSetBv, which needs CR4.OSXSAVE, and VmxSkipInstruction.

  @param[in]  Registers  The guest's.
  @param[out] Value      New value of XCR0.

  @retval TRUE   The processor would accept it.
  @retval FALSE  The guest has got #GP(0).
**/
BOOLEAN
EFIAPI
VmxCheckXsetbv (
  IN  CONST VMX_REGISTERS  *Registers,
  OUT UINT64               *Value
  )
{
  UINT32  Low;
  UINT32  High;

  *Value = LShiftU64 (Registers->Rdx, 32) | (UINT32)Registers->Rax;
  AsmCpuidEx (CPUID_EXTENDED_STATE, CPUID_EXTENDED_STATE_MAIN_LEAF, &Low, NULL, NULL, &High);
  if (((UINT32)Registers->Rcx == 0) && VmxIsXcr0Valid (LShiftU64 (High, 32) | Low, *Value)) {
    return TRUE;
  }

  VmxInjectException (EXCEPT_IA32_GP_FAULT);
  return FALSE;
}
