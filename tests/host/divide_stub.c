/** @file
  Init/Divide.c with a memory map that the test gives; activation tables are in the memory
  of the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init/Init.h"
#include "copy_stub.h"

STM_SHARED  TestShared;
UINT32      TestFlushes;   ///< of what the processor remembers of page tables

UINTN
EFIAPI
AsmReadCr3 (
  VOID
  )
{
  return (UINTN)TestShared.ActivationTables;
}

UINTN
EFIAPI
AsmWriteCr3 (
  IN UINTN  Cr3
  )
{
  TestFlushes++;
  return Cr3;
}

/**
  Divide, and tell what came out.

  @param[in]  Dynamic     Start of the dynamic area.
  @param[in]  MsegEnd     End of MSEG.
  @param[in]  VmcsSize    Bytes of a VMCS region.
  @param[in]  Processors  How many are served.
  @param[out] Found       BlockSize, BlockLimit, BiosRoom, PoolPages, RingRecords, BiosList,
                          Ring, Pool, FirstBlock, Vmcss.

  @return What StmDivideMseg returned.
**/
UINT32
TestDivide (
  IN  UINT64  Dynamic,
  IN  UINT64  MsegEnd,
  IN  UINT32  VmcsSize,
  IN  UINT32  Processors,
  OUT UINT64  Found[10]
  )
{
  UINT32  Done;

  __builtin_memset (&TestShared, 0, sizeof (TestShared));
  TestShared.Dynamic  = Dynamic;
  TestShared.MsegEnd  = MsegEnd;
  TestShared.VmcsSize = VmcsSize;
  TestShared.BiosRoom = 1;
  Done                = StmDivideMseg (&TestShared, Processors);
  Found[0]            = TestShared.BlockSize;
  Found[1]            = TestShared.BlockLimit;
  Found[2]            = TestShared.BiosRoom;
  Found[3]            = TestShared.PoolPages;
  Found[4]            = TestShared.RingRecords;
  Found[5]            = TestShared.BiosList;
  Found[6]            = TestShared.Ring;
  Found[7]            = TestShared.Pool;
  Found[8]            = TestShared.FirstBlock;
  Found[9]            = TestShared.Vmcss;
  return Done;
}

/**
  Take the activation tables that are not needed.

  @param[in]  Tables  The tables.
  @param[in]  Base    Of MSEG.
  @param[in]  End     Of MSEG.
  @param[out] Found   Draft, BiosList and places of the VMCS database, from the start of the
                      tables; 1 if there is a spare block.

  @retval TRUE   Taken.
  @retval FALSE  StmTakeTables has refused.
**/
BOOLEAN
TestTables (
  IN  UINT64  Tables,
  IN  UINT64  Base,
  IN  UINT64  End,
  OUT UINT64  Found[4]
  )
{
  __builtin_memset (&TestShared, 0, sizeof (TestShared));
  TestShared.ActivationTables = Tables;
  TestShared.MsegBase         = Base;
  TestShared.MsegEnd          = End;
  if (!StmTakeTables (&TestShared)) {
    return FALSE;
  }

  Found[0] = TestShared.Draft - Tables;
  Found[1] = TestShared.BiosList - Tables;
  Found[2] = (UINTN)TestShared.Domains.Places - Tables;
  Found[3] = STM_HAS_SPARE (&TestShared);
  return TRUE;
}
