/** @file
  The command resources: what the firmware's SMI handlers need, as the STM tells the
  executive monitor (GET_BIOS_RESOURCES).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"
#include <Library/StmResourceLib.h>

#define ACCESS_LETTERS  4

STATIC UINT64  mPage[SIZE_4KB / sizeof (UINT64)];

/**
  Get a page of the list.

  @param[in]  Index  Which.
  @param[out] Next   The next one, 0 after the last.

  @retval EFI_SUCCESS        It is in mPage.
  @retval EFI_ACCESS_DENIED  The STM refused: its status was told.
**/
STATIC
EFI_STATUS
GetPage (
  IN  UINT64  Index,
  OUT UINT64  *Next
  )
{
  UINTN  Word;

  *Next = Index;
  if (AsmExecHypercall (EXEC_HYPERCALL_RESOURCES, Next) != EXEC_HYPERCALL_SUCCESS) {
    Print (L"ExecMon: the STM refused, status 0x%lx\n", *Next);
    return EFI_ACCESS_DENIED;
  }

  for (Word = 0; Word < ARRAY_SIZE (mPage); Word++) {
    mPage[Word] = Word * sizeof (UINT64);
    AsmExecHypercall (EXEC_HYPERCALL_RESOURCE_BYTES, &mPage[Word]);
  }

  return EFI_SUCCESS;
}

/**
  Accesses in letters.

  @param[in]  Access   STM_ACCESS_READ and so on.
  @param[out] Letters  Gets "rwx", or less of it, or "-".
**/
STATIC
VOID
LettersOf (
  IN  UINT32  Access,
  OUT CHAR8   Letters[ACCESS_LETTERS]
  )
{
  UINTN  Length;

  Length = 0;
  if ((Access & STM_ACCESS_READ) != 0) {
    Letters[Length++] = 'r';
  }

  if ((Access & STM_ACCESS_WRITE) != 0) {
    Letters[Length++] = 'w';
  }

  if ((Access & STM_ACCESS_EXECUTE) != 0) {
    Letters[Length++] = 'x';
  }

  if (Length == 0) {
    Letters[Length++] = '-';
  }

  Letters[Length] = '\0';
}

/**
  Show and record a claim.

  @param[in] Type    Its name, as in records.
  @param[in] Access  STM_ACCESS_READ and so on.
  @param[in] Base    First place.
  @param[in] Length  Places.
  @param[in] More    What else the screen says, or "".
**/
STATIC
VOID
ShowClaim (
  IN CONST CHAR8   *Type,
  IN UINT32        Access,
  IN UINT64        Base,
  IN UINT64        Length,
  IN CONST CHAR16  *More
  )
{
  CHAR8  Letters[ACCESS_LETTERS];

  LettersOf (Access, Letters);
  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "bios-resource",
    "type=%a base=0x%lx length=0x%lx access=%a",
    Type,
    Base,
    Length,
    Letters
    );
  if (Length <= 1) {
    Print (L"  %-10a 0x%lx  %a%s\n", Type, Base, Letters, More);
  } else {
    Print (L"  %-10a 0x%lx to 0x%lx  %a%s\n", Type, Base, Base + Length - 1, Letters, More);
  }
}

