/** @file
  The one writer of line records, whose grammar is in StmRecord.h.

  It has no buffer, takes no lock and keeps no state, so that a crash can use it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RECORD_LIB_H_
#define STM_RECORD_LIB_H_

/**
  Write one record that bears the present time: "SOURCE: ev=EVENT t=TSC " and
  the formatted fields.

  The format is "key=value" fields. Of PrintLib's conversions it knows %a, %u and
  %x of a UINT32, and %lu and %lx of a UINT64.

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
  );

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
  );

/**
  End a line that another writer has begun and will not end.

  @param[in] Port  Record port.
**/
VOID
EFIAPI
StmRecordEndLine (
  IN UINT16  Port
  );

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
  );

#endif
