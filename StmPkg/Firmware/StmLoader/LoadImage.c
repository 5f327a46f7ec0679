/** @file
  Fills MSEG from a checked image file.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmResourceLib.h>

//
// Page-table entry bits (SDM "4-Level Paging and 5-Level Paging", 4.5). Accessed
// and dirty are set beforehand, so that the processor never writes the tables.
//
#define ENTRY_PRESENT     BIT0
#define ENTRY_WRITABLE    BIT1
#define ENTRY_ACCESSED    BIT5
#define ENTRY_DIRTY       BIT6
#define ENTRY_LARGE_PAGE  BIT7

#define ENTRY_TABLE  (ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_ACCESSED)
#define ENTRY_PAGE   (ENTRY_TABLE | ENTRY_DIRTY | ENTRY_LARGE_PAGE)

#define ENTRIES_PER_TABLE  512
#define DIRECTORIES        4

/**
  Build the page tables of the activation: 4 GB identity in 2-MB pages. No entry
  has the XD bit, which is reserved while EFER.NXE is 0, as the executive monitor
  may have left it (DM-ACT-62).

  @param[out] Tables  STM_MSEG_ACTIVATION_TABLES_PAGES pages, mapped at their
                      physical address.
**/
VOID
BuildActivationTables (
  OUT UINT64  *Tables
  )
{
  UINT64  *DirectoryPointers;
  UINT64  *Directories;
  UINTN   Index;

  DirectoryPointers = Tables + ENTRIES_PER_TABLE;
  Directories       = DirectoryPointers + ENTRIES_PER_TABLE;

  ZeroMem (Tables, STM_MSEG_ACTIVATION_TABLES_SIZE);
  Tables[0] = (UINT64)(UINTN)DirectoryPointers | ENTRY_TABLE;
  for (Index = 0; Index < DIRECTORIES; Index++) {
    DirectoryPointers[Index] = (UINT64)(UINTN)(Directories + Index * ENTRIES_PER_TABLE) | ENTRY_TABLE;
  }

  for (Index = 0; Index < DIRECTORIES * ENTRIES_PER_TABLE; Index++) {
    Directories[Index] = ((UINT64)Index * SIZE_2MB) | ENTRY_PAGE;
  }
}

/**
  Make everything behind the static part of an image of ours as it expects it at its
  first activation: page tables, loader data, and nothing else.

  @param[in] Memory              MSEG and TSEG.
  @param[in] StaticSize          Bytes of the static part.
  @param[in] NumberOfProcessors  Processors that will share MSEG.
  @param[in] MsegSha256          Digest of the static part.
**/
VOID
ResetMseg (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  StaticSize,
  IN UINT32                  NumberOfProcessors,
  IN CONST UINT8             MsegSha256[STM_SHA256_DIGEST_SIZE]
  )
{
  STM_LOADER_DATA  *Data;
  UINT8            *Mseg;

  Mseg = (UINT8 *)(UINTN)Memory->MsegBase;
  ZeroMem (Mseg + StaticSize, (UINTN)Memory->MsegSize - StaticSize);
  BuildActivationTables ((UINT64 *)(Mseg + StaticSize));

  Data                      = (STM_LOADER_DATA *)(Mseg + StaticSize + STM_MSEG_ACTIVATION_TABLES_SIZE);
  Data->Signature           = STM_LOADER_DATA_SIGNATURE;
  Data->MsegBase            = Memory->MsegBase;
  Data->MsegSize            = Memory->MsegSize;
  Data->TsegBase            = Memory->TsegBase;
  Data->TsegSize            = Memory->TsegSize;
  Data->NumberOfProcessors  = NumberOfProcessors;
  Data->PhysicalAddressBits = StmPhysicalAddressBits ();
  CopyMem (Data->MsegSha256, MsegSha256, sizeof (Data->MsegSha256));
  TellPolicy (Data);
}

/**
  Copy a checked image to MSEG and build what it needs there.

  Of an image of ours the static part is copied, which is all of the file. Of another
  one the whole file is, as edk2's own loader does, and the page tables go to
  where its header says, whatever of the file is there: only up to StaticImageSize is
  it the image's.

  @param[in]  Image               The image file, with StmReasonNone from StmCheckImage.
  @param[in]  Memory              MSEG and TSEG.
  @param[in]  NumberOfProcessors  Processors that will share MSEG.
  @param[in]  Revision            MSEG revision identifier of the processor, for an image
                                  that leaves it 0.
  @param[out] MsegSha256          Digest of MSEG's static part.

  @return Bytes of the static part.
**/
UINT32
LoadStmImage (
  IN  CONST STM_IMAGE         *Image,
  IN  CONST STM_MEMORY_FACTS  *Memory,
  IN  UINT32                  NumberOfProcessors,
  IN  UINT32                  Revision,
  OUT UINT8                   MsegSha256[STM_SHA256_DIGEST_SIZE]
  )
{
  MSEG_HEADER  *Hardware;
  UINT8        *Mseg;
  UINT32       StaticSize;
  BOOLEAN      Lab;

  Mseg       = (UINT8 *)(UINTN)Memory->MsegBase;
  Hardware   = (MSEG_HEADER *)Mseg;
  StaticSize = ((CONST SOFTWARE_STM_HEADER *)(Image->File + STM_MSEG_SOFTWARE_HEADER_OFFSET))->StaticImageSize;
  Lab        = StmHasLabHeader (Image->File, Image->Size);

  ZeroMem (Mseg, (UINTN)Memory->MsegSize);
  CopyMem (Mseg, Image->File, Lab ? StaticSize : Image->Size);
  Hardware->MsegHeaderRevision = Revision;
  StmSha256 (Mseg, StaticSize, MsegSha256);
  if (Lab) {
    ResetMseg (Memory, StaticSize, NumberOfProcessors, MsegSha256);
  } else {
    BuildActivationTables ((UINT64 *)(Mseg + Hardware->Cr3Offset));
  }

  return StaticSize;
}
