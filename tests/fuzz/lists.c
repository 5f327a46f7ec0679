/** @file
  Lists of resources made from an input.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "lists.h"
#include <Register/Intel/StmApi.h>

///
/// MSRs in and outside the bitmaps, and those whose writes are the STM's own.
///
STATIC CONST UINT32  mMsrs[] = {
  0x1B, 0x9B, 0x174, 0x176, 0x1A0, 0x1FFF, 0x2000, 0xC0000080, 0xC0000082, 0xC0001FFF, 0xC0002000, 0xBFFFFFFF, 0xFFFFFFFF, 0, 1, 2
};

STATIC CONST UINT16  mPorts[] = {
  0x60, 0x64, 0xB2, 0x402, 0x403, 0xCF8, 0xCFC, 0x7FFF, 0x8000, 0xFFFF, 0, 7, 8, 0xED, 0xF0, 0x3F8
};

STATIC
VOID
MakeMemory (
  IN OUT FUZZ_INPUT         *Input,
  IN     CONST FUZZ_PLACES  *Places,
  OUT    STM_RSC_MEM_DESC   *Memory
  )
{
  UINT8   Choice;
  UINT8   Shape;
  UINT64  Unit;

  Choice = (UINT8)FuzzTake (Input, 1);
  Shape  = (UINT8)FuzzTake (Input, 1);
  Unit   = ((Shape & 0x30) == 0x30) ? SIZE_2MB : ((Shape & 0x30) == 0x20) ? SIZE_1GB : SIZE_4KB;
  switch (Choice >> 5) {
    case 7:
      Memory->Base   = FuzzTake (Input, 6);
      Memory->Length = FuzzTake (Input, 6);
      break;
    case 6:
      Memory->Base   = 0;
      Memory->Length = 1ULL << Places->PhysicalBits;
      break;
    default:
      Memory->Base   = Places->Bases[Choice >> 5] + (Choice & 0x1F) * Unit - 8 * Unit;
      Memory->Length = ((Shape & 7) + 1) * Unit;
      break;
  }

  if ((Shape & 0x40) != 0) {
    Memory->Base++;
  }

  if ((Shape & 0x80) != 0) {
    Memory->Length--;
  }

  Memory->RWXAttributes = (UINT32)FuzzTake (Input, 1) & 7;
}

STATIC
VOID
MakePci (
  IN OUT FUZZ_INPUT            *Input,
  OUT    STM_RSC_PCI_CFG_DESC  *Pci
  )
{
  UINTN  Index;

  Pci->RWAttributes         = (UINT16)FuzzTake (Input, 1) & 3;
  Pci->Base                 = (UINT16)FuzzTake (Input, 1) * 16;
  Pci->Length               = (UINT16)FuzzTake (Input, 1) + 1;
  Pci->OriginatingBusNumber = (UINT8)FuzzTake (Input, 1);
  for (Index = 0; Index <= Pci->LastNodeIndex; Index++) {
    Pci->PciDevicePath[Index].Type        = 1;
    Pci->PciDevicePath[Index].Subtype     = 1;
    Pci->PciDevicePath[Index].Length      = 6;
    Pci->PciDevicePath[Index].PciDevice   = (UINT8)FuzzTake (Input, 1) & 31;
    Pci->PciDevicePath[Index].PciFunction = (UINT8)FuzzTake (Input, 1) & 7;
  }
}

/**
  One descriptor.

  @return Its length, 0 if there is no room.
**/
STATIC
UINTN
MakeOne (
  IN OUT FUZZ_INPUT         *Input,
  IN     CONST FUZZ_PLACES  *Places,
  OUT    STM_RSC            *Resource,
  IN     UINTN              Room
  )
{
  STATIC CONST UINT8  Lengths[] = { 16, 32, 16, 32, 32, 22, 16, 8, 32 };
  STATIC CONST UINT8  Types[]   = { 1, 1, 1, 2, 2, 4, 4, 3, 5, 6, 7, 8, 1, 2, 4, 1 };
  UINT8               Choice;
  UINT8               Type;
  UINT8               Nodes;
  UINTN               Length;

  Choice = (UINT8)FuzzTake (Input, 1);
  Type   = Types[Choice & 15];
  Nodes  = (Type == 5) ? (Choice >> 6) : 0;
  Length = Lengths[Type] + Nodes * 6;
  if (Length > Room) {
    return 0;
  }

  __builtin_memset (Resource, 0, Length);
  Resource->Header.RscType        = Type;
  Resource->Header.Length         = (UINT16)Length;
  Resource->Header.IgnoreResource = ((Choice & 0x30) == 0x30);
  switch (Type) {
    case MEM_RANGE:
    case MMIO_RANGE:
      MakeMemory (Input, Places, &Resource->Mem);
      break;
    case IO_RANGE:
    case TRAPPED_IO_RANGE:
      Resource->Io.Base   = mPorts[FuzzTake (Input, 1) & 15];
      Resource->Io.Length = (UINT16)((FuzzTake (Input, 1) & 7) + 1);
      if (Type == TRAPPED_IO_RANGE) {
        Resource->TrappedIo.In  = 1;
        Resource->TrappedIo.Api = (UINT16)(Choice >> 7);
      }

      break;
    case MACHINE_SPECIFIC_REG:
      Resource->Msr.MsrIndex             = mMsrs[FuzzTake (Input, 1) & 15];
      Resource->Msr.KernelModeProcessing = Choice >> 7;
      Resource->Msr.ReadMask             = (UINT64)FuzzTake (Input, 1) << 60;
      Resource->Msr.WriteMask            = FuzzTake (Input, 1) & 0x81;
      break;
    case PCI_CFG_RANGE:
      Resource->PciCfg.LastNodeIndex = Nodes;
      MakePci (Input, &Resource->PciCfg);
      break;
    case REGISTER_VIOLATION:
      Resource->RegisterViolation.RegisterType = (UINT32)FuzzTake (Input, 1) % StmRegisterMax;
      break;
    default:
      break;
  }

  return Length;
}

