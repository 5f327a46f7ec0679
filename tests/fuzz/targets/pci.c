/** @file
  What stands between the SMI handler and PCI configuration space: the decoder of the
  instructions that reach it in memory, and the paths of descriptors through bridges.

  The decoder is compared with itself: bytes behind an instruction, and a prefix that
  means nothing, change nothing; an instruction that is cut short is none. Paths are
  followed once more, by another way.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <stdlib.h>
#include "fuzz/fuzz.h"
#include "Exit/Decode.h"
#include "Protect/Resource.h"

#define CODE_BYTES  24
#define MOST_NODES  6
#define PREFIX_DS   0x3E
#define LIST_BITS   40
#define BRIDGE      1

///
/// A world of few devices: bytes of an input, by bus, device, function and register.
///
STATIC UINT8  mHeaderTypes[256];
STATIC UINT8  mBuses[256];
STATIC UINTN  mReads;

/**
  Decode from memory that ends where the instruction's bytes do.
**/
STATIC
BOOLEAN
DecodeExactly (
  IN  CONST UINT8  *Code,
  IN  UINTN        Count,
  IN  BOOLEAN      Mode64,
  OUT STM_MOVE     *Move
  )
{
  UINT8    *Copy;
  BOOLEAN  Decoded;

  Copy = malloc (MAX (Count, 1));
  __builtin_memcpy (Copy, Code, Count);
  __builtin_memset (Move, 0, sizeof (*Move));
  Decoded = StmDecodeMove (Copy, Count, Mode64, Move);
  FuzzCalls++;
  free (Copy);
  return Decoded;
}

STATIC
BOOLEAN
Same (
  IN CONST STM_MOVE  *One,
  IN CONST STM_MOVE  *Other,
  IN UINT32          Longer
  )
{
  return (BOOLEAN)((Other->Length == One->Length + Longer) && (One->Size == Other->Size) && (One->Write == Other->Write) &&
                   (One->HasImmediate == Other->HasImmediate) && (One->Immediate == Other->Immediate) &&
                   (One->Register == Other->Register) && (One->RegisterSize == Other->RegisterSize) &&
                   (One->HighByte == Other->HighByte) && (One->SignExtended == Other->SignExtended));
}

STATIC
VOID
CheckMove (
  IN CONST STM_MOVE  *Move,
  IN BOOLEAN         Mode64,
  IN UINT64          Old,
  IN UINT64          Value
  )
{
  UINT64  Mask;
  UINT64  Loaded;

  REQUIRE ((Move->Length >= 2) && (Move->Length <= STM_INSTRUCTION_LENGTH));
  REQUIRE ((Move->Size == 1) || (Move->Size == 2) || (Move->Size == 4) || (Move->Size == 8));
  REQUIRE (Move->Register < (Mode64 ? 16 : 8));
  REQUIRE (Mode64 || (Move->Size <= 4));
  REQUIRE (!Move->HasImmediate || Move->Write);
  REQUIRE (!Move->HighByte || (Move->Register < 4));
  REQUIRE ((Move->Size == 8) || (StmMoveStored (Move, Value) >> (8 * Move->Size) == 0));
  if (Move->Write) {
    return;
  }

  REQUIRE (Move->Size <= Move->RegisterSize);
  Loaded = StmMoveLoaded (Move, Old, Value);
  if (Move->RegisterSize == 4) {
    REQUIRE (Loaded >> 32 == 0);
  } else if (Move->RegisterSize < 4) {
    Mask = ((1ULL << (8 * Move->RegisterSize)) - 1) << (Move->HighByte ? 8 : 0);
    REQUIRE (((Loaded ^ Old) & ~Mask) == 0);
  }
}

STATIC
VOID
FuzzDecoder (
  IN OUT FUZZ_INPUT  *Input
  )
{
  UINT8     Code[1 + CODE_BYTES];
  STM_MOVE  Move;
  STM_MOVE  Again;
  UINTN     Count;
  UINTN     Index;
  UINT8     Shape;
  BOOLEAN   Mode64;

  Shape  = (UINT8)FuzzTake (Input, 1);
  Mode64 = (BOOLEAN)((Shape & 0x80) == 0);
  Count  = (Shape & 0x7F) % (CODE_BYTES + 1);
  for (Index = 0; Index < Count; Index++) {
    Code[1 + Index] = (UINT8)FuzzTake (Input, 1);
  }

  Code[0] = PREFIX_DS;
  if (!DecodeExactly (&Code[1], Count, Mode64, &Move)) {
    //
    // A prefix that means nothing does not make it one, either.
    //
    REQUIRE (!DecodeExactly (Code, 1 + Count, Mode64, &Again));
    return;
  }

  REQUIRE (Move.Length <= Count);
  CheckMove (&Move, Mode64, FuzzTake (Input, 8), FuzzTake (Input, 8));
  REQUIRE (DecodeExactly (&Code[1], Move.Length, Mode64, &Again) && Same (&Move, &Again, 0));
  REQUIRE (!DecodeExactly (&Code[1], Move.Length - 1, Mode64, &Again));
  if (Move.Length < STM_INSTRUCTION_LENGTH) {
    REQUIRE (DecodeExactly (Code, 1 + Count, Mode64, &Again) && Same (&Move, &Again, 1));
  } else {
    REQUIRE (!DecodeExactly (Code, 1 + Count, Mode64, &Again));
  }

  for (Index = 1 + Move.Length; Index < 1 + Count; Index++) {
    Code[Index] ^= 0xFF;
  }

  REQUIRE (DecodeExactly (&Code[1], Count, Mode64, &Again) && Same (&Move, &Again, 0));
}

/**
  Which of the world's devices a place belongs to.
**/
STATIC
UINT8
DeviceAt (
  IN UINT64  Place
  )
{
  return (UINT8)((Place >> 12) ^ (Place >> 20) * 7);
}

