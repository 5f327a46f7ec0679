/** @file
  The command log: the STM's event log (MANAGE_EVENT_LOG) and what is in it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

#define ENTRY_WORDS  (STM_LOG_ENTRY_SIZE / sizeof (UINT64))
#define MOST_PLACES  (EXEC_LOG_PAGES * SIZE_4KB / STM_LOG_ENTRY_SIZE)

typedef union {
  UINT64           Words[ENTRY_WORDS];
  STM_LOG_ENTRY    Entry;
} LOG_PLACE;

STATIC LOG_PLACE  mPlaces[MOST_PLACES];

///
/// The sub-functions, in the order of their numbers, from 1.
///
STATIC CONST CHAR16  *CONST  mSubFunctions[] = {
  L"new",
  L"configure",
  L"start",
  L"stop",
  L"clear",
  L"delete"
};

/**
  Read a list of events: their names, separated by commas, or all.

  @param[in]  Text    The list.
  @param[out] Bitmap  A bit for each.

  @retval TRUE   Read.
  @retval FALSE  A name is none.
**/
STATIC
BOOLEAN
ReadEvents (
  IN  CONST CHAR16  *Text,
  OUT UINT32        *Bitmap
  )
{
  CHAR8   Name[EXEC_NAME_LENGTH];
  UINT32  Type;

  *Bitmap = 0;
  if (StrCmp (Text, L"all") == 0) {
    *Bitmap = (1U << EvtMleMax) - 1;
    return TRUE;
  }

  do {
    Text = ExecTakeName (Text, Name);
    for (Type = 0; (Type < EvtMleMax) && (AsciiStrCmp (Name, ExecEventName (Type)) != 0); Type++) {
    }

    if (Type == EvtMleMax) {
      Print (L"ExecMon: %a is no event; there are all", Name);
      for (Type = 0; Type < EvtMleMax; Type++) {
        Print (L", %a", ExecEventName (Type));
      }

      Print (L"\n");
      return FALSE;
    }

    *Bitmap |= 1U << Type;
  } while (Text != NULL);

  return TRUE;
}

/**
  Have the STM carry out a sub-function of MANAGE_EVENT_LOG.

  @param[in] SubFunction  From 1.
  @param[in] Value        PageCount or EventEnableBitmap.

  @retval EFI_SUCCESS        Done.
  @retval EFI_ACCESS_DENIED  The STM refused: its status was told.
**/
STATIC
EFI_STATUS
Manage (
  IN UINT32  SubFunction,
  IN UINT32  Value
  )
{
  UINT64  Rbx;

  Rbx = SubFunction | LShiftU64 (Value, 32);
  if (AsmExecHypercall (EXEC_HYPERCALL_LOG, &Rbx) != EXEC_HYPERCALL_SUCCESS) {
    Print (L"ExecMon: the STM refused, status 0x%lx\n", Rbx);
    return EFI_ACCESS_DENIED;
  }

  Print (L"ExecMon: event log: %s: done\n", mSubFunctions[SubFunction - 1]);
  return EFI_SUCCESS;
}

/**
  Copy the whole log.

  @return How many places it has; 0 if there is none.
**/
STATIC
UINTN
ReadPlaces (
  VOID
  )
{
  UINTN   Place;
  UINTN   Word;
  UINT64  Header;
  UINT64  Status;

  for (Place = 0; Place < MOST_PLACES; Place++) {
    Header = Place;
    Status = AsmExecHypercall (EXEC_HYPERCALL_LOG_ENTRY, &Header);
    if (Status == EXEC_HYPERCALL_BAD_INPUT) {
      break;
    }

    ZeroMem (&mPlaces[Place], sizeof (mPlaces[Place]));
    if (Status != EXEC_HYPERCALL_SUCCESS) {
      continue;
    }

    mPlaces[Place].Words[0] = Header;
    for (Word = 1; Word < ENTRY_WORDS; Word++) {
      mPlaces[Place].Words[Word] = Word * sizeof (UINT64);
      AsmExecHypercall (EXEC_HYPERCALL_LOG_BYTES, &mPlaces[Place].Words[Word]);
    }
  }

  return Place;
}

