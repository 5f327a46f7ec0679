/** @file
  The one writer of line records, whose grammar is in StmRecord.h.

  PrintLib would need a buffer on the stack and several kilobytes of code: too
  much for a crash in MSEG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/BaseLib.h>
#include <Library/IoLib.h>
#include <Library/StmRecordLib.h>

#define BASE_DECIMAL  10
#define BASE_HEX      16

///
/// Digits of MAX_UINT64 in the smaller base.
///
#define MAXIMUM_DIGITS  20

STATIC CONST CHAR8  mDigits[] = "0123456789abcdef";

/**
  Write a string.

  @param[in] Port  Record port.
  @param[in] Text  ASCII, without spaces if it is a value.
**/
STATIC
VOID
PutText (
  IN UINT16       Port,
  IN CONST CHAR8  *Text
  )
{
  for ( ; *Text != '\0'; Text++) {
    IoWrite8 (Port, (UINT8)*Text);
  }
}

/**
  Write a number.

  @param[in] Port   Record port.
  @param[in] Value  Number.
  @param[in] Base   BASE_DECIMAL or BASE_HEX.
**/
STATIC
VOID
PutNumber (
  IN UINT16  Port,
  IN UINT64  Value,
  IN UINT32  Base
  )
{
  CHAR8   Digits[MAXIMUM_DIGITS + 1];
  CHAR8   *Start;
  UINT32  Remainder;

  Start  = &Digits[MAXIMUM_DIGITS];
  *Start = '\0';
  do {
    Value    = DivU64x32Remainder (Value, Base, &Remainder);
    *--Start = mDigits[Remainder];
  } while (Value != 0);

  PutText (Port, Start);
}

/**
  Write the fields of a record.

  @param[in] Port    Record port.
  @param[in] Format  Fields; an unknown conversion is written as it stands.
  @param[in] Marker  Their values.
**/
STATIC
VOID
PutFields (
  IN UINT16       Port,
  IN CONST CHAR8  *Format,
  IN VA_LIST      Marker
  )
{
  BOOLEAN  Long;
  UINT64   Value;

  for ( ; *Format != '\0'; Format++) {
    if (*Format != '%') {
      IoWrite8 (Port, (UINT8)*Format);
      continue;
    }

    Format++;
    if (*Format == 'a') {
      PutText (Port, VA_ARG (Marker, CONST CHAR8 *));
      continue;
    }

    Long    = (BOOLEAN)(*Format == 'l');
    Format += Long ? 1 : 0;
    switch (*Format) {
      case 'u':
      case 'x':
        Value = Long ? VA_ARG (Marker, UINT64) : VA_ARG (Marker, UINT32);
        PutNumber (Port, Value, (*Format == 'x') ? BASE_HEX : BASE_DECIMAL);
        break;
      default:
        //
        // A mistake, or a format that ends too early: let the reader see it.
        //
        IoWrite8 (Port, '%');
        Format -= Long ? 2 : 1;
        break;
    }
  }
}

/**
  Write a whole record.

  @param[in] Port    Record port of the writer.
  @param[in] Source  FW, STM, EXEC or APP.
  @param[in] Event   Name of the event.
  @param[in] Time    Time-stamp counter at the event.
  @param[in] Format  Fields, "" for none.
  @param[in] Marker  Their values.
**/
STATIC
VOID
PutRecord (
  IN UINT16       Port,
  IN CONST CHAR8  *Source,
  IN CONST CHAR8  *Event,
  IN UINT64       Time,
  IN CONST CHAR8  *Format,
  IN VA_LIST      Marker
  )
{
  PutText (Port, Source);
  PutText (Port, ": ev=");
  PutText (Port, Event);
  PutText (Port, " t=");
  PutNumber (Port, Time, BASE_DECIMAL);
  if (*Format != '\0') {
    PutText (Port, " ");
    PutFields (Port, Format, Marker);
  }

  PutText (Port, "\n");
}

/**
  Write one record that bears the present time: "SOURCE: ev=EVENT t=TSC " and
  the formatted fields.

  @param[in] Port    Record port of the writer.
  @param[in] Source  FW, STM, EXEC or APP.
  @param[in] Event   Name of the event.
  @param[in] Format  Fields, "" for none.
  @param[in] ...     Their values.
**/
VOID
EFIAPI
StmRecord (
  IN UINT16       Port,
  IN CONST CHAR8  *Source,
  IN CONST CHAR8  *Event,
  IN CONST CHAR8  *Format,
  ...
  )
{
  VA_LIST  Marker;

  VA_START (Marker, Format);
  PutRecord (Port, Source, Event, AsmReadTsc (), Format, Marker);
  VA_END (Marker);
}

/**
  The same for an event that happened earlier.

  @param[in] Port    Record port of the writer.
  @param[in] Source  FW, STM, EXEC or APP.
  @param[in] Event   Name of the event.
  @param[in] Time    Time-stamp counter at the event.
  @param[in] Format  Fields, "" for none.
  @param[in] ...     Their values.
**/
VOID
EFIAPI
StmRecordAt (
  IN UINT16       Port,
  IN CONST CHAR8  *Source,
  IN CONST CHAR8  *Event,
  IN UINT64       Time,
  IN CONST CHAR8  *Format,
  ...
  )
{
  VA_LIST  Marker;

  VA_START (Marker, Format);
  PutRecord (Port, Source, Event, Time, Format, Marker);
  VA_END (Marker);
}

/**
  End a line that another writer has begun and will not end.

  @param[in] Port  Record port.
**/
VOID
EFIAPI
StmRecordEndLine (
  IN UINT16  Port
  )
{
  IoWrite8 (Port, '\n');
}

/**
  Compose the value of a field that holds bytes: two lower-case digits each, in
  memory order.

  @param[in]  Bytes   The bytes.
  @param[in]  Length  Number of bytes.
  @param[out] Text    2 * Length + 1 characters.

  @return Text, for %a.
**/
CONST CHAR8 *
EFIAPI
StmRecordBytes (
  IN  CONST UINT8  *Bytes,
  IN  UINTN        Length,
  OUT CHAR8        *Text
  )
{
  UINTN  Index;

  for (Index = 0; Index < Length; Index++) {
    Text[2 * Index]     = mDigits[Bytes[Index] >> 4];
    Text[2 * Index + 1] = mDigits[Bytes[Index] & 0xF];
  }

  Text[2 * Length] = '\0';
  return Text;
}