/**
  Make a list.

  @param[in,out] Input    From what.
  @param[in]     Places   What memory it names.
  @param[out]    Bytes    The list.
  @param[in]     Size     Room for it.
  @param[out]    Spoiled  A byte of it may be wrong, or the END.

  @return Its bytes, END included.
**/
UINTN
FuzzMakeList (
  IN OUT FUZZ_INPUT         *Input,
  IN     CONST FUZZ_PLACES  *Places,
  OUT    UINT8              *Bytes,
  IN     UINTN              Size,
  OUT    BOOLEAN            *Spoiled
  )
{
  UINT8    Shape;
  UINTN    Count;
  UINTN    Length;
  UINTN    Used;
  STM_RSC  *End;

  Shape    = (UINT8)FuzzTake (Input, 1);
  Count    = ((Shape & 0x70) == 0x70) ? 128 : (Shape & 7);
  Used     = 0;
  *Spoiled = FALSE;
  for ( ; (Count != 0) && !FuzzIsEmpty (Input); Count--) {
    Length = MakeOne (Input, Places, (STM_RSC *)(Bytes + Used), Size - Used);
    if (Length == 0) {
      break;
    }

    Used += Length;
  }

  if (Size - Used >= sizeof (STM_RSC_END)) {
    End = (STM_RSC *)(Bytes + Used);
    __builtin_memset (End, 0, sizeof (STM_RSC_END));
    End->Header.Length = sizeof (STM_RSC_END);
    Used              += sizeof (STM_RSC_END);
  } else {
    *Spoiled = TRUE;
  }

  for (Count = ((Shape & 0x88) == 0x88) ? ((UINTN)FuzzTake (Input, 1) & 3) : 0; Count != 0; Count--) {
    Bytes[FuzzTake (Input, 2) % Used] = (UINT8)FuzzTake (Input, 1);
    *Spoiled                          = TRUE;
  }

  return Used;
}
