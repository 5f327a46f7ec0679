/** @file
  What StmRecordLib needs from the processor, for tests on the host: a port that
  collects bytes, a clock that counts calls.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>

#define TEXT_LIMIT  0x10000

UINT8          TestText[TEXT_LIMIT];
UINT32         TestTextLength;
UINT16         TestPort;
STATIC UINT64  mClock;

UINT8
EFIAPI
IoWrite8 (
  IN UINTN  Port,
  IN UINT8  Value
  )
{
  TestPort = (UINT16)Port;
  if (TestTextLength < TEXT_LIMIT) {
    TestText[TestTextLength++] = Value;
  }

  return Value;
}

UINT64
EFIAPI
AsmReadTsc (
  VOID
  )
{
  return ++mClock;
}

UINT64
EFIAPI
DivU64x32Remainder (
  IN  UINT64  Dividend,
  IN  UINT32  Divisor,
  OUT UINT32  *Remainder  OPTIONAL
  )
{
  *Remainder = (UINT32)(Dividend % Divisor);
  return Dividend / Divisor;
}
