/** @file
  The chipset of the API on the host: ports of PCI configuration space, where another
  processor may write, too, and the host bridge in memory (ECAM).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api_stub_state.h"

#define ADDRESS_ENABLE  BIT31
#define EXBAR           0x60
#define EXBAR_SIZE(Value)  (SIZE_256MB >> (((Value) >> 1) & 3))

///
/// A register that holds what could be PCIEXBAR, of another place.
///
#define SCRATCH        (ADDRESS_ENABLE | 0xF850)
#define SCRATCH_VALUE  0xD0000001

STATIC UINT32  mAddress;       ///< at port CF8H
STATIC UINT32  mIdentifier;
STATIC UINT64  mExBar;
STATIC UINT32  mForeign;       ///< what another processor writes to CF8H
STATIC UINT32  mUntil;         ///< behind so many accesses of port CFCH
STATIC UINT32  mDisturbed;     ///< how often
STATIC UINT32  mPutsBack;      ///< and whether it puts back what was there
STATIC UINT32  mAccesses;      ///< of port CFCH
STATIC UINT64  mGuarded;       ///< STM_ECAM of the STM when it was last looked at
UINT32         TestEcamMoves;  ///< how often it was another one than before

/**
  The host bridge.

  @param[in] Identifier  Vendor and device.
  @param[in] ExBar       PCIEXBAR.
**/
VOID
TestChipset (
  IN UINT32  Identifier,
  IN UINT64  ExBar
  )
{
  mIdentifier = Identifier;
  mExBar      = ExBar;
  mAccesses   = 0;
  mDisturbed  = 0;
  mUntil      = 0;
}

/**
  Another processor, which writes to CF8H between an access of the STM's there and the one of
  port CFCH behind it.

  @param[in] Address   What it writes.
  @param[in] Until     How many accesses it leaves alone before.
  @param[in] Times     How often it comes in time.
  @param[in] PutsBack  Not 0: it puts the address back.
**/
VOID
TestDisturb (
  IN UINT32  Address,
  IN UINT32  Until,
  IN UINT32  Times,
  IN UINT32  PutsBack
  )
{
  mForeign   = Address;
  mUntil     = Until;
  mDisturbed = Times;
  mPutsBack  = PutsBack;
}

/**
  How often port CFCH was accessed since TestChipset.
**/
UINT32
TestPortAccesses (
  VOID
  )
{
  return mAccesses;
}

/**
  See whether the STM guards another place than when it was looked at last, as a handler on
  another processor would.
**/
VOID
TestLookAtEcam (
  VOID
  )
{
  if (TestShared ()->Ecam != mGuarded) {
    mGuarded = TestShared ()->Ecam;
    TestEcamMoves++;
  }
}

STATIC
UINT32
Register (
  IN UINT32  Address
  )
{
  switch (Address) {
    case ADDRESS_ENABLE:
      return mIdentifier;
    case ADDRESS_ENABLE | EXBAR:
      return (UINT32)mExBar;
    case ADDRESS_ENABLE | (EXBAR + 4):
      return (UINT32)(mExBar >> 32);
    case SCRATCH:
      return SCRATCH_VALUE;
    default:
      return MAX_UINT32;
  }
}

/**
  Is a page the host bridge's in ECAM?

  @param[in]  Page  The page.
  @param[out] Copy  Gets what is there.
**/
BOOLEAN
TestIsBridge (
  IN  UINT64  Page,
  OUT UINT32  Copy[SIZE_4KB / sizeof (UINT32)]
  )
{
  if (((mExBar & BIT0) == 0) || (mIdentifier == MAX_UINT32) || (Page != (mExBar & (SIZE_64GB - EXBAR_SIZE (mExBar))))) {
    return FALSE;
  }

  Copy[0]             = mIdentifier;
  Copy[EXBAR / 4]     = (UINT32)mExBar;
  Copy[EXBAR / 4 + 1] = (UINT32)(mExBar >> 32);
  return TRUE;
}

UINT8
IoRead8 (
  IN UINTN  Port
  )
{
  return MAX_UINT8;
}

UINT16
IoRead16 (
  IN UINTN  Port
  )
{
  return MAX_UINT16;
}

UINT32
IoRead32 (
  IN UINTN  Port
  )
{
  UINT32  Value;
  UINT32  Before;

  TestLookAtEcam ();
  if (Port == STM_PCI_PORTS_BASE) {
    return mAddress;
  }

  mAccesses++;
  Before = mAddress;
  if (mUntil != 0) {
    mUntil--;
  } else if (mDisturbed != 0) {
    mDisturbed--;
    mAddress = mForeign;
  }

  Value = Register (mAddress);
  if (mPutsBack != 0) {
    mAddress = Before;
  }

  return Value;
}

UINT32
IoWrite32 (
  IN UINTN   Port,
  IN UINT32  Value
  )
{
  if (Port == STM_PCI_PORTS_BASE) {
    mAddress = Value;
  }

  return Value;
}
