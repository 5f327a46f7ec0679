/** @file
  PCI configuration space: how the STM itself reaches it.

  Two ways lead there. Port CF8H takes an address and CFCH the data, one address for all
  processors. The enhanced configuration access mechanism (ECAM) maps every register to
  memory, at an address that the chipset holds. Where the STM knows the chipset it uses
  it, since nobody else can change the address in between.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"
#include <Library/IoLib.h>
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Mcfg.h"
#include "State/State.h"

#define ADDRESS_ENABLE  BIT31

///
/// Registers that ports cannot reach begin here.
///
#define PORT_SPACE  0x100

///
/// Host bridge of the platform, device 0 of bus 0, and where it holds the address of
/// ECAM: "PCIEXBAR", Intel 3 Series Express Chipset Family datasheet, 5.1.14. Bits 2:1
/// are the size, bit 0 enables it.
///
#define HOST_BRIDGE_Q35  0x29C08086
#define PCIEXBAR         0x60
#define PCIEXBAR_END     0x68
#define PCIEXBAR_ENABLE  BIT0
#define PCIEXBAR_SIZE(Value)  (SIZE_256MB >> (((UINT32)(Value) >> 1) & 3))

/**
  Access a port.

  @param[in]     Port   The port.
  @param[in]     Size   1, 2 or 4 bytes.
  @param[in]     Write  TRUE to write.
  @param[in,out] Value  What to write, or gets what was read.
**/
VOID
StmAccessPort (
  IN     UINTN    Port,
  IN     UINT32   Size,
  IN     BOOLEAN  Write,
  IN OUT UINT32   *Value
  )
{
  switch (Size) {
    case 1:
      *Value = Write ? IoWrite8 (Port, (UINT8)*Value) : IoRead8 (Port);
      break;
    case 2:
      *Value = Write ? IoWrite16 (Port, (UINT16)*Value) : IoRead16 (Port);
      break;
    default:
      *Value = Write ? IoWrite32 (Port, *Value) : IoRead32 (Port);
      break;
  }
}

/**
  Access port CFCH with an address at CF8H that is there for this access only.

  @param[in,out] Shared   Shared state.
  @param[in]     Address  For CF8H.
  @param[in]     Port     CFCH to CFFH.
  @param[in]     Size     1, 2 or 4 bytes.
  @param[in]     Write    TRUE to write.
  @param[in,out] Value    What to write, or gets what was read.
**/
VOID
StmAccessPciPort (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Address,
  IN     UINTN       Port,
  IN     UINT32      Size,
  IN     BOOLEAN     Write,
  IN OUT UINT32      *Value
  )
{
  UINT32  Interrupted;

  while (InterlockedCompareExchange32 (&Shared->PciLock, 0, 1) != 0) {
    CpuPause ();
  }

  Interrupted = IoRead32 (STM_PCI_PORTS_BASE);
  IoWrite32 (STM_PCI_PORTS_BASE, Address);
  StmAccessPort (Port, Size, Write, Value);
  IoWrite32 (STM_PCI_PORTS_BASE, Interrupted);
  *(volatile UINT32 *) &Shared->PciLock = 0;
}

