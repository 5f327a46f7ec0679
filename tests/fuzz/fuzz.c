/** @file
  What every fuzz target uses.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>

UINT64  FuzzCalls;

VOID
FuzzFail (
  IN CONST CHAR8  *Condition,
  IN CONST CHAR8  *File,
  IN UINT32       Line
  )
{
  fprintf (stderr, "%s:%u: does not hold: %s\n", File, Line, Condition);
  abort ();
}

UINT64
FuzzTake (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINTN       Bytes
  )
{
  UINT64  Value;
  UINTN   Index;

  Value = 0;
  for (Index = 0; (Index < Bytes) && (Input->At < Input->End); Index++) {
    Value |= (UINT64)*Input->At++ << (8 * Index);
  }

  return Value;
}

BOOLEAN
FuzzIsEmpty (
  IN CONST FUZZ_INPUT  *Input
  )
{
  return (BOOLEAN)(Input->At == Input->End);
}

/**
  libFuzzer ends by exit().
**/
__attribute__ ((destructor))
STATIC
VOID
TellCalls (
  VOID
  )
{
  fprintf (stderr, "stmlab-calls: %llu\n", (unsigned long long)FuzzCalls);
}
