/** @file
  Resource descriptors: which are well-formed, and what they name.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Library/StmResourceLib.h>

#define PORTS          0x10000
#define PCI_SPACE      0x1000
#define PCI_DEVICES    32
#define PCI_FUNCTIONS  8

///
/// The page-granular EPT rounds, "StmApi.h": STM_RSC_BGM is not reported.
///
#define PAGE_MASK  ((UINT64)SIZE_4KB - 1)

/**
  The length that a descriptor must have.

  @param[in] Resource   The descriptor.
  @param[in] Available  Bytes from there to the end of the list's memory.

  @return Bytes, 0 if the type is unknown or not all of the descriptor is there.
**/
STATIC
UINTN
LengthOf (
  IN CONST STM_RSC  *Resource,
  IN UINTN          Available
  )
{
  UINTN  Length;

  if (Available < sizeof (Resource->Header)) {
    return 0;
  }

  switch (Resource->Header.RscType) {
    case END_OF_RESOURCES:
      Length = sizeof (Resource->End);
      break;
    case MEM_RANGE:
      Length = sizeof (Resource->Mem);
      break;
    case IO_RANGE:
      Length = sizeof (Resource->Io);
      break;
    case MMIO_RANGE:
      Length = sizeof (Resource->Mmio);
      break;
    case MACHINE_SPECIFIC_REG:
      Length = sizeof (Resource->Msr);
      break;
    case PCI_CFG_RANGE:
      if (Available < sizeof (Resource->PciCfg)) {
        return 0;
      }

      Length = sizeof (Resource->PciCfg) + (UINTN)Resource->PciCfg.LastNodeIndex * sizeof (STM_PCI_DEVICE_PATH_NODE);
      break;
    case TRAPPED_IO_RANGE:
      Length = sizeof (Resource->TrappedIo);
      break;
    case ALL_RESOURCES:
      Length = sizeof (Resource->All);
      break;
    case REGISTER_VIOLATION:
      Length = sizeof (Resource->RegisterViolation);
      break;
    default:
      return 0;
  }

  return (Length <= Available) ? Length : 0;
}

/**
  A range of memory or MMIO, extended to whole pages.

  @param[in]  Base          First address.
  @param[in]  Length        Bytes.
  @param[in]  Access        RWXAttributes.
  @param[in]  PhysicalBits  Width of physical addresses.
  @param[out] Range         The range.

  @retval StmResourceRange      Done.
  @retval StmResourceMalformed  Empty, or beyond the last address.
**/
STATIC
STM_RESOURCE_KIND
ReadMemory (
  IN  UINT64     Base,
  IN  UINT64     Length,
  IN  UINT32     Access,
  IN  UINT32     PhysicalBits,
  OUT STM_RANGE  *Range
  )
{
  UINT64  Limit;

  Limit = 1ULL << PhysicalBits;
  if ((Length == 0) || (Base >= Limit) || (Length > Limit - Base)) {
    return StmResourceMalformed;
  }

  Range->Space  = StmSpaceMemory;
  Range->Access = Access;
  Range->Base   = Base & ~PAGE_MASK;
  Range->End    = (Base + Length + PAGE_MASK) & ~PAGE_MASK;
  return StmResourceRange;
}

/**
  A range of ports.

  @param[in]  Base    First port.
  @param[in]  Length  Ports.
  @param[out] Range   The range.

  @retval StmResourceRange      Done.
  @retval StmResourceMalformed  Empty, or beyond the last port.
**/
STATIC
STM_RESOURCE_KIND
ReadPorts (
  IN  UINT32     Base,
  IN  UINT32     Length,
  OUT STM_RANGE  *Range
  )
{
  if ((Length == 0) || (Base + Length > PORTS)) {
    return StmResourceMalformed;
  }

  Range->Space  = StmSpaceIo;
  Range->Access = STM_ACCESS_READ | STM_ACCESS_WRITE;
  Range->Base   = Base;
  Range->End    = Base + Length;
  return StmResourceRange;
}

