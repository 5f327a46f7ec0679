/** @file
  What the parts of the API's fuzz target share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef FUZZ_API_H_
#define FUZZ_API_H_

#include "host/api_stub.h"
#include "fuzz/fuzz.h"
#include "fuzz/lists.h"
#include "fuzz/reference.h"

#define API_PROCESSORS  3
#define API_LIST_PAGES  4

///
/// A processor's life, once more.
///
typedef enum {
  Off, Initialized, Started
} API_LIFE;

extern FUZZ_PLACES  gApiPlaces;
extern UINT32       gApiLimit;                  ///< processors that the STM has room for
extern UINT64       gApiMisc;                   ///< IA32_VMX_MISC
extern API_LIFE     gApiLife[API_PROCESSORS];
extern BOOLEAN      gApiBiosIsSound;            ///< the firmware's list as it is now is one that a call must accept
extern REF_LIST     gApiBios;                   ///< the one of this session
extern REF_HISTORY  gApiHistory;                ///< all that was granted
extern STM_PROFILE  gApiBefore;                 ///< the profile before the call
extern REF_LIST     gApiList;                   ///< the list of the call

//
// api_check.c
//

UINT32
ApiMembers (
  VOID
  );

/**
  One place: the profile, what enforces it, and the history agree; what is the STM's own
  is closed whatever was asked for.
**/
VOID
ApiCheckPlace (
  IN UINT32  Space,
  IN UINT64  Place
  );

/**
  The whole profile: sorted, as few ranges as can be, nothing that the firmware claims,
  and, if it is to be looked at, what is at both ends of each range.
**/
VOID
ApiCheckProfile (
  IN BOOLEAN  Places
  );

/**
  Everywhere something may have begun or ended.
**/
VOID
ApiCheckEverywhere (
  VOID
  );

VOID
ApiRemember (
  IN CONST REF_ITEM  *Item,
  IN BOOLEAN         Protect
  );

/**
  All of it, but for what is the firmware's.
**/
VOID
ApiRememberAll (
  IN BOOLEAN  Protect
  );

BOOLEAN
ApiInTseg (
  IN CONST REF_ITEM  *Item
  );

BOOLEAN
ApiProfileIsAsBefore (
  VOID
  );

//
// api_lists.c
//

/**
  PROTECT_RESOURCE or UNPROTECT_RESOURCE with a page of the executive monitor's.
**/
VOID
ApiCallProtect (
  IN UINT32   Processor,
  IN UINT64   Page,
  IN BOOLEAN  Protect
  );

/**
  GET_BIOS_RESOURCES: pages that can be read, in their order, exact in length.
**/
VOID
ApiCallResources (
  IN UINT32  Processor,
  IN UINT32  Index
  );

//
// api_calls.c
//

/**
  INITIALIZE_PROTECTION, START, STOP.
**/
VOID
ApiCallLife (
  IN UINT32  Processor,
  IN UINT32  Number,
  IN UINT32  Options
  );

/**
  ADDRESS_LOOKUP and other calls of the SMI handler's: they write nothing outside the
  handler's SMRAM, and never tell where something protected is.
**/
VOID
ApiCallHandler (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  );

/**
  MANAGE_EVENT_LOG, with a log that may lie in a page of its own or anywhere.
**/
VOID
ApiCallEventLog (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  );

/**
  Any number, any registers.
**/
VOID
ApiCallAnything (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINT32      Processor
  );

#endif
