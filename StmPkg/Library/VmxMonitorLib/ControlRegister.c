/** @file
  Accesses of a guest to control registers.

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

#define REGISTER_RSP  4

///
/// MOV to CR3 with CR4.PCIDE = 1: keep the TLB's entries. The bit is not stored.
///
#define CR3_NO_INVALIDATION  BIT63

///
/// PAE paging: where CR3 points, and the entries there.
///
#define CR3_PAE_MASK    0xFFFFFFE0ULL
#define PDPTE_PRESENT   BIT0
#define PDPTE_RESERVED  0x1E6ULL

/**
  Where a general-purpose register is stored.

  @param[in] Registers  Registers of the guest.
  @param[in] Number     0 to 15 without REGISTER_RSP.

  @return The register.
**/
STATIC
UINT64 *
RegisterPlace (
  IN VMX_REGISTERS  *Registers,
  IN UINT32         Number
  )
{
  return &Registers->Rax + ((Number > REGISTER_RSP) ? Number - 1 : Number);
}

/**
  Value of a general-purpose register by its number in an exit qualification.

  @param[in] Registers  Registers of the guest.
  @param[in] Number     0 to 15.

  @return The value.
**/
UINT64
EFIAPI
VmxReadRegister (
  IN CONST VMX_REGISTERS  *Registers,
  IN UINT32               Number
  )
{
  return (Number == REGISTER_RSP) ? VmRead (VMCS_GUEST_RSP) : *RegisterPlace ((VMX_REGISTERS *)Registers, Number);
}

/**
  Store a value in a general-purpose register by its number.

  @param[in,out] Registers  Registers of the guest.
  @param[in]     Number     0 to 15.
  @param[in]     Value      The value.
**/
VOID
EFIAPI
VmxWriteRegister (
  IN OUT VMX_REGISTERS  *Registers,
  IN     UINT32         Number,
  IN     UINT64         Value
  )
{
  if (Number == REGISTER_RSP) {
    VmWrite (VMCS_GUEST_RSP, Value);
  } else {
    *RegisterPlace (Registers, Number) = Value;
  }
}

/**
  Give the guest's bits of a control register their new value; those of the
  monitor stay.

  @param[in] Register  VMCS field of the register.
  @param[in] Mask      VMCS field of its guest/host mask.
  @param[in] Shadow    VMCS field of its read shadow.
  @param[in] Value     What the guest wrote.
**/
STATIC
VOID
WriteMasked (
  IN UINT32  Register,
  IN UINT32  Mask,
  IN UINT32  Shadow,
  IN UINT64  Value
  )
{
  UINT64  Owned;

  Owned = VmRead (Mask);
  VmWrite (Register, (Value & ~Owned) | (VmRead (Register) & Owned));
  VmWrite (Shadow, Value);
}

/**
  Read the PDPTEs of a guest with PAE paging, and check them as a load of CR3 does ("PDPTE
  Registers", 4.4.1). They are copied before they are checked: other processors of the guest
  may write them.

  @param[in]  Cr3      Where they are; bits 31:5 count.
  @param[in]  Memory   How to reach the guest's memory.
  @param[out] Entries  VMX_PDPTES of them.

  @retval TRUE   Done.
  @retval FALSE  One has a reserved bit set: #GP(0).
**/
BOOLEAN
EFIAPI
VmxReadPdptes (
  IN  UINT64            Cr3,
  IN  VMX_GUEST_MEMORY  Memory,
  OUT UINT64            *Entries
  )
{
  CPUID_VIR_PHY_ADDRESS_SIZE_EAX  Size;
  CONST volatile UINT64           *Table;
  UINTN                           Index;

  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Size.Uint32, NULL, NULL, NULL);
  Table = Memory (Cr3 & CR3_PAE_MASK);
  for (Index = 0; Index < VMX_PDPTES; Index++) {
    Entries[Index] = Table[Index];
    if (((Entries[Index] & PDPTE_PRESENT) != 0) &&
        (((Entries[Index] & PDPTE_RESERVED) != 0) ||
         (RShiftU64 (Entries[Index], Size.Bits.PhysicalAddressBits) != 0)))
    {
      return FALSE;
    }
  }

  return TRUE;
}

/**
  Give a guest with PAE paging the PDPTEs that a load of CR3 loads.

  @param[in] Entries  VMX_PDPTES of them, from VmxReadPdptes.
**/
VOID
EFIAPI
VmxWritePdptes (
  IN CONST UINT64  *Entries
  )
{
  UINTN  Index;

  for (Index = 0; Index < VMX_PDPTES; Index++) {
    VmWrite (VMCS_GUEST_PDPTE0 + 2 * Index, Entries[Index]);
  }
}

