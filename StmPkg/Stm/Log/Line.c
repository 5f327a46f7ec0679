/** @file
  Line records to the STM's debug port (StmRecord.h). No buffer, no lock, no
  state, so that a crash can use it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Log.h"
#include <Library/IoLib.h>

#define DECIMAL_DIGITS  20
#define HEX_DIGITS      16

STATIC CONST CHAR8  mHexDigits[] = "0123456789abcdef";

/**
  Write a string.

  @param[in] Text  ASCII, no spaces if it is a value.
**/
STATIC
VOID
PutText (
  IN CONST CHAR8  *Text
  )
{
  while (*Text != '\0') {
    IoWrite8 (STM_RECORD_PORT_STM, (UINT8)*Text);
    Text++;
  }
}

/**
  Write " KEY=".

  @param[in] Key  Name of the value that follows.
**/
STATIC
VOID
PutKey (
  IN CONST CHAR8  *Key
  )
{
  PutText (" ");
  PutText (Key);
  PutText ("=");
}

/**
  Begin a line record: "STM: ev=NAME t=TIME".

  @param[in] Event  Name.
  @param[in] Time   Time-stamp counter.
**/
VOID
StmLineBegin (
  IN CONST CHAR8  *Event,
  IN UINT64       Time
  )
{
  PutText ("STM: ev=");
  PutText (Event);
  StmLineDecimal ("t", Time);
}

/**
  Add a key with a string.

  @param[in] Key    Name.
  @param[in] Value  String without spaces.
**/
VOID
StmLineText (
  IN CONST CHAR8  *Key,
  IN CONST CHAR8  *Value
  )
{
  PutKey (Key);
  PutText (Value);
}

/**
  Add a key with a decimal number.

  @param[in] Key    Name.
  @param[in] Value  Number.
**/
VOID
StmLineDecimal (
  IN CONST CHAR8  *Key,
  IN UINT64       Value
  )
{
  CHAR8   Digits[DECIMAL_DIGITS + 1];
  CHAR8   *Start;
  UINT32  Remainder;

  Start  = &Digits[DECIMAL_DIGITS];
  *Start = '\0';
  do {
    Value = DivU64x32Remainder (Value, 10, &Remainder);
    Start--;
    *Start = (CHAR8)('0' + Remainder);
  } while (Value != 0);

  PutKey (Key);
  PutText (Start);
}

/**
  Add a key with a hexadecimal number.

  @param[in] Key    Name.
  @param[in] Value  Number.
**/
VOID
StmLineHex (
  IN CONST CHAR8  *Key,
  IN UINT64       Value
  )
{
  CHAR8  Digits[HEX_DIGITS + 1];
  CHAR8  *Start;

  Start  = &Digits[HEX_DIGITS];
  *Start = '\0';
  do {
    Start--;
    *Start = mHexDigits[Value & 0xF];
    Value  = RShiftU64 (Value, 4);
  } while (Value != 0);

  PutKey (Key);
  PutText ("0x");
  PutText (Start);
}

/**
  Add a key with bytes, two digits each, in memory order.

  @param[in] Key     Name.
  @param[in] Bytes   The bytes.
  @param[in] Length  Number of bytes.
**/
VOID
StmLineBytes (
  IN CONST CHAR8  *Key,
  IN CONST UINT8  *Bytes,
  IN UINTN        Length
  )
{
  UINTN  Index;

  PutKey (Key);
  for (Index = 0; Index < Length; Index++) {
    IoWrite8 (STM_RECORD_PORT_STM, (UINT8)mHexDigits[Bytes[Index] >> 4]);
    IoWrite8 (STM_RECORD_PORT_STM, (UINT8)mHexDigits[Bytes[Index] & 0xF]);
  }
}

/**
  End the line.
**/
VOID
StmLineEnd (
  VOID
  )
{
  IoWrite8 (STM_RECORD_PORT_STM, '\n');
}