/**
  Find the entry that follows another one.

  @param[in] Places  Of the log.
  @param[in] Serial  The least serial number wanted.

  @return The entry with the least serial number from that one on, or NULL.
**/
STATIC
CONST STM_LOG_ENTRY *
NextEntry (
  IN UINTN   Places,
  IN UINT64  Serial
  )
{
  CONST STM_LOG_ENTRY  *Found;
  CONST STM_LOG_ENTRY  *Entry;
  UINTN                Place;

  Found = NULL;
  for (Place = 0; Place < Places; Place++) {
    Entry = &mPlaces[Place].Entry;
    if ((Entry->Hdr.Valid != 0) && (Entry->Hdr.EventSerialNumber >= Serial) &&
        ((Found == NULL) || (Entry->Hdr.EventSerialNumber < Found->Hdr.EventSerialNumber)))
    {
      Found = Entry;
    }
  }

  return Found;
}

/**
  Show and record the log's entries, in their order.

  @retval EFI_SUCCESS    Done.
  @retval EFI_NOT_FOUND  There is no log.
**/
STATIC
EFI_STATUS
ShowLog (
  VOID
  )
{
  CONST STM_LOG_ENTRY  *Entry;
  CHAR8                Text[EXEC_TEXT_LENGTH];
  UINTN                Places;
  UINT64               Serial;
  UINT32               Count;

  Places = ReadPlaces ();
  if (Places == 0) {
    Print (L"ExecMon: there is no event log; make one: ExecMon log new\n");
    return EFI_NOT_FOUND;
  }

  Count  = 0;
  Serial = 0;
  for (Entry = NextEntry (Places, 0); Entry != NULL; Entry = NextEntry (Places, Serial + 1)) {
    Serial = Entry->Hdr.EventSerialNumber;
    ExecDescribeEntry (Entry, Text, sizeof (Text));
    Print (L"  %3ld %a%a %a\n", Serial, ExecEventName (Entry->Hdr.Type), (Entry->Hdr.ReadByMle == 0) ? "" : " (read)", Text);
    StmRecord (
      STM_RECORD_PORT_EXECUTIVE,
      "EXEC",
      "event",
      "serial=%lu name=%a read=%u wrapped=%u%a%a",
      Serial,
      ExecEventName (Entry->Hdr.Type),
      (UINT32)Entry->Hdr.ReadByMle,
      (UINT32)Entry->Hdr.Wrapped,
      (Text[0] == '\0') ? "" : " ",
      Text
      );
    Count++;
  }

  Print (L"ExecMon: event log: %d of %d places in use\n", Count, Places);
  StmRecord (
    STM_RECORD_PORT_EXECUTIVE,
    "EXEC",
    "event-log",
    "entries=%u places=%u",
    Count,
    (UINT32)Places
    );
  return EFI_SUCCESS;
}

/**
  Manage the STM's event log, or show it.

  @param[in] Action  Name of a sub-function; NULL to show the log.
  @param[in] Value   Pages of a new log, events to configure, or NULL.

  @retval EFI_SUCCESS            Done.
  @retval EFI_INVALID_PARAMETER  There is no such action, or it takes another value.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_NOT_FOUND          There is no log to show.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecEventLog (
  IN CONST CHAR16  *Action  OPTIONAL,
  IN CONST CHAR16  *Value   OPTIONAL
  )
{
  UINT32   Index;
  UINT32   Number;
  UINTN    Pages;
  BOOLEAN  Takes;

  if (!ExecHasStm ()) {
    return EFI_NOT_STARTED;
  }

  if (Action == NULL) {
    return ShowLog ();
  }

  for (Index = 0; (Index < ARRAY_SIZE (mSubFunctions)) && (StrCmp (Action, mSubFunctions[Index]) != 0); Index++) {
  }

  if (Index == ARRAY_SIZE (mSubFunctions)) {
    return EFI_INVALID_PARAMETER;
  }

  Index++;
  Number = 0;
  Takes  = (BOOLEAN)(Value != NULL);
  if (Index == STM_EVENT_LOG_MANAGEMENT_REQUEST_NEW_LOG) {
    //
    // A number that is too large for its type reads as the largest.
    //
    Pages = (Value == NULL) ? 1 : StrDecimalToUintn (Value);
    if (Pages > EXEC_LOG_PAGES) {
      Print (L"ExecMon: a log has at most %d pages\n", EXEC_LOG_PAGES);
      return EFI_INVALID_PARAMETER;
    }

    Number = (UINT32)Pages;
    Takes  = FALSE;
  } else if (Index == STM_EVENT_LOG_MANAGEMENT_REQUEST_CONFIGURE_LOG) {
    if (!ReadEvents ((Value == NULL) ? L"all" : Value, &Number)) {
      return EFI_INVALID_PARAMETER;
    }

    Takes = FALSE;
  }

  return Takes ? EFI_INVALID_PARAMETER : Manage (Index, Number);
}
