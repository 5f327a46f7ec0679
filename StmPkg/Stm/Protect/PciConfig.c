/** @file
  PCI configuration space: how the STM itself reaches it.

  Two ways lead there. Port CF8H takes an address and CFCH the data, one address for all
  processors. The enhanced configuration access mechanism (ECAM) maps every register to
  memory, at an address that the chipset holds. Where the STM knows the chipset it uses
  it, since nobody else can change the address in between. FindEcam.c finds it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Pci.h"
#include <Library/IoLib.h>
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"

///
/// Registers that ports cannot reach begin here.
///
#define PORT_SPACE  0x100

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

  @retval TRUE   Done.
  @retval FALSE  Another processor has written to CF8H meanwhile: the access may have been one
                 of any register. What it has written stays.
**/
BOOLEAN
StmAccessPciPort (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Address,
  IN     UINTN       Port,
  IN     UINT32      Size,
  IN     BOOLEAN     Write,
  IN OUT UINT32      *Value
  )
{
  UINT32   Interrupted;
  BOOLEAN  Same;

  while (InterlockedCompareExchange32 (&Shared->PciLock, 0, 1) != 0) {
    CpuPause ();
  }

  Interrupted = IoRead32 (STM_PCI_PORTS_BASE);
  IoWrite32 (STM_PCI_PORTS_BASE, Address);
  StmAccessPort (Port, Size, Write, Value);
  Same = (BOOLEAN)(((IoRead32 (STM_PCI_PORTS_BASE) ^ Address) & (STM_PCI_ENABLE | STM_PCI_ADDRESS)) == 0);
  if (Same) {
    IoWrite32 (STM_PCI_PORTS_BASE, Interrupted);
  }

  *(volatile UINT32 *) &Shared->PciLock = 0;
  return Same;
}

/**
  Access configuration space in memory.

  @param[in]     Processor  This processor.
  @param[in]     Ecam       STM_ECAM.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessEcam (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Ecam,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  )
{
  UINT8  *Window;

  Window  = StmOpenWindow (Processor, STM_ECAM_BASE (Ecam) + (Place & ~(UINT64)(STM_PCI_FUNCTION_SIZE - 1)), TRUE);
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
  @param[in]     Ecam       STM_ECAM.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes; 8, and registers from 100H on, only where
                            Ecam is not 0.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessPci (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Ecam,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  )
{
  UINT32  Address;
  UINT32  Data;

  if ((Place < STM_ECAM_SIZE (Ecam)) &&
      ((Processor->Shared->KnownChipset != 0) || (Place % STM_PCI_FUNCTION_SIZE >= PORT_SPACE) || (Size > sizeof (UINT32))))
  {
    StmAccessEcam (Processor, Ecam, Place, Size, Write, Value);
    return;
  }

  //
  // Bits 27:12 of the place are bus, device and function; so are bits 23:8 here. Who
  // changes the address meanwhile could write to the register himself.
  //
  Address = STM_PCI_ENABLE | (UINT32)(RShiftU64 (Place, 12) << 8) | ((UINT32)Place & (PORT_SPACE - 4));
  Data    = (UINT32)*Value;
  StmAccessPciPort (Processor->Shared, Address, STM_PCI_PORTS_DATA + (Place & 3), Size, Write, &Data);
  *Value = Data;
}

/**
  Read a byte of PCI configuration space: STM_READ_PCI.

  @param[in] Context  STM_PCI_READER.
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
  CONST STM_PCI_READER  *Reader;
  UINT64                Value;

  Reader = Context;
  Value  = 0;
  StmAccessPci (Reader->Processor, Reader->Ecam, Place, 1, FALSE, &Value);
  return (UINT8)Value;
}
