/** @file
  Line records on a debug port.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/BaseLib.h>
#include <Library/PrintLib.h>
#include <Library/StmRecordLib.h>

/**
  Write one record: "SOURCE: ev=EVENT t=TSC " and the formatted fields.

  @param[in] Port    Record port of the writer.
  @param[in] Source  FW, STM, EXEC or APP.
  @param[in] Event   Name of the event.
  @param[in] Format  PrintLib format of "key=value" fields, "" for none.
  @param[in] ...     Its arguments.
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
  CHAR8    Line[STM_RECORD_MAXIMUM_LENGTH + 1];
  UINTN    Length;
  UINTN    Index;
  VA_LIST  Marker;

  Length = AsciiSPrint (Line, sizeof (Line), "%a: ev=%a t=%lu", Source, Event, AsmReadTsc ());
  if ((*Format != '\0') && (Length + 1 < sizeof (Line))) {
    Line[Length++] = ' ';
    VA_START (Marker, Format);
    Length += AsciiVSPrint (Line + Length, sizeof (Line) - Length, Format, Marker);
    VA_END (Marker);
  }

  for (Index = 0; Index < Length; Index++) {
    StmPortWrite8 (Port, (UINT8)Line[Index]);
  }

  StmPortWrite8 (Port, '\n');
}