/**
  Access configuration space in memory.

  @param[in]     Processor  This processor.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
STATIC
VOID
AccessEcam (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  )
{
  UINT8  *Window;

  Window  = StmOpenWindow (Processor, Processor->Shared->EcamBase + (Place & ~(UINT64)(STM_PCI_FUNCTION_SIZE - 1)), TRUE);
  Window += Place % STM_PCI_FUNCTION_SIZE;
  switch (Size) {
    case 1:
      if (Write) {
        *(volatile UINT8 *)Window = (UINT8)*Value;
      } else {
        *Value = *(volatile UINT8 *)Window;
      }

      break;
    case 2:
      if (Write) {
        *(volatile UINT16 *)Window = (UINT16)*Value;
      } else {
        *Value = *(volatile UINT16 *)Window;
      }

      break;
    case 4:
      if (Write) {
        *(volatile UINT32 *)Window = (UINT32)*Value;
      } else {
        *Value = *(volatile UINT32 *)Window;
      }

      break;
    default:
      if (Write) {
        *(volatile UINT64 *)Window = *Value;
      } else {
        *Value = *(volatile UINT64 *)Window;
      }

      break;
  }

  StmCloseWindow (Processor);
}

/**
  Access PCI configuration space.

  @param[in]     Processor  This processor.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes; 8, and registers from 100H on, only where
                            Shared->EcamBase is not 0.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessPci (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  )
{
  UINT32  Address;
  UINT32  Data;

  if ((Processor->Shared->EcamBase != 0) && (Place < Processor->Shared->EcamSize) &&
      ((Processor->Shared->PciByPorts == 0) || (Place % STM_PCI_FUNCTION_SIZE >= PORT_SPACE) || (Size > sizeof (UINT32))))
  {
    AccessEcam (Processor, Place, Size, Write, Value);
    return;
  }

  //
  // Bits 27:12 of the place are bus, device and function; so are bits 23:8 here.
  //
  Address = ADDRESS_ENABLE | (UINT32)(RShiftU64 (Place, 12) << 8) | ((UINT32)Place & (PORT_SPACE - 4));
  Data    = (UINT32)*Value;
  StmAccessPciPort (Processor->Shared, Address, STM_PCI_PORTS_DATA + (Place & 3), Size, Write, &Data);
  *Value = Data;
}

/**
  Read a byte of PCI configuration space: STM_READ_PCI.

  @param[in] Context  STM_PROCESSOR.
  @param[in] Place    STM_PCI_PLACE.

  @return The byte.
**/
UINT8
EFIAPI
StmReadPciByte (
  IN CONST VOID  *Context,
  IN UINT64      Place
  )
{
  UINT64  Value;

  Value = 0;
  StmAccessPci (Context, Place, 1, FALSE, &Value);
  return (UINT8)Value;
}

/**
  Where does the chipset have ECAM?

  @param[in]  Shared  Shared state.
  @param[out] Base    Where, and how many bytes of it; these are 0 if it is disabled.
  @param[out] Size

  @retval TRUE   Base and Size are what the chipset decodes.
  @retval FALSE  The STM does not know the chipset.
**/
STATIC
BOOLEAN
ReadChipset (
  IN  STM_SHARED  *Shared,
  OUT UINT64      *Base,
  OUT UINT64      *Size
  )
{
  UINT32  Value;

  StmAccessPciPort (Shared, ADDRESS_ENABLE, STM_PCI_PORTS_DATA, 4, FALSE, &Value);
  if (Value != HOST_BRIDGE_Q35) {
    return FALSE;
  }

  StmAccessPciPort (Shared, ADDRESS_ENABLE | PCIEXBAR, STM_PCI_PORTS_DATA, 4, FALSE, &Value);
  *Size = PCIEXBAR_SIZE (Value);
  *Base = Value & ~(UINT32)(*Size - 1);
  if (((Value & PCIEXBAR_ENABLE) == 0) || (*Size < SIZE_64MB)) {
    *Size = 0;
  }

  StmAccessPciPort (Shared, ADDRESS_ENABLE | (PCIEXBAR + 4), STM_PCI_PORTS_DATA, 4, FALSE, &Value);
  *Base |= LShiftU64 (Value, 32);
  return TRUE;
}

/**
  Could ECAM be there? An address at which the STM must not write, in RAM below the end of
  TSEG or among the registers of processors and flash memory, is none.

  @param[in] Shared  Shared state.
  @param[in] Base    Where.
  @param[in] Size    Bytes.

  @retval TRUE   It could.
  @retval FALSE  It could not, or has no bytes.
**/
STATIC
BOOLEAN
IsPlaceOfEcam (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Base,
  IN UINT64            Size
  )
{
  UINT64  Limit;

  Limit = LShiftU64 (1, Shared->PhysicalBits);
  return (BOOLEAN)((Size != 0) && (Base >= Shared->TsegEnd) && (Base < Limit) && (Size <= Limit - Base) &&
                   ((Base >= SIZE_4GB) || (Base + Size <= STM_FIXED_MMIO)));
}

/**
  Find out where ECAM is: where the chipset has it. Of one that the STM does not know it is
  where ACPI's tables had it at INITIALIZE_PROTECTION.

  @param[in,out] Processor  This processor; Shared->EcamBase and EcamSize are set.
**/
VOID
StmFindEcam (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SHARED  *Shared;
  UINT64      Base;
  UINT64      Size;

  Shared             = Processor->Shared;
  Base               = Shared->McfgBase;
  Size               = Shared->McfgSize;
  Shared->PciByPorts = ReadChipset (Shared, &Base, &Size) ? 0 : 1;
  if (!IsPlaceOfEcam (Shared, Base, Size)) {
    Base = 0;
    Size = 0;
  }

  Shared->EcamBase = Base;
  Shared->EcamSize = Size;
}

