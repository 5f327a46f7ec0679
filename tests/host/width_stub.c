/** @file
  A processor for the width of physical addresses: what CPUID answers is the test's.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/BaseLib.h>
#include <Register/Intel/Cpuid.h>

UINT32  mTestLast;     ///< last leaf of the extended ones
UINT32  mTestSize;     ///< EAX of the leaf that tells the width
UINT32  mTestBeyond;   ///< EAX of a leaf behind the last one

UINT32
EFIAPI
AsmCpuid (
  IN  UINT32  Leaf,
  OUT UINT32  *Eax,
  OUT UINT32  *Ebx,
  OUT UINT32  *Ecx,
  OUT UINT32  *Edx
  )
{
  if (Leaf == CPUID_EXTENDED_FUNCTION) {
    *Eax = mTestLast;
  } else {
    *Eax = (Leaf > mTestLast) ? mTestBeyond : mTestSize;
  }

  return Leaf;
}
