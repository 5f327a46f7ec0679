/** @file
  I/O instructions of the SMI handler at ports that cause a VM exit.

  A port that the executive monitor protects: a protection exception. The STM's own:
  #GP(0). Ports of PCI configuration space while some of it is protected, and the other
  direction at a port that is protected in one: the STM carries out what is allowed. Data
  in memory is for the processor to reach (Step.c).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include <Library/IoLib.h>
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Protect/Bitmap.h"
#include "Protect/Pci.h"
#include "Protect/Protect.h"

///
/// Registers of configuration space that an access reaches by port CFCH.
///
typedef struct {
  UINT64     Place;     ///< the first one, STM_PCI_PLACE
  UINT32     Length;    ///< bytes, 0 if it reaches none
  BOOLEAN    Own;       ///< the STM keeps one of them for itself
} REGISTERS;

///
/// An access by an I/O instruction.
///
typedef struct {
  UINT16     Port;
  UINT32     Size;      ///< 1, 2 or 4 bytes
  BOOLEAN    Write;
} ACCESS;

/**
  The address at port CF8H as the SMI handler sees it: what the interrupted side has left
  there, until the handler writes one.

  @param[in,out] Processor  This processor.

  @return It.
**/
STATIC
UINT32
PciAddress (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (Processor->PciAddress.Smi != Processor->SmiCount) {
    Processor->PciAddress.Smi     = Processor->SmiCount;
    Processor->PciAddress.Address = IoRead32 (STM_PCI_PORTS_BASE);
  }

  return (UINT32)Processor->PciAddress.Address;
}

/**
  The register that a byte at a port is, with the handler's address.

  @param[in,out] Processor  This processor.
  @param[in]     Port       The port.
  @param[out]    Place      STM_PCI_PLACE.

  @retval TRUE   It is one.
  @retval FALSE  It is none: another port, or the address is not enabled.
**/
STATIC
BOOLEAN
PlaceOf (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINTN          Port,
  OUT    UINT64         *Place
  )
{
  UINT32  Address;

  if ((Processor->Shared->PciProtected == 0) || (Port < STM_PCI_PORTS_DATA) || (Port >= STM_PCI_PORTS_END)) {
    return FALSE;
  }

  Address = PciAddress (Processor);
  if ((Address & STM_PCI_ENABLE) == 0) {
    return FALSE;
  }

  Address &= STM_PCI_ADDRESS;
  *Place   = LShiftU64 (Address >> 8, 12) | (Address & MAX_UINT8) | (Port & 3);
  return TRUE;
}

/**
  Access a port that is no register of configuration space.

  @param[in,out] Processor  This processor.
  @param[in]     Port       The port.
  @param[in]     Size       1, 2 or 4 bytes.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
STATIC
VOID
AccessPort (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINTN          Port,
  IN     UINT32         Size,
  IN     BOOLEAN        Write,
  IN OUT UINT32         *Value
  )
{
  if ((Processor->Shared->PciProtected != 0) && (Port == STM_PCI_PORTS_BASE) && (Size == 4)) {
    if (Write) {
      Processor->PciAddress.Smi     = Processor->SmiCount;
      Processor->PciAddress.Address = *Value;
    } else {
      *Value = PciAddress (Processor);
    }
  } else if ((Processor->Shared->PciProtected != 0) && (Port >= STM_PCI_PORTS_DATA) && (Port < STM_PCI_PORTS_END)) {
    //
    // Port CFCH with an address that is not enabled: an ordinary port.
    //
    StmAccessPciPort (Processor->Shared, PciAddress (Processor), Port, Size, Write, Value);
  } else {
    StmAccessPort (Port, Size, Write, Value);
  }
}

/**
  Carry out an access that is allowed. One that is not aligned goes byte by byte, since it
  may lie in two registers.

  @param[in,out] Processor  This processor.
  @param[in]     Access     The access.
  @param[in,out] Value      What to write, or gets what was read.
**/
STATIC
VOID
CarryOut (
  IN OUT STM_PROCESSOR  *Processor,
  IN     CONST ACCESS   *Access,
  IN OUT UINT32         *Value
  )
{
  UINT64  Place;
  UINT64  Data;
  UINT32  Part;
  UINT32  Size;
  UINTN   Done;

  Size = ((Access->Port & (Access->Size - 1)) == 0) ? Access->Size : 1;
  for (Done = 0; Done < Access->Size; Done += Size) {
    Part = *Value >> (8 * Done);
    if (PlaceOf (Processor, Access->Port + Done, &Place)) {
      Data = Part;
      StmAccessPci (Processor, STM_ECAM_NOW (Processor->Shared), Place, Size, Access->Write, &Data);
      Part = (UINT32)Data;
    } else {
      AccessPort (Processor, Access->Port + Done, Size, Access->Write, &Part);
    }

    if (!Access->Write) {
      if (Size == 4) {
        *Value = Part;
      } else {
        Part  &= (1U << (8 * Size)) - 1;
        *Value = (*Value & ~(((1U << (8 * Size)) - 1) << (8 * Done))) | (Part << (8 * Done));
      }
    }
  }
}

