/** @file
  Init/Divide.c with a memory map that the test gives; activation tables are in the memory
  of the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init/Init.h"

STM_SHARED  TestShared;

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
  @param[out] Found   Draft and BiosList, from the start of the tables.

  @return A bit for each table that stays; 0 if StmTakeTables has refused.
**/
UINT32
TestTables (
  IN  UINT64  Tables,
  IN  UINT64  Base,
  IN  UINT64  End,
  OUT UINT64  Found[2]
  )
{
  UINT32  Index;
  UINT32  Stay;

  __builtin_memset (&TestShared, 0, sizeof (TestShared));
  TestShared.ActivationTables = Tables;
  TestShared.MsegBase         = Base;
  TestShared.MsegEnd          = End;
  if (!StmTakeTables (&TestShared)) {
    return 0;
  }

  Found[0] = TestShared.Draft - Tables;
  Found[1] = TestShared.BiosList - Tables;
  Stay     = 0;
  for (Index = 0; Index < STM_MSEG_ACTIVATION_TABLES_PAGES; Index++) {
    Stay |= (UINT32)StmTableIsWalked (&TestShared, Index) << Index;
  }

  return Stay;
}
