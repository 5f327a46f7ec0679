/** @file
  Control registers of the SMI handler, as far as the executive monitor protects bits of
  them.

  Nothing of it costs an SMI anything: the SMM-guest VMCS of a processor is changed when
  the processor learns that what is protected has changed.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Bitmap.h"
#include "Guest/Guest.h"

#define REGISTER_CONTROLS  (VMX_CPU_CR3_STORE | VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE)

/**
  The bits of a register that are protected.

  @param[in] Profile  The profile.
  @param[in] Space    StmSpaceRegister or StmSpaceMsr.
  @param[in] First    Place of its bit 0.
  @param[in] Access   STM_ACCESS_READ or STM_ACCESS_WRITE.

  @return The bits.
**/
UINT64
StmProtectedBits (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Space,
  IN UINT64             First,
  IN UINT32             Access
  )
{
  UINT64  Bits;
  UINT64  Next;
  UINTN   Bit;

  Bits = 0;
  for (Bit = 0; Bit < STM_REGISTER_BITS; Bit++) {
    if ((StmProfileAt (Profile, Space, First + Bit, &Next) & Access) != 0) {
      Bits |= LShiftU64 (1, Bit);
    }
  }

  return Bits;
}

/**
  The bits of a control register that are protected.

  @param[in] Profile  The profile.
  @param[in] Type     STM_REGISTER_VIOLATION_TYPE.
  @param[in] Access   STM_ACCESS_READ or STM_ACCESS_WRITE.

  @return The bits.
**/
STATIC
UINT64
ControlBits (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Type,
  IN UINT32             Access
  )
{
  return StmProtectedBits (Profile, StmSpaceRegister, STM_REGISTER_PLACE (Type, 0), Access);
}

/**
  Own the bits of CR0 or CR4 that are protected from writes. What the handler reads of them
  is what they are.

  @param[in] Register  VMCS field of the register.
  @param[in] Mask      VMCS field of its guest/host mask.
  @param[in] Shadow    VMCS field of its read shadow.
  @param[in] Own       Bits that are the STM's whatever is protected.
  @param[in] Bits      Bits that are protected.
**/
STATIC
VOID
OwnBits (
  IN UINT32  Register,
  IN UINT32  Mask,
  IN UINT32  Shadow,
  IN UINT64  Own,
  IN UINT64  Bits
  )
{
  UINT64  New;

  New = Bits & ~VmRead (Mask);
  VmWrite (Shadow, (VmRead (Shadow) & ~New) | (VmRead (Register) & New));
  VmWrite (Mask, Own | Bits);
}

/**
  Bring the SMM-guest VMCS, which is current, in line with what is protected of control
  registers.

  @param[in] Processor  This processor.
  @param[in] Profile    The profile.
**/
VOID
StmApplyRegisters (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST STM_PROFILE    *Profile
  )
{
  UINT32  Controls;

  OwnBits (
    VMCS_GUEST_CR0,
    VMCS_CR0_GUEST_HOST_MASK,
    VMCS_CR0_READ_SHADOW,
    Processor->HandlerCr0Fixed0,
    ControlBits (Profile, StmRegisterCr0, STM_ACCESS_WRITE)
    );
  OwnBits (
    VMCS_GUEST_CR4,
    VMCS_CR4_GUEST_HOST_MASK,
    VMCS_CR4_READ_SHADOW,
    ~(UINT64)STM_HANDLER_CR4_BITS,
    ControlBits (Profile, StmRegisterCr4, STM_ACCESS_WRITE)
    );
  Controls = (UINT32)VmRead (VMCS_PROCESSOR_CONTROLS) & ~(UINT32)REGISTER_CONTROLS;
  if (ControlBits (Profile, StmRegisterCr3, STM_ACCESS_READ) != 0) {
    Controls |= VMX_CPU_CR3_STORE;
  }

  if (ControlBits (Profile, StmRegisterCr8, STM_ACCESS_WRITE) != 0) {
    Controls |= VMX_CPU_CR8_LOAD;
  }

  if (ControlBits (Profile, StmRegisterCr8, STM_ACCESS_READ) != 0) {
    Controls |= VMX_CPU_CR8_STORE;
  }

  VmxWriteControls (VMCS_PROCESSOR_CONTROLS, MSR_IA32_VMX_PROCBASED_CTLS, Controls, 0);

  //
  // Loads of CR3 cause VM exits anyhow, but for the value that firmware flushes the TLB
  // with: if the handler has another one, going back to that is a change, too.
  //
  StmWriteCr3Targets ((BOOLEAN)(ControlBits (Profile, StmRegisterCr3, STM_ACCESS_WRITE) == 0));
}
