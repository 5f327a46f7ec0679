/** @file
  The width of physical addresses, which decides whether a range of memory is one.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Library/StmResourceLib.h>
#include <Library/BaseLib.h>
#include <Register/Intel/Cpuid.h>

///
/// With physical-address extension, which IA-32e mode needs, and without the leaf that
/// tells the width.
///
#define WIDTH_BY_DEFAULT  36

/**
  The width of physical addresses, by "Enumeration of Paging Features by CPUID", 4.1.4.

  Not every processor has the leaf that tells it: asked for one that it does not have, it
  answers with another, in which the width would be 0. The maximum is therefore asked first.

  @return Bits.
**/
UINT32
EFIAPI
StmPhysicalAddressBits (
  VOID
  )
{
  CPUID_VIR_PHY_ADDRESS_SIZE_EAX  Size;
  UINT32                          Last;

  AsmCpuid (CPUID_EXTENDED_FUNCTION, &Last, NULL, NULL, NULL);
  if (Last < CPUID_VIR_PHY_ADDRESS_SIZE) {
    return WIDTH_BY_DEFAULT;
  }

  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Size.Uint32, NULL, NULL, NULL);
  return Size.Bits.PhysicalAddressBits;
}