/**
  Load the PDPTEs of a guest with PAE paging, as MOV to CR0 and CR3 do.

  @param[in] Cr3     The guest's.
  @param[in] Memory  How to reach the guest's memory.

  @retval TRUE   Done.
  @retval FALSE  One has a reserved bit set: #GP(0).
**/
STATIC
BOOLEAN
LoadPdptes (
  IN UINT64            Cr3,
  IN VMX_GUEST_MEMORY  Memory
  )
{
  UINT64  Entries[VMX_PDPTES];

  if (!VmxReadPdptes (Cr3, Memory, Entries)) {
    return FALSE;
  }

  VmxWritePdptes (Entries);
  return TRUE;
}

/**
  Change the paging mode of an unrestricted guest with a MOV to CR0 ("Mode
  Switching", 9.9 [10.9]; "Changes to Instruction Behavior in VMX Non-Root
  Operation", 25.3 [26.3]).

  @param[in] New     New value.
  @param[in] Memory  How to reach the guest's memory.

  @retval TRUE   Done: EFER.LMA and the entry control "IA-32e mode guest" agree
                 with it.
  @retval FALSE  #GP(0); nothing has changed.
**/
STATIC
BOOLEAN
ChangePaging (
  IN IA32_CR0          New,
  IN VMX_GUEST_MEMORY  Memory
  )
{
  IA32_CR0                Old;
  IA32_CR4                Cr4;
  MSR_IA32_EFER_REGISTER  Efer;
  BOOLEAN                 Code64;
  UINT64                  Controls;

  Old.UintN   = (UINTN)VmRead (VMCS_GUEST_CR0);
  Cr4.UintN   = (UINTN)VmRead (VMCS_GUEST_CR4);
  Efer.Uint64 = VmRead (VMCS_GUEST_IA32_EFER);
  Code64      = (BOOLEAN)((VmRead (VMCS_GUEST_CS_ACCESS_RIGHTS) & VMX_ACCESS_LONG) != 0);
  if ((New.Bits.PG != 0) && (New.Bits.PE == 0)) {
    return FALSE;
  }

  if ((New.Bits.PG != 0) && (Efer.Bits.LME == 0) && (Cr4.Bits.PAE != 0) &&
      ((New.Bits.PG != Old.Bits.PG) || (New.Bits.CD != Old.Bits.CD) || (New.Bits.NW != Old.Bits.NW)))
  {
    return LoadPdptes (VmRead (VMCS_GUEST_CR3), Memory);
  }

  if (New.Bits.PG == Old.Bits.PG) {
    return TRUE;
  }

  Controls = VmRead (VMCS_ENTRY_CONTROLS);
  if (New.Bits.PG == 0) {
    if (((Efer.Bits.LMA != 0) && Code64) || (Cr4.Bits.PCIDE != 0)) {
      return FALSE;
    }

    Efer.Bits.LMA = 0;
    Controls     &= ~(UINT64)VMX_ENTRY_IA32E_GUEST;
  } else if (Efer.Bits.LME != 0) {
    if ((Cr4.Bits.PAE == 0) || Code64) {
      return FALSE;
    }

    Efer.Bits.LMA = 1;
    Controls     |= VMX_ENTRY_IA32E_GUEST;
  }

  VmWrite (VMCS_GUEST_IA32_EFER, Efer.Uint64);
  VmWrite (VMCS_ENTRY_CONTROLS, Controls);
  return TRUE;
}

/**
  MOV to CR0.

  @param[in] Value   New value.
  @param[in] Memory  How to reach an unrestricted guest's memory.

  @retval TRUE   Done.
  @retval FALSE  #GP(0).
**/
STATIC
BOOLEAN
WriteCr0 (
  IN UINT64            Value,
  IN VMX_GUEST_MEMORY  Memory
  )
{
  IA32_CR0  Cr0;

  Cr0.UintN = (UINTN)Value;
  if (((Value & ~AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED1)) != 0) ||
      ((Cr0.Bits.NW != 0) && (Cr0.Bits.CD == 0)))
  {
    return FALSE;
  }

  if ((VmRead (VMCS_SECONDARY_CONTROLS) & VMX_CPU2_UNRESTRICTED_GUEST) != 0) {
    if (!ChangePaging (Cr0, Memory)) {
      return FALSE;
    }
  } else if ((Cr0.Bits.PE == 0) || (Cr0.Bits.PG == 0)) {
    return FALSE;
  }

  WriteMasked (VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW, Value);
  return TRUE;
}

