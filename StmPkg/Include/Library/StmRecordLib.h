/** @file
  Line records of the grammar in StmRecord.h, for code outside the SMI path.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RECORD_LIB_H_
#define STM_RECORD_LIB_H_

///
/// Characters of a record without its line feed; what exceeds it is cut off.
///
#define STM_RECORD_MAXIMUM_LENGTH  511

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
  );

/**
  OUT of one byte. Unlike IoLib it asks nothing about confidential computing,
  whose answer lies outside protected memory.

  @param[in] Port   Port number.
  @param[in] Value  Byte.
**/
VOID
EFIAPI
StmPortWrite8 (
  IN UINT16  Port,
  IN UINT8   Value
  );

#endif
