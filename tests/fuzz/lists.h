/** @file
  Lists of resources made from an input: mostly well-formed, about few places, so that
  what is named meets.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef LISTS_H_
#define LISTS_H_

#include "fuzz.h"

///
/// Places that lists name, and what is next to them.
///
typedef struct {
  UINT64    Bases[6];       ///< of memory
  UINT32    PhysicalBits;
} FUZZ_PLACES;

UINTN
FuzzMakeList (
  IN OUT FUZZ_INPUT         *Input,
  IN     CONST FUZZ_PLACES  *Places,
  OUT    UINT8              *Bytes,
  IN     UINTN              Size,
  OUT    BOOLEAN            *Spoiled
  );

#endif