/**
  Is any register that an access touches protected from it?

  @param[in,out] Processor  This processor.
  @param[in]     Access     The access.
  @param[out]    Registers  What it reaches.

  @retval TRUE   One is.
  @retval FALSE  None is.
**/
STATIC
BOOLEAN
IsProtectedRegister (
  IN OUT STM_PROCESSOR  *Processor,
  IN     CONST ACCESS   *Access,
  OUT    REGISTERS      *Registers
  )
{
  UINT64   Place;
  UINTN    Index;
  BOOLEAN  Protected;

  ZeroMem (Registers, sizeof (*Registers));
  Protected = FALSE;
  for (Index = 0; Index < Access->Size; Index++) {
    if (!PlaceOf (Processor, Access->Port + Index, &Place)) {
      continue;
    }

    //
    // Ports CFCH to CFFH are one double word: what is reached lies together.
    //
    if (Registers->Length == 0) {
      Registers->Place = Place;
    }

    Registers->Length++;
    if ((StmProtectedAt (Processor, StmSpacePci, Place, 1) & (Access->Write ? STM_ACCESS_WRITE : STM_ACCESS_READ)) != 0) {
      Protected = TRUE;
    }

    Registers->Own = (BOOLEAN)(Registers->Own || (Access->Write && StmPciIsOwn (Place, 1) && STM_PCI_IS_GUARDED (Processor)));
  }

  return Protected;
}

/**
  The access of an I/O instruction.

  @param[in]  Qualification  Of its VM exit.
  @param[out] Access         The access.
**/
STATIC
VOID
Decode (
  IN  UINT64  Qualification,
  OUT ACCESS  *Access
  )
{
  Access->Port  = (UINT16)VMX_IO_QUALIFICATION_PORT (Qualification);
  Access->Size  = VMX_IO_QUALIFICATION_SIZE (Qualification);
  Access->Write = (BOOLEAN)((Qualification & VMX_IO_QUALIFICATION_IN) == 0);
}

/**
  Monitor trap flag: INS or OUTS, executed by the processor at another port. It has found
  whether the handler may access the memory; the STM moves the data.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitStepped (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  ACCESS  Access;
  UINT32  Value;

  if (!StmIsStepDone (Processor)) {
    return StmResumeHandler (Processor);
  }

  Decode (Processor->Step.Qualification, &Access);
  Value = 0;
  if (Access.Write &&
      (StmCopyHandlerMemory (Processor, Processor->Step.Linear, &Value, Access.Size, STM_ACCESS_READ) != Access.Size))
  {
    return StmRaiseProtectionException (Processor, TxtSmmPageViolation);
  }

  CarryOut (Processor, &Access, &Value);
  if (!Access.Write &&
      (StmCopyHandlerMemory (Processor, Processor->Step.Linear, &Value, Access.Size, STM_ACCESS_WRITE) != Access.Size))
  {
    return StmRaiseProtectionException (Processor, TxtSmmPageViolation);
  }

  return StmResumeHandler (Processor);
}

/**
  IN or OUT that is allowed.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Access     The access.
**/
STATIC
VOID
MoveRax (
  IN OUT STM_PROCESSOR  *Processor,
  IN     CONST ACCESS   *Access
  )
{
  VMX_REGISTERS  *Registers;
  UINT64         Mask;
  UINT32         Value;

  Registers = &Processor->Handler;
  Value     = (UINT32)Registers->Rax;
  CarryOut (Processor, Access, &Value);
  if (!Access->Write) {
    //
    // IN of 32 bits clears the upper half of RAX, like every write of a 32-bit register.
    //
    Mask           = (Access->Size == 4) ? MAX_UINT64 : LShiftU64 (1, 8 * Access->Size) - 1;
    Registers->Rax = (Registers->Rax & ~Mask) | (Value & Mask);
  }

  VmxSkipInstruction ();
}

/**
  I/O instruction.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmExitIo (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  ACCESS     Access;
  REGISTERS  Registers;
  STM_RSC    Resource;
  UINT64     Qualification;
  UINT32     Protected;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  Decode (Qualification, &Access);
  Protected = StmProtectedAt (Processor, StmSpaceIo, Access.Port, Access.Size);
  if ((Protected & (Access.Write ? STM_ACCESS_WRITE : STM_ACCESS_READ)) != 0) {
    return StmRaiseProtectionException (Processor, TxtSmmIoViolation);
  }

  if (IsProtectedRegister (Processor, &Access, &Registers)) {
    return StmRaisePciException (Processor, Registers.Place, Registers.Length, Access.Write);
  }

  if (Registers.Own || StmPortIsOwn (Access.Port, Access.Size)) {
    if (Registers.Own) {
      StmDescribePci (Registers.Place, Registers.Length, TRUE, &Resource);
    } else {
      StmDescribeAccess (Processor, &Resource);
    }

    StmEventResource (Processor, EvtBiosAccessToUnclaimedResource, &Resource);
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
    return StmResumeHandler (Processor);
  }

  if ((Qualification & VMX_IO_QUALIFICATION_STRING) != 0) {
    return StmStartStep (Processor);
  }

  MoveRax (Processor, &Access);
  return StmResumeHandler (Processor);
}