/**
  Read 8 bytes of ACPI's tables: STM_READ_MEMORY. They are in memory that the executive
  monitor could name; what a table in it refers to in SMRAM is none.

  @param[in]  Context  STM_PROCESSOR.
  @param[in]  Address  Physical address, aligned to 8 bytes.
  @param[out] Value    What is there.

  @retval TRUE   Read.
  @retval FALSE  It is in SMRAM, or no memory.
**/
STATIC
BOOLEAN
EFIAPI
ReadAcpi (
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  )
{
  CONST STM_PROCESSOR  *Processor;
  UINT8                *Window;

  Processor = Context;
  if (!StmPageIsExecutives (Processor->Shared, Address & ~(UINT64)(SIZE_4KB - 1))) {
    return FALSE;
  }

  Window = StmOpenWindow (Processor, Address & ~(UINT64)(SIZE_4KB - 1), FALSE);
  *Value = *(volatile UINT64 *)(Window + Address % SIZE_4KB);
  StmCloseWindow (Processor);
  return TRUE;
}

/**
  At INITIALIZE_PROTECTION: read where ACPI's tables have ECAM, and compare that with the
  chipset.

  What is trusted when: the PSD, in SMRAM, for where ACPI's root pointer is; the chipset's
  register, since it is what decodes accesses, whenever ECAM is looked for; the tables, which
  are memory that anybody can write, once, here, before anything is protected. A table that
  differs from the chipset says that one of both is not what the firmware has made, and
  nobody can say which: then there is no protection. Tables that cannot be read say nothing
  against the chipset; without a chipset that the STM knows they would be all there is. What
  such a table names is guarded, but not used by the STM on its own: a false one makes it
  write nowhere.

  @param[in,out] Processor  This processor; nobody else uses the draft of the profile.
  @param[in]     Rsdp       Where ACPI's root pointer is, 0 for no ACPI.

  @retval TRUE   Shared->McfgBase and McfgSize are set, 0 for no table.
  @retval FALSE  Refused, and recorded why.
**/
BOOLEAN
StmCheckEcam (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Rsdp
  )
{
  STM_SHARED  *Shared;
  STM_MCFG    Found;
  UINT64      Base;
  UINT64      Size;
  BOOLEAN     Known;

  Shared           = Processor->Shared;
  Shared->McfgBase = 0;
  Shared->McfgSize = 0;
  Found            = StmFindMcfg (
                       ReadAcpi,
                       Processor,
                       Rsdp,
                       (UINT8 *)(UINTN)Shared->Draft,
                       &Shared->McfgBase,
                       &Shared->McfgSize
                       );
  Known = ReadChipset (Shared, &Base, &Size);
  if ((Found == StmMcfgMalformed) ||
      (!Known && (Found == StmMcfgFound) && !IsPlaceOfEcam (Shared, Shared->McfgBase, Shared->McfgSize)))
  {
    Shared->McfgBase = 0;
    Shared->McfgSize = 0;
    if (Known) {
      STM_RECORD (Processor, "acpi", "cpu=%u problem=malformed rsdp=0x%lx", Processor->Slot, Rsdp);
    } else {
      STM_RECORD (Processor, "refused", "cpu=%u reason=acpi rsdp=0x%lx", Processor->Slot, Rsdp);
    }

    return Known;
  }

  //
  // A table may name fewer buses than the chipset decodes, but no other ones.
  //
  if (Known && (Found == StmMcfgFound) && ((Shared->McfgBase != Base) || (Shared->McfgSize > Size))) {
    STM_RECORD (
      Processor,
      "refused",
      "cpu=%u reason=ecam mcfg=0x%lx mcfg_size=0x%lx chipset=0x%lx chipset_size=0x%lx",
      Processor->Slot,
      Shared->McfgBase,
      Shared->McfgSize,
      Base,
      Size
      );
    return FALSE;
  }

  return TRUE;
}

/**
  Would a write move ECAM away from where the STM guards it?

  @param[in] Place   STM_PCI_PLACE.
  @param[in] Length  Bytes.

  @retval TRUE   It would.
  @retval FALSE  It would not.
**/
BOOLEAN
StmPciIsOwn (
  IN UINT64  Place,
  IN UINT64  Length
  )
{
  return (BOOLEAN)((Place < PCIEXBAR_END) && (Place + Length > PCIEXBAR));
}
