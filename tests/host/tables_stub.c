/** @file
  Init/HostState.c and Protect/Ept.c in an MSEG that Init/Divide.c has divided. TSEG is memory
  of the host at the address that it has for the STM, since the tables hold addresses.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#define _GNU_SOURCE
#include <sys/mman.h>

#include "Init/Init.h"
#include "Protect/Bitmap.h"
#include "Protect/Ept.h"
#include "copy_stub.h"
#include "shift_stub.h"

STATIC STM_SHARED  mShared;
STATIC BOOLEAN     mHugePages;

UINTN
EFIAPI
AsmReadCr3 (
  VOID
  )
{
  return (UINTN)mShared.ActivationTables;
}

UINTN
EFIAPI
AsmWriteCr3 (
  IN UINTN  Cr3
  )
{
  return Cr3;
}

UINT64
EFIAPI
VmxReadEptCapability (
  VOID
  )
{
  return EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES | (mHugePages ? EPT_CAP_1GB_PAGES : 0);
}

VOID
EFIAPI
VmxBuildIdt (
  OUT IA32_IDT_GATE_DESCRIPTOR  *Idt,
  IN  UINTN                     Stubs
  )
{
}

VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  )
{
}

/**
  Give TSEG memory, or take it away.

  @param[in] Base  Of TSEG.
  @param[in] Size  Of TSEG, bytes.
  @param[in] Give  FALSE to take.

  @retval TRUE   Done.
  @retval FALSE  This process has something else there.
**/
BOOLEAN
TestMemory (
  IN UINT64   Base,
  IN UINT64   Size,
  IN BOOLEAN  Give
  )
{
  if (!Give) {
    return munmap ((VOID *)(UINTN)Base, Size) == 0;
  }

  return mmap (
           (VOID *)(UINTN)Base,
           Size,
           PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
           -1,
           0
           ) == (VOID *)(UINTN)Base;
}

/**
  Build the STM's own page tables and the EPT.

  @param[in]  Base        Of TSEG.
  @param[in]  Size        Of TSEG, bytes.
  @param[in]  Mseg        Base of MSEG; its activation tables are at Static behind it.
  @param[in]  MsegSize    Of MSEG, bytes.
  @param[in]  Static      Bytes of the static image.
  @param[in]  Text        Offset of the text, 1000H, and its size in the upper half.
  @param[in]  Processors  How many are served.
  @param[in]  HugePages   Has the processor EPT leaves of 1 GB?
  @param[in]  Again       TRUE for another activation, on the tables as the last one has left them.
  @param[out] Found       HostCr3, EptPointer, pages of the pool, those of it that the STM's
                          own tables take, and those that the EPT takes.

  @return What StmBuildShared returned; MAX_UINT32 if it did not come so far.
**/
UINT32
TestBuild (
  IN  UINT64   Base,
  IN  UINT64   Size,
  IN  UINT64   Mseg,
  IN  UINT64   MsegSize,
  IN  UINT64   Static,
  IN  UINT64   Text,
  IN  UINT32   Processors,
  IN  BOOLEAN  HugePages,
  IN  BOOLEAN  Again,
  OUT UINT64   Found[5]
  )
{
  STM_LAB_HEADER  *Header;
  UINT64          *Tables;
  UINT64          Own;
  UINT32          Index;
  UINT32          Problem;

  ZeroMem (&mShared, sizeof (mShared));
  mHugePages               = HugePages;
  mShared.TsegBase         = Base;
  mShared.TsegEnd          = Base + Size;
  mShared.MsegBase         = Mseg;
  mShared.MsegEnd          = Mseg + MsegSize;
  mShared.ActivationTables = Mseg + Static;
  mShared.Dynamic          = mShared.ActivationTables + STM_DYNAMIC_FROM_TABLES;
  mShared.PhysicalBits     = 40;
  mShared.VmcsSize         = SIZE_1KB;
  Header                   = (STM_LAB_HEADER *)(UINTN)(Mseg + STM_MSEG_LAB_HEADER_OFFSET);
  Header->TextOffset       = (UINT32)Text;
  Header->TextSize         = (UINT32)(Text >> 32);

  //
  // As firmware makes them.
  //
  Own    = Mseg / SIZE_1GB;
  Tables = (UINT64 *)(UINTN)mShared.ActivationTables;
  if (!Again) {
    ZeroMem (Tables, STM_MSEG_ACTIVATION_TABLES_SIZE);
    Tables[0] = (mShared.ActivationTables + STM_TABLES_POINTERS) | 0x23;
    for (Index = 0; Index < 4; Index++) {
      Tables[512 + Index] = (mShared.ActivationTables + STM_TABLES_DIRECTORY (Index)) | 0x23;
    }

    for (Index = 0; Index < 512; Index++) {
      Tables[(2 + Own) * 512 + Index] = (Own * SIZE_1GB + Index * (UINT64)SIZE_2MB) | 0xE3;
    }
  }

  if (!StmTakeTables (&mShared) || !StmDivideMseg (&mShared, Processors)) {
    return MAX_UINT32;
  }

  Problem  = StmBuildShared (&mShared, 0);
  Found[0] = mShared.HostCr3;
  Found[1] = mShared.EptPointer;
  Found[2] = mShared.PoolPages;
  Found[3] = mShared.PoolPages - mShared.EptPages;
  Found[4] = mShared.Ept.PoolUsed;
  return Problem;
}