/**
  A descriptor of PCI configuration space.

  @param[in]  Pci    The descriptor, all of it there.
  @param[out] Range  What it names if its path is one node.

  @retval StmResourcePci        Done.
  @retval StmResourceMalformed  A field or a node of the path is not allowed.
**/
STATIC
STM_RESOURCE_KIND
ReadPci (
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  OUT STM_RANGE                   *Range
  )
{
  CONST STM_PCI_DEVICE_PATH_NODE  *Node;
  UINTN                           Index;

  if ((Pci->Reserved != 0) || (Pci->Length == 0) || ((UINT32)Pci->Base + Pci->Length > PCI_SPACE)) {
    return StmResourceMalformed;
  }

  for (Index = 0; Index <= Pci->LastNodeIndex; Index++) {
    Node = &Pci->PciDevicePath[Index];
    if ((Node->Type != 1) || (Node->Subtype != 1) || (Node->Length != sizeof (*Node)) ||
        (Node->PciDevice >= PCI_DEVICES) || (Node->PciFunction >= PCI_FUNCTIONS))
    {
      return StmResourceMalformed;
    }
  }

  Node          = &Pci->PciDevicePath[0];
  Range->Space  = StmSpacePci;
  Range->Access = Pci->RWAttributes;
  Range->Base   = STM_PCI_PLACE (Pci->OriginatingBusNumber, Node->PciDevice, Node->PciFunction, Pci->Base);
  Range->End    = Range->Base + Pci->Length;
  return StmResourcePci;
}

/**
  A descriptor of an MSR.

  @param[in]  Msr    The descriptor.
  @param[out] Range  All bits of the MSR, with the accesses of which it names some.

  @retval StmResourceMsr        Done.
  @retval StmResourceMalformed  A reserved field is not 0.
**/
STATIC
STM_RESOURCE_KIND
ReadMsr (
  IN  CONST STM_RSC_MSR_DESC  *Msr,
  OUT STM_RANGE               *Range
  )
{
  if (Msr->Reserved != 0) {
    return StmResourceMalformed;
  }

  Range->Space  = StmSpaceMsr;
  Range->Access = ((Msr->ReadMask != 0) ? STM_ACCESS_READ : 0) | ((Msr->WriteMask != 0) ? STM_ACCESS_WRITE : 0);
  Range->Base   = STM_MSR_PLACE (Msr->MsrIndex, 0);
  Range->End    = Range->Base + STM_REGISTER_BITS;
  return StmResourceMsr;
}

/**
  Check one descriptor and tell what it names.

  @param[in]  Resource      The descriptor.
  @param[in]  Available     Bytes from there to the end of the list's memory.
  @param[in]  PhysicalBits  Width of physical addresses.
  @param[out] Range         What it names, memory in whole pages.

  @return Its kind. StmResourceMalformed if type, length, a reserved field or the
          range it names is not allowed.
**/
STM_RESOURCE_KIND
EFIAPI
StmResourceRead (
  IN  CONST STM_RSC  *Resource,
  IN  UINTN          Available,
  IN  UINT32         PhysicalBits,
  OUT STM_RANGE      *Range
  )
{
  UINTN              Length;
  STM_RESOURCE_KIND  Kind;

  Length = LengthOf (Resource, Available);
  if ((Length == 0) || (Resource->Header.Length != Length) || (Resource->Header.Reserved != 0)) {
    return StmResourceMalformed;
  }

  switch (Resource->Header.RscType) {
    case END_OF_RESOURCES:
      return StmResourceEnd;
    case MEM_RANGE:
    case MMIO_RANGE:
      //
      // STM_RSC_MEM_DESC and STM_RSC_MMIO_DESC have the same members.
      //
      Kind = ((Resource->Mem.Reserved | Resource->Mem.Reserved_2) != 0) ? StmResourceMalformed : ReadMemory (
                                                                                                   Resource->Mem.Base,
                                                                                                   Resource->Mem.Length,
                                                                                                   Resource->Mem.RWXAttributes,
                                                                                                   PhysicalBits,
                                                                                                   Range
                                                                                                   );
      break;
    case IO_RANGE:
      Kind = (Resource->Io.Reserved != 0) ? StmResourceMalformed : ReadPorts (Resource->Io.Base, Resource->Io.Length, Range);
      break;
    case MACHINE_SPECIFIC_REG:
      Kind = ReadMsr (&Resource->Msr, Range);
      break;
    case PCI_CFG_RANGE:
      Kind = ReadPci (&Resource->PciCfg, Range);
      break;
    case TRAPPED_IO_RANGE:
      Kind = StmResourceMalformed;
      if (((Resource->TrappedIo.Reserved1 | Resource->TrappedIo.Reserved2) == 0) &&
          (ReadPorts (Resource->TrappedIo.Base, Resource->TrappedIo.Length, Range) == StmResourceRange))
      {
        Kind = StmResourceTrappedIo;
      }

      break;
    case ALL_RESOURCES:
      Kind = StmResourceAll;
      break;
    default:
      Kind = ((Resource->RegisterViolation.RegisterType < StmRegisterMax) && (Resource->RegisterViolation.Reserved == 0))
             ? StmResourceRegister : StmResourceMalformed;
      break;
  }

  return ((Kind != StmResourceMalformed) && (Resource->Header.IgnoreResource != 0)) ? StmResourceIgnored : Kind;
}