STATIC
UINT8
EFIAPI
ReadPci (
  IN CONST VOID  *Context,
  IN UINT64      Place
  )
{
  REQUIRE ((Context == mBuses) && (Place >> 28 == 0));
  mReads++;
  return ((Place & 0xFFF) == 0x0E) ? mHeaderTypes[DeviceAt (Place)] : mBuses[DeviceAt (Place)];
}

/**
  Where the function of a node is, backwards from its path; -1 if it leads nowhere.
**/
STATIC
INT64
FunctionOf (
  IN CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN INT32                       Node
  )
{
  INT64  Bus;
  INT64  Above;

  Bus = Pci->OriginatingBusNumber;
  if (Node > 0) {
    Above = FunctionOf (Pci, Node - 1);
    if ((Above < 0) || ((mHeaderTypes[DeviceAt ((UINT64)Above)] & 0x7F) != BRIDGE) ||
        (mBuses[DeviceAt ((UINT64)Above)] <= (Above >> 20)))
    {
      return -1;
    }

    Bus = mBuses[DeviceAt ((UINT64)Above)];
  }

  return Bus << 20 | (INT64)Pci->PciDevicePath[Node].PciDevice << 15 | (INT64)Pci->PciDevicePath[Node].PciFunction << 12;
}

STATIC
VOID
FuzzPath (
  IN OUT FUZZ_INPUT  *Input
  )
{
  STM_LIMITS                Limits;
  STM_RANGE                 Range;
  UINT8                     Buffer[sizeof (STM_RSC_PCI_CFG_DESC) + MOST_NODES * sizeof (STM_PCI_DEVICE_PATH_NODE)];
  STM_RSC_PCI_CFG_DESC      *Pci;
  STM_PCI_DEVICE_PATH_NODE  *Node;
  UINTN                     Index;
  UINT8                     Shape;
  INT64                     Wanted;

  for (Index = 0; Index < 256; Index++) {
    mHeaderTypes[Index] = 0;
    mBuses[Index]       = (UINT8)(Index * 5);
  }

  Shape = (UINT8)FuzzTake (Input, 1);
  Pci   = (STM_RSC_PCI_CFG_DESC *)Buffer;
  __builtin_memset (Buffer, 0, sizeof (Buffer));
  Pci->LastNodeIndex        = Shape % (MOST_NODES + 1);
  Pci->Hdr.RscType          = PCI_CFG_RANGE;
  Pci->Hdr.Length           = (UINT16)(sizeof (*Pci) + Pci->LastNodeIndex * sizeof (*Node));
  Pci->RWAttributes         = 1 + (Shape >> 6) % 3;
  Pci->Base                 = (UINT16)FuzzTake (Input, 2);
  Pci->Length               = (UINT16)FuzzTake (Input, 2);
  Pci->OriginatingBusNumber = (UINT8)FuzzTake (Input, 1);
  for (Index = 0; Index <= Pci->LastNodeIndex; Index++) {
    Node              = &Pci->PciDevicePath[Index];
    Node->Type        = 1;
    Node->Subtype     = 1;
    Node->Length      = sizeof (*Node);
    Node->PciFunction = (UINT8)FuzzTake (Input, 1) & (((Shape & 0x20) != 0) ? 0xFF : 7);
    Node->PciDevice   = (UINT8)FuzzTake (Input, 1) & (((Shape & 0x20) != 0) ? 0xFF : 0x1F);
    //
    // Whatever is at the end of the path so far becomes a bridge, mostly.
    //
    Wanted = FunctionOf (Pci, (INT32)Index);
    if (Wanted >= 0) {
      mHeaderTypes[DeviceAt ((UINT64)Wanted)] = (UINT8)FuzzTake (Input, 1);
      mBuses[DeviceAt ((UINT64)Wanted)]       = (UINT8)FuzzTake (Input, 1);
    }
  }

  if (StmResourceRead ((CONST STM_RSC *)Pci, sizeof (Buffer), LIST_BITS, &Range) != StmResourcePci) {
    FuzzCalls++;
    return;
  }

  __builtin_memset (&Limits, 0, sizeof (Limits));
  Limits.ReadPci    = ReadPci;
  Limits.PciContext = mBuses;
  mReads            = 0;
  Wanted            = FunctionOf (Pci, Pci->LastNodeIndex);
  FuzzCalls++;
  if (!StmPciResolve (&Limits, Pci, &Range)) {
    REQUIRE (Wanted < 0);
    return;
  }

  REQUIRE (mReads == 2U * Pci->LastNodeIndex);
  REQUIRE ((Wanted >= 0) && (Range.Space == StmSpacePci) && (Range.Access == Pci->RWAttributes));
  REQUIRE ((Range.Base == (UINT64)Wanted + Pci->Base) && (Range.End == Range.Base + Pci->Length));
  REQUIRE ((Range.Base < Range.End) && (Range.End <= (UINT64)Wanted + STM_PCI_FUNCTION_SIZE));
  for (Index = 0; Index < Pci->LastNodeIndex; Index++) {
    StmPciBusNumbers (&Limits, Pci, Index, &Range);
    REQUIRE ((Range.Space == StmSpacePci) && (Range.Access == STM_ACCESS_WRITE));
    REQUIRE ((Range.Base == (UINT64)FunctionOf (Pci, (INT32)Index) + 0x18) && (Range.End == Range.Base + 3));
  }
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  FUZZ_INPUT  Input = { Data, Data + Size };

  do {
    if ((FuzzTake (&Input, 1) & 1) == 0) {
      FuzzDecoder (&Input);
    } else {
      FuzzPath (&Input);
    }
  } while (!FuzzIsEmpty (&Input));

  return 0;
}
