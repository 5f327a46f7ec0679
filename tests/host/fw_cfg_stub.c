/** @file
  QEMU's fw_cfg behind its two ports, for tests on the host: items by number,
  each read from its start once it is selected, zeros behind its end.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>

#define ITEMS           64
#define PORT_SELECTOR   0x510
#define PORT_DATA       0x511

STATIC CONST UINT8  *mContent[ITEMS];
STATIC UINT32       mLength[ITEMS];
STATIC UINT16       mSelected;
STATIC UINT32       mOffset;
UINT32              TestBadAccesses;

VOID
TestItem (
  IN UINT16       Number,
  IN CONST UINT8  *Content,
  IN UINT32       Length
  )
{
  mContent[Number] = Content;
  mLength[Number]  = Length;
}

UINT16
EFIAPI
IoWrite16 (
  IN UINTN   Port,
  IN UINT16  Value
  )
{
  TestBadAccesses += (Port != PORT_SELECTOR) || (Value >= ITEMS);
  mSelected        = Value % ITEMS;
  mOffset          = 0;
  return Value;
}

VOID
EFIAPI
IoReadFifo8 (
  IN  UINTN  Port,
  IN  UINTN  Count,
  OUT VOID   *Buffer
  )
{
  UINT8  *Byte;

  TestBadAccesses += (Port != PORT_DATA);
  for (Byte = Buffer; Count != 0; Count--, Byte++, mOffset++) {
    *Byte = (mOffset < mLength[mSelected]) ? mContent[mSelected][mOffset] : 0;
  }
}

UINT16
EFIAPI
SwapBytes16 (
  IN UINT16  Value
  )
{
  return __builtin_bswap16 (Value);
}

UINT32
EFIAPI
SwapBytes32 (
  IN UINT32  Value
  )
{
  return __builtin_bswap32 (Value);
}

INTN
EFIAPI
AsciiStrnCmp (
  IN CONST CHAR8  *First,
  IN CONST CHAR8  *Second,
  IN UINTN        Length
  )
{
  return __builtin_strncmp (First, Second, Length);
}