/**
  Show and record a descriptor.

  @param[in] Resource  The descriptor, well-formed and no END.
  @param[in] Range     What it names, if it is memory, ports or an MSR.
**/
STATIC
VOID
ShowResource (
  IN CONST STM_RSC    *Resource,
  IN CONST STM_RANGE  *Range
  )
{
  CONST STM_PCI_DEVICE_PATH_NODE  *Node;
  CHAR16                          Place[40];

  switch (Resource->Header.RscType) {
    case MEM_RANGE:
      ShowClaim ("memory", Range->Access, Resource->Mem.Base, Resource->Mem.Length, L"");
      break;
    case MMIO_RANGE:
      ShowClaim ("mmio", Range->Access, Resource->Mmio.Base, Resource->Mmio.Length, L"");
      break;
    case IO_RANGE:
      ShowClaim ("io", Range->Access, Resource->Io.Base, Resource->Io.Length, L"");
      break;
    case MACHINE_SPECIFIC_REG:
      ShowClaim ("msr", Range->Access, Resource->Msr.MsrIndex, 1, L"");
      break;
    case PCI_CFG_RANGE:
      Node = &Resource->PciCfg.PciDevicePath[Resource->PciCfg.LastNodeIndex];
      UnicodeSPrint (
        Place,
        sizeof (Place),
        L"  from bus %d, device %d, function %d",
        Resource->PciCfg.OriginatingBusNumber,
        Node->PciDevice,
        Node->PciFunction
        );
      ShowClaim ("pci", Resource->PciCfg.RWAttributes, Resource->PciCfg.Base, Resource->PciCfg.Length, Place);
      break;
    case TRAPPED_IO_RANGE:
      ShowClaim (
        "trapped-io",
        (Resource->TrappedIo.In ? STM_ACCESS_READ : 0) | (Resource->TrappedIo.Out ? STM_ACCESS_WRITE : 0),
        Resource->TrappedIo.Base,
        Resource->TrappedIo.Length,
        L""
        );
      break;
    case ALL_RESOURCES:
      ShowClaim ("all", STM_ACCESS_ALL, 0, 0, L"");
      break;
    default:
      ShowClaim (
        "register",
        ((Resource->RegisterViolation.ReadMask != 0) ? STM_ACCESS_READ : 0) |
        ((Resource->RegisterViolation.WriteMask != 0) ? STM_ACCESS_WRITE : 0),
        Resource->RegisterViolation.RegisterType,
        1,
        L""
        );
      break;
  }
}

/**
  Show the descriptors of mPage.

  @param[in]     Bits   Width of physical addresses.
  @param[in,out] Count  Descriptors so far.

  @retval EFI_SUCCESS         Done, up to the END.
  @retval EFI_PROTOCOL_ERROR  One is malformed, or there is no END.
**/
STATIC
EFI_STATUS
ShowPage (
  IN     UINT32  Bits,
  IN OUT UINT32  *Count
  )
{
  CONST STM_RSC      *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Range;
  UINTN              Offset;

  for (Offset = 0; Offset < SIZE_4KB; Offset += Resource->Header.Length) {
    Resource = (CONST STM_RSC *)((CONST UINT8 *)mPage + Offset);
    Kind     = StmResourceRead (Resource, SIZE_4KB - Offset, Bits, &Range);
    if (Kind == StmResourceEnd) {
      return EFI_SUCCESS;
    }

    if (Kind == StmResourceMalformed) {
      break;
    }

    ShowResource (Resource, &Range);
    (*Count)++;
  }

  Print (L"ExecMon: the descriptor at byte %d of the page is malformed\n", Offset);
  return EFI_PROTOCOL_ERROR;
}

/**
  Show what the firmware's SMI handlers need, and record it.

  @retval EFI_SUCCESS         Done.
  @retval EFI_NOT_STARTED     The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED   The STM refused: its status was told.
  @retval EFI_PROTOCOL_ERROR  A descriptor is malformed.
**/
EFI_STATUS
ExecResources (
  VOID
  )
{
  EFI_STATUS  Status;
  UINT64      Page;
  UINT32      Pages;
  UINT32      Count;

  if (!ExecHasStm ()) {
    return EFI_NOT_STARTED;
  }

  Print (L"ExecMon: what the firmware's SMI handlers need\n");
  Page  = 0;
  Pages = 0;
  Count = 0;
  do {
    Status = GetPage (Page, &Page);
    if (!EFI_ERROR (Status)) {
      Status = ShowPage (StmPhysicalAddressBits (), &Count);
      Pages++;
    }

    if (EFI_ERROR (Status)) {
      return Status;
    }
  } while (Page != 0);

  Print (L"  %d descriptor%a, and an END in each of %d page%a\n", Count, (Count == 1) ? "" : "s", Pages, (Pages == 1) ? "" : "s");
  StmRecord (STM_RECORD_PORT_EXECUTIVE, "EXEC", "bios-resources", "pages=%u descriptors=%u", Pages, Count);
  return EFI_SUCCESS;
}
