/** @file
  The STM's optional policies: what the platform's build says, or in a build for the
  lab the owner of the machine.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/DebugLib.h>
#include <Library/PcdLib.h>
#include <Library/StmFwCfgLib.h>

#define TICKS_PER_UNIT  1000000ULL   ///< of PcdStmRendezvousLimit
#define MOST_DIGITS     8

STATIC UINT32  mRendezvous;   ///< millions of ticks
STATIC UINT32  mSnapshot;     ///< pages

/**
  Read a decimal number from a fw_cfg file.

  @param[in]     Name   The file.
  @param[in,out] Value  Gets the number; left alone if there is no such file.
**/
STATIC
VOID
ReadNumber (
  IN     CONST CHAR8  *Name,
  IN OUT UINT32       *Value
  )
{
  CHAR8  Text[MOST_DIGITS + 1];
  UINTN  Size;
  UINTN  Index;

  if (!StmFwCfgOpen (Name, &Size)) {
    return;
  }

  if ((Size == 0) || (Size > MOST_DIGITS)) {
    DEBUG ((DEBUG_ERROR, "%a: %a is no number of at most %d digits, ignored\n", gEfiCallerBaseName, Name, MOST_DIGITS));
    return;
  }

  StmFwCfgRead (Size, Text);
  Text[Size] = '\0';
  for (Index = 0; Index < Size; Index++) {
    if ((Text[Index] < '0') || (Text[Index] > '9')) {
      DEBUG ((DEBUG_ERROR, "%a: %a is no decimal number, ignored\n", gEfiCallerBaseName, Name));
      return;
    }
  }

  *Value = (UINT32)AsciiStrDecimalToUintn (Text);
}

/**
  Find out which optional policies the STM is to enforce. Not in SMM, where the fw_cfg
  device is not the firmware's alone: a wake uses what was found at boot.
**/
VOID
FindPolicy (
  VOID
  )
{
  mRendezvous = FixedPcdGet32 (PcdStmRendezvousLimit);
  mSnapshot   = FixedPcdGet32 (PcdStmSnapshotPages);
  if (FeaturePcdGet (PcdStmImageOverride)) {
    ReadNumber (STM_RENDEZVOUS_FILE, &mRendezvous);
    ReadNumber (STM_SNAPSHOT_FILE, &mSnapshot);
  }
}

/**
  What the optional policies take of MSEG, with an STM of ours.

  @param[in] NumberOfProcessors  Processors that will share MSEG.

  @return Bytes.
**/
UINT64
PolicySize (
  IN UINT32  NumberOfProcessors
  )
{
  return STM_SNAPSHOT_SIZE (mSnapshot, NumberOfProcessors);
}

/**
  Tell the STM which optional policies it is to enforce.

  @param[out] Data  The loader's data.
**/
VOID
TellPolicy (
  OUT STM_LOADER_DATA  *Data
  )
{
  Data->RendezvousTicks = mRendezvous * TICKS_PER_UNIT;
  Data->SnapshotPages   = mSnapshot;
}
