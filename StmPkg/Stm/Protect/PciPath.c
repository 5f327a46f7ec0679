/** @file
  Resources in PCI configuration space: where a path leads, and what is protected with it.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"

//
// Configuration space of a function: bit 7 of the header type says that the device has
// several. Of a bridge: primary, secondary, subordinate bus number.
//
#define PCI_HEADER_TYPE       0x0E
#define PCI_HEADER_TYPE_MASK  0x7F
#define PCI_HEADER_BRIDGE     0x01
#define PCI_BUS_NUMBERS       0x18
#define PCI_BUS_NUMBERS_END   0x1B
#define PCI_SECONDARY_BUS     0x19

/**
  Follow the path of a PCI descriptor through bridges.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, well-formed.
  @param[in]  Node    Which node of its path.
  @param[out] Place   Where the configuration space of that node's function begins.

  @retval TRUE   Found.
  @retval FALSE  A node before it is no bridge to another bus.
**/
BOOLEAN
EFIAPI
StmPciFollow (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN  UINTN                       Node,
  OUT UINT64                      *Place
  )
{
  UINTN  Index;
  UINT8  Bus;
  UINT8  Next;

  Bus = Pci->OriginatingBusNumber;
  for (Index = 0; ; Index++) {
    *Place = STM_PCI_PLACE (Bus, Pci->PciDevicePath[Index].PciDevice, Pci->PciDevicePath[Index].PciFunction, 0);
    if (Index == Node) {
      return TRUE;
    }

    if ((Limits->ReadPci (Limits->PciContext, *Place + PCI_HEADER_TYPE) & PCI_HEADER_TYPE_MASK) != PCI_HEADER_BRIDGE) {
      return FALSE;
    }

    //
    // Buses behind a bridge have higher numbers. One that the firmware has not numbered
    // yet has 0.
    //
    Next = Limits->ReadPci (Limits->PciContext, *Place + PCI_SECONDARY_BUS);
    if (Next <= Bus) {
      return FALSE;
    }

    Bus = Next;
  }
}

/**
  What a PCI descriptor names, where its path leads now.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, well-formed.
  @param[out] Range   The range.

  @retval TRUE   Done.
  @retval FALSE  The path leads nowhere.
**/
BOOLEAN
EFIAPI
StmPciResolve (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  OUT STM_RANGE                   *Range
  )
{
  UINT64  Place;

  if (!StmPciFollow (Limits, Pci, Pci->LastNodeIndex, &Place)) {
    return FALSE;
  }

  Range->Space  = StmSpacePci;
  Range->Access = Pci->RWAttributes;
  Range->Base   = Place + Pci->Base;
  Range->End    = Range->Base + Pci->Length;
  return TRUE;
}

/**
  The bus numbers of a bridge on the path of a descriptor, which must stay.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, whose path leads somewhere.
  @param[in]  Node    The bridge.
  @param[out] Range   The range.
**/
VOID
EFIAPI
StmPciBusNumbers (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN  UINTN                       Node,
  OUT STM_RANGE                   *Range
  )
{
  UINT64  Place;

  Place = 0;
  StmPciFollow (Limits, Pci, Node, &Place);
  Range->Space  = StmSpacePci;
  Range->Access = STM_ACCESS_WRITE;
  Range->Base   = Place + PCI_BUS_NUMBERS;
  Range->End    = Place + PCI_BUS_NUMBERS_END;
}
