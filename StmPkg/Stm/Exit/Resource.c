/** @file
  What an access of the SMI handler touched, as a resource of the event log.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"

///
/// Exit qualification for I/O instructions, table 27-5 [28-5], and for EPT violations,
/// table 27-7 [28-7].
///
#define IO_SIZE(Qualification)       (((Qualification) & 7) + 1)
#define IO_PORT(Qualification)       (RShiftU64 ((Qualification), 16) & 0xFFFF)
#define EPT_ACCESSES(Qualification)  ((Qualification) & 7)

/**
  Describe the access for which a VM exit of the SMI handler occurred.

  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[out] Resource   A descriptor of memory, ports or an MSR.
**/
VOID
StmDescribeAccess (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT STM_RSC              *Resource
  )
{
  UINT64  Qualification;
  UINT32  Reason;

  ZeroMem (Resource, sizeof (*Resource));
  Reason        = (UINT32)VmRead (VMCS_EXIT_REASON);
  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  switch (Reason) {
    case VMX_REASON_EPT_VIOLATION:
      //
      // How many bytes the processor does not say.
      //
      Resource->Header.RscType    = MEM_RANGE;
      Resource->Header.Length     = sizeof (Resource->Mem);
      Resource->Mem.Base          = VmRead (VMCS_GUEST_PHYSICAL_ADDRESS);
      Resource->Mem.Length        = 1;
      Resource->Mem.RWXAttributes = EPT_ACCESSES (Qualification);
      break;
    case VMX_REASON_IO:
      Resource->Header.RscType = IO_RANGE;
      Resource->Header.Length  = sizeof (Resource->Io);
      Resource->Io.Base        = (UINT16)IO_PORT (Qualification);
      Resource->Io.Length      = (UINT16)IO_SIZE (Qualification);
      break;
    default:
      Resource->Header.RscType = MACHINE_SPECIFIC_REG;
      Resource->Header.Length  = sizeof (Resource->Msr);
      Resource->Msr.MsrIndex   = (UINT32)Processor->Handler.Rcx;
      Resource->Msr.ReadMask   = (Reason == VMX_REASON_RDMSR) ? MAX_UINT64 : 0;
      Resource->Msr.WriteMask  = (Reason == VMX_REASON_WRMSR) ? MAX_UINT64 : 0;
      break;
  }
}

/**
  Describe an access to PCI configuration space, on whatever way it came.

  @param[in]  Place     First register, STM_PCI_PLACE.
  @param[in]  Length    Bytes.
  @param[in]  Write     TRUE if it was to write.
  @param[out] Resource  A descriptor whose path is the function's own bus, device and
                        function.
**/
VOID
StmDescribePci (
  IN  UINT64   Place,
  IN  UINT32   Length,
  IN  BOOLEAN  Write,
  OUT STM_RSC  *Resource
  )
{
  STM_RSC_PCI_CFG_DESC  *Pci;

  ZeroMem (Resource, sizeof (*Resource));
  Pci                               = &Resource->PciCfg;
  Pci->Hdr.RscType                  = PCI_CFG_RANGE;
  Pci->Hdr.Length                   = sizeof (*Pci);
  Pci->RWAttributes                 = Write ? STM_RSC_PCI_CFG_W : STM_RSC_PCI_CFG_R;
  Pci->Base                         = (UINT16)(Place % STM_PCI_FUNCTION_SIZE);
  Pci->Length                       = (UINT16)Length;
  Pci->OriginatingBusNumber         = (UINT8)RShiftU64 (Place, 20);
  Pci->PciDevicePath[0].Type        = 1;
  Pci->PciDevicePath[0].Subtype     = 1;
  Pci->PciDevicePath[0].Length      = sizeof (STM_PCI_DEVICE_PATH_NODE);
  Pci->PciDevicePath[0].PciDevice   = (UINT8)RShiftU64 (Place, 15) & 0x1F;
  Pci->PciDevicePath[0].PciFunction = (UINT8)RShiftU64 (Place, 12) & 7;
}
