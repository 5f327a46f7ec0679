/** @file
  State/Memory.c with a memory map that the test gives.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State/State.h"

STATIC STM_SHARED  mShared;

VOID
TestMap (
  IN UINT64  TsegBase,
  IN UINT64  TsegEnd,
  IN UINT64  MsegBase,
  IN UINT64  MsegEnd
  )
{
  mShared.TsegBase = TsegBase;
  mShared.TsegEnd  = TsegEnd;
  mShared.MsegBase = MsegBase;
  mShared.MsegEnd  = MsegEnd;
}

UINT32
TestPageInSmram (
  IN UINT64  Page
  )
{
  return StmPageInSmram (&mShared, Page);
}

UINT32
TestPageIsExecutives (
  IN UINT64  Page,
  IN UINT32  PhysicalBits
  )
{
  mShared.PhysicalBits = PhysicalBits;
  return StmPageIsExecutives (&mShared, Page);
}

UINT32
TestInHandlerSmram (
  IN UINT64  Base,
  IN UINT64  Length
  )
{
  return StmInHandlerSmram (&mShared, Base, Length);
}
