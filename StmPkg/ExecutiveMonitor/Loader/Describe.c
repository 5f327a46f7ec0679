/** @file
  Words: names of lists that a user gives, and entries of the STM's event log as records
  have them, KEY=VALUE, separated by blanks.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

#define ACCESS_LETTERS  4

///
/// In the order of EVENT_TYPE.
///
STATIC CONST CHAR8  *CONST  mEvents[] = {
  "log-started",
  "log-stopped",
  "invalid-parameter",
  "handled-protection-exception",
  "unclaimed-resource",
  "protection-granted",
  "protection-denied",
  "unprotect",
  "unprotect-error",
  "domain-type-degraded"
};

STATIC_ASSERT (ARRAY_SIZE (mEvents) == EvtMleMax, "a name for each event");

/**
  The name of an event.

  @param[in] Type  EVENT_TYPE.

  @return An ASCII string; "unknown" for what the interface does not have.
**/
CONST CHAR8 *
ExecEventName (
  IN UINT32  Type
  )
{
  return (Type < ARRAY_SIZE (mEvents)) ? mEvents[Type] : "unknown";
}

/**
  Take a name off a list.

  @param[in]  Text  Names, separated by commas.
  @param[out] Name  EXEC_NAME_LENGTH bytes; a longer name is cut.

  @return What is behind the comma, NULL if there is none.
**/
CONST CHAR16 *
ExecTakeName (
  IN  CONST CHAR16  *Text,
  OUT CHAR8         *Name
  )
{
  UINTN  Used;

  for (Used = 0; (*Text != L'\0') && (*Text != L','); Text++) {
    if (Used + 1 < EXEC_NAME_LENGTH) {
      Name[Used++] = (CHAR8)*Text;
    }
  }

  Name[Used] = '\0';
  return (*Text == L'\0') ? NULL : Text + 1;
}

/**
  Accesses in letters.

  @param[in]  Access   Bit 0 read, bit 1 write, bit 2 execute.
  @param[out] Letters  Gets "rwx", or less of it, or "-".

  @return Letters.
**/
STATIC
CONST CHAR8 *
LettersOf (
  IN  UINT32  Access,
  OUT CHAR8   Letters[ACCESS_LETTERS]
  )
{
  UINTN  Length;
  UINTN  Index;

  Length = 0;
  for (Index = 0; Index < ACCESS_LETTERS - 1; Index++) {
    if ((Access & (1U << Index)) != 0) {
      Letters[Length++] = "rwx"[Index];
    }
  }

  if (Length == 0) {
    Letters[Length++] = '-';
  }

  Letters[Length] = '\0';
  return Letters;
}

/**
  Describe a range.

  @param[out] Text    Where to write.
  @param[in]  Size    Bytes there.
  @param[in]  Type    Of resource.
  @param[in]  Base    First place.
  @param[in]  Length  Places.
  @param[in]  Access  Bit 0 read, bit 1 write, bit 2 execute.
**/
STATIC
VOID
DescribeRange (
  OUT CHAR8        *Text,
  IN  UINTN        Size,
  IN  CONST CHAR8  *Type,
  IN  UINT64       Base,
  IN  UINT64       Length,
  IN  UINT32       Access
  )
{
  CHAR8  Letters[ACCESS_LETTERS];

  AsciiSPrint (
    Text,
    Size,
    "resource=%a base=0x%lx length=0x%lx access=%a",
    Type,
    Base,
    Length,
    LettersOf (Access, Letters)
    );
}

/**
  Describe what a masked register or MSR forbids.

  @param[in] ReadMask   Bits that must not be read.
  @param[in] WriteMask  Bits that must not be written.

  @return Bit 0 read, bit 1 write.
**/
STATIC
UINT32
AccessOfMasks (
  IN UINT64  ReadMask,
  IN UINT64  WriteMask
  )
{
  return ((ReadMask != 0) ? BIT0 : 0) | ((WriteMask != 0) ? BIT1 : 0);
}

/**
  Describe PCI configuration space.

  @param[in]  Pci   The descriptor.
  @param[out] Text  Where to write.
  @param[in]  Size  Bytes there.
**/
STATIC
VOID
DescribePci (
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  OUT CHAR8                       *Text,
  IN  UINTN                       Size
  )
{
  CONST STM_PCI_DEVICE_PATH_NODE  *Node;
  UINTN                           Used;

  DescribeRange (Text, Size, "pci", Pci->Base, Pci->Length, Pci->RWAttributes);
  Used = AsciiStrLen (Text);
  Node = &Pci->PciDevicePath[(Pci->LastNodeIndex < 4) ? Pci->LastNodeIndex : 0];
  AsciiSPrint (
    Text + Used,
    Size - Used,
    " bus=%u nodes=%u device=%u function=%u",
    Pci->OriginatingBusNumber,
    Pci->LastNodeIndex + 1U,
    Node->PciDevice,
    Node->PciFunction
    );
}