/**
  MOV to CR4.

  @param[in] Value  New value.

  @retval TRUE   Done.
  @retval FALSE  #GP(0).
**/
STATIC
BOOLEAN
WriteCr4 (
  IN UINT64  Value
  )
{
  IA32_CR4  Cr4;

  Cr4.UintN = (UINTN)Value;
  if (((Value & ~AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED1)) != 0) || (Cr4.Bits.VMXE != 0) || (Cr4.Bits.PAE == 0)) {
    return FALSE;
  }

  WriteMasked (VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW, Value);
  return TRUE;
}

/**
  Load CR3, as MOV to CR3 and task switches do. VM entries of a monitor without VPID
  invalidate the TLB anyhow.

  @param[in] Value   New value.
  @param[in] Memory  How to reach an unrestricted guest's memory.

  @retval TRUE   Done.
  @retval FALSE  #GP(0): a bit beyond the physical width is set, or a reserved one
                 in a PDPTE.
**/
BOOLEAN
EFIAPI
VmxLoadCr3 (
  IN UINT64            Value,
  IN VMX_GUEST_MEMORY  Memory  OPTIONAL
  )
{
  CPUID_VIR_PHY_ADDRESS_SIZE_EAX  Size;
  IA32_CR0                        Cr0;
  IA32_CR4                        Cr4;
  MSR_IA32_EFER_REGISTER          Efer;

  Cr0.UintN   = (UINTN)VmRead (VMCS_GUEST_CR0);
  Cr4.UintN   = (UINTN)VmRead (VMCS_GUEST_CR4);
  Efer.Uint64 = VmRead (VMCS_GUEST_IA32_EFER);
  if (Cr4.Bits.PCIDE != 0) {
    Value &= ~CR3_NO_INVALIDATION;
  }

  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Size.Uint32, NULL, NULL, NULL);
  if (RShiftU64 (Value, Size.Bits.PhysicalAddressBits) != 0) {
    return FALSE;
  }

  if ((Cr0.Bits.PG != 0) && (Cr4.Bits.PAE != 0) && (Efer.Bits.LMA == 0) && !LoadPdptes (Value, Memory)) {
    return FALSE;
  }

  VmWrite (VMCS_GUEST_CR3, Value);
  return TRUE;
}

/**
  MOV to CR0, CR3 or CR4, MOV from CR3. Bits that the guest/host masks give to
  the monitor keep their value, and the guest sees what it wrote. Setting
  CR4.VMXE, CR0.NW without CR0.CD, and a bit that VMX operation requires to be 0
  (IA32_VMX_CR0_FIXED1, IA32_VMX_CR4_FIXED1) raise #GP(0). So does leaving long
  mode, unless the guest is unrestricted: then a MOV to CR0 enters and leaves
  protected mode, paging and IA-32e mode as the processor would, and takes the
  PDPTEs of PAE paging from the guest's memory.

  Accesses to CR3 exit only on a processor without the TRUE capability MSRs,
  where CR3-load and CR3-store exiting cannot be 0.

  @param[in,out] Registers  The guest's.
  @param[in]     Memory     How to reach the guest's memory; NULL if the guest is
                            not unrestricted.

  @retval TRUE   Done, or the guest has got #GP(0).
  @retval FALSE  CLTS, LMSW or another register: with masks that hold only bits
                 that VMX operation fixes there is no such exit. A caller whose masks
                 hold more decides about these before.
**/
BOOLEAN
EFIAPI
VmxEmulateControlRegister (
  IN OUT VMX_REGISTERS     *Registers,
  IN     VMX_GUEST_MEMORY  Memory  OPTIONAL
  )
{
  UINT64   Qualification;
  UINT64   Value;
  UINT32   ControlRegister;
  UINT32   Number;
  BOOLEAN  Accepted;

  Qualification   = VmRead (VMCS_EXIT_QUALIFICATION);
  ControlRegister = VMX_CR_QUALIFICATION_NUMBER (Qualification);
  Number          = VMX_CR_QUALIFICATION_REGISTER (Qualification);
  if ((VMX_CR_QUALIFICATION_TYPE (Qualification) == VMX_CR_ACCESS_MOV_FROM) && (ControlRegister == 3)) {
    VmxWriteRegister (Registers, Number, VmRead (VMCS_GUEST_CR3));
    VmxSkipInstruction ();
    return TRUE;
  }

  if (VMX_CR_QUALIFICATION_TYPE (Qualification) != VMX_CR_ACCESS_MOV_TO) {
    return FALSE;
  }

  Value = VmxReadRegister (Registers, Number);
  switch (ControlRegister) {
    case 0:
      Accepted = WriteCr0 (Value, Memory);
      break;
    case 3:
      Accepted = VmxLoadCr3 (Value, Memory);
      break;
    case 4:
      Accepted = WriteCr4 (Value);
      break;
    default:
      return FALSE;
  }

  if (Accepted) {
    VmxSkipInstruction ();
  } else {
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
  }

  return TRUE;
}
