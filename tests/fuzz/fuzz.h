/** @file
  What every fuzz target uses: an input that is read piece by piece, checks, and a
  count of the calls that were made.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef FUZZ_H_
#define FUZZ_H_

#include <Base.h>

///
/// What is left of an input. At its end everything that is read is 0.
///
typedef struct {
  CONST UINT8    *At;
  CONST UINT8    *End;
} FUZZ_INPUT;

///
/// Calls of the code under test: each target counts those of the functions that its row
/// in docs/guide/fuzzing.rst names, and nothing else.
///
extern UINT64  FuzzCalls;

///
/// What must hold. libFuzzer keeps the input for which it does not.
///
#define REQUIRE(Condition)                                                     \
  do {                                                                         \
    if (!(Condition)) {                                                        \
      FuzzFail (#Condition, __FILE__, __LINE__);                               \
    }                                                                          \
  } while (FALSE)

VOID
FuzzFail (
  IN CONST CHAR8  *Condition,
  IN CONST CHAR8  *File,
  IN UINT32       Line
  ) __attribute__ ((noreturn));

UINT64
FuzzTake (
  IN OUT FUZZ_INPUT  *Input,
  IN     UINTN       Bytes
  );

BOOLEAN
FuzzIsEmpty (
  IN CONST FUZZ_INPUT  *Input
  );

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  );

#endif