/**
  Describe a resource.

  @param[in]  Resource  The descriptor.
  @param[out] Text      Where to write.
  @param[in]  Size      Bytes there.
**/
STATIC
VOID
DescribeResource (
  IN  CONST STM_RSC  *Resource,
  OUT CHAR8          *Text,
  IN  UINTN          Size
  )
{
  switch (Resource->Header.RscType) {
    case MEM_RANGE:
      DescribeRange (Text, Size, "memory", Resource->Mem.Base, Resource->Mem.Length, Resource->Mem.RWXAttributes);
      break;
    case MMIO_RANGE:
      DescribeRange (Text, Size, "mmio", Resource->Mmio.Base, Resource->Mmio.Length, Resource->Mmio.RWXAttributes);
      break;
    case IO_RANGE:
      DescribeRange (Text, Size, "io", Resource->Io.Base, Resource->Io.Length, BIT0 | BIT1);
      break;
    case MACHINE_SPECIFIC_REG:
      DescribeRange (
        Text,
        Size,
        "msr",
        Resource->Msr.MsrIndex,
        1,
        AccessOfMasks (Resource->Msr.ReadMask, Resource->Msr.WriteMask)
        );
      break;
    case PCI_CFG_RANGE:
      DescribePci (&Resource->PciCfg, Text, Size);
      break;
    case TRAPPED_IO_RANGE:
      DescribeRange (
        Text,
        Size,
        "trapped-io",
        Resource->TrappedIo.Base,
        Resource->TrappedIo.Length,
        (Resource->TrappedIo.In ? BIT0 : 0) | (Resource->TrappedIo.Out ? BIT1 : 0)
        );
      break;
    case ALL_RESOURCES:
      DescribeRange (Text, Size, "all", 0, 0, BIT0 | BIT1 | BIT2);
      break;
    case REGISTER_VIOLATION:
      DescribeRange (
        Text,
        Size,
        "register",
        Resource->RegisterViolation.RegisterType,
        1,
        AccessOfMasks (Resource->RegisterViolation.ReadMask, Resource->RegisterViolation.WriteMask)
        );
      break;
    default:
      AsciiSPrint (Text, Size, "resource=unknown type=%u", Resource->Header.RscType);
      break;
  }
}

/**
  Describe what an entry of the event log tells beside its type.

  @param[in]  Entry  The entry, STM_LOG_ENTRY_SIZE bytes.
  @param[out] Text   Where to write; empty if it tells nothing.
  @param[in]  Size   Bytes there, at least EXEC_TEXT_LENGTH.
**/
VOID
ExecDescribeEntry (
  IN  CONST STM_LOG_ENTRY  *Entry,
  OUT CHAR8                *Text,
  IN  UINTN                Size
  )
{
  Text[0] = '\0';
  switch (Entry->Hdr.Type) {
    case EvtLogStarted:
    case EvtLogStopped:
      break;
    case EvtLogInvalidParameterDetected:
      AsciiSPrint (Text, Size, "api=0x%x", Entry->Data.InvalidParam.VmcallApiNumber);
      break;
    case EvtHandledProtectionException:
    case EvtBiosAccessToUnclaimedResource:
    case EvtMleResourceProtectionGranted:
    case EvtMleResourceProtectionDenied:
    case EvtMleResourceUnprotect:
    case EvtMleResourceUnprotectError:
      //
      // They are alike.
      //
      DescribeResource (&Entry->Data.BiosUnclaimedRsc.Resource, Text, Size);
      break;
    case EvtMleDomainTypeDegraded:
      AsciiSPrint (
        Text,
        Size,
        "vmcs=0x%lx expected=%u degraded=%u",
        Entry->Data.MleDomainTypeDegraded.VmcsPhysPointer,
        Entry->Data.MleDomainTypeDegraded.ExpectedDomainType,
        Entry->Data.MleDomainTypeDegraded.DegradedDomainType
        );
      break;
    default:
      AsciiSPrint (Text, Size, "number=%u", Entry->Hdr.Type);
      break;
  }
}
