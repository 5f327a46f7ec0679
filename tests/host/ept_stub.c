/** @file
  The EPT as other processors' handlers see it while it changes: after each step of it
  somebody looks at one page.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State/State.h"
#include "Protect/Ept.h"
#include "copy_stub.h"
#include "shift_stub.h"

#define TEST_TSEG_BASE  0x7F000000ULL
#define TEST_MSEG_BASE  0x7FE00000ULL
#define TEST_TSEG_END   0x80000000ULL

STATIC STM_SHARED  mShared;
STATIC UINT64      mWatched;
STATIC UINT32      mSeen;     ///< permissions that the page has had
STATIC UINT32      mLooks;

STATIC
VOID
Look (
  VOID
  )
{
  UINT64  Size;

  mLooks++;
  mSeen |= (UINT32)StmPageMapLookup (&mShared.Ept, mWatched, &Size) & STM_ACCESS_ALL;
}

STATIC
BOOLEAN
WatchedRange (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Physical,
  IN     UINT64        Length,
  IN     UINT64        Attributes
  )
{
  BOOLEAN  Done;

  Done = StmPageMapRange (Map, Virtual, Physical, Length, Attributes);
  Look ();
  return Done;
}

STATIC
BOOLEAN
WatchedChange (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Length,
  IN     UINT64        Mask,
  IN     UINT64        Bits
  )
{
  BOOLEAN  Done;

  Done = StmPageMapChange (Map, Virtual, Length, Mask, Bits);
  Look ();
  return Done;
}

STATIC
VOID
WatchedMerge (
  IN OUT STM_PAGE_MAP  *Map,
  IN     UINT64        Virtual,
  IN     UINT64        Length
  )
{
  StmPageMapMerge (Map, Virtual, Length);
  Look ();
}

#define StmPageMapRange   WatchedRange
#define StmPageMapChange  WatchedChange
#define StmPageMapMerge   WatchedMerge
#include "Protect/Ept.c"

UINT64
EFIAPI
VmxReadEptCapability (
  VOID
  )
{
  return EPT_NEEDED;
}

VMX_RESULT
EFIAPI
AsmInvEpt (
  IN UINT64  Type,
  IN UINT64  EptPointer
  )
{
  return VmxSucceed;
}

/**
  Map memory that a handler touches, where some of it is protected.

  @param[in]  Pool     Pages for the tables.
  @param[in]  Pages    Their number.
  @param[in]  Ranges   What is protected.
  @param[in]  Count    Their number.
  @param[in]  Touched  Address.
  @param[in]  Watched  Address of the page that is looked at.
  @param[out] Looks    How often it was.

  @return Permissions that it has had, STM_ACCESS_READ and so on; MAX_UINT32 for not mapped.
**/
UINT32
TestMapOnDemand (
  IN  VOID             *Pool,
  IN  UINT32           Pages,
  IN  CONST STM_RANGE  *Ranges,
  IN  UINT32           Count,
  IN  UINT64           Touched,
  IN  UINT64           Watched,
  OUT UINT32           *Looks
  )
{
  STATIC STM_PROFILE  Profile;
  UINT32              Index;

  ZeroMem (&mShared, sizeof (mShared));
  mShared.TsegBase     = TEST_TSEG_BASE;
  mShared.TsegEnd      = TEST_TSEG_END;
  mShared.MsegBase     = TEST_MSEG_BASE;
  mShared.MsegEnd      = TEST_TSEG_END;
  mShared.PhysicalBits = 36;
  mShared.EptPool      = (UINT64)(UINTN)Pool;
  mShared.EptPages     = Pages;
  Profile.Count        = 0;
  for (Index = 0; Index < Count; Index++) {
    StmProfileChange (&Profile, &Ranges[Index], TRUE);
  }

  mWatched = Watched;
  if (!StmBuildEpt (&mShared)) {
    return MAX_UINT32;
  }

  mSeen  = 0;
  mLooks = 0;
  if (!StmMapOnDemand (&mShared, &Profile, Touched, STM_ACCESS_READ)) {
    return MAX_UINT32;
  }

  *Looks = mLooks;
  return mSeen;
}
