/** @file
  The save-state map: composed, written to by a handler in any way, taken back.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include <Library/StmSaveStateLib.h>

#define RFLAGS_VM       BIT17
#define RFLAGS_DEFINED  0x003F7FD5ULL
#define RFLAGS_FIXED    BIT1
#define UNTOUCHED       0xA5

STATIC
VOID
Fill (
  IN OUT FUZZ_INPUT  *Input,
  OUT    VOID        *Buffer,
  IN     UINTN       Size
  )
{
  UINTN  Index;

  for (Index = 0; Index < Size; Index++) {
    ((UINT8 *)Buffer)[Index] = (UINT8)FuzzTake (Input, 1);
  }
}

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  FUZZ_INPUT             Input = { Data, Data + Size };
  STM_SAVE_STATE_MAP     Map;
  STM_INTERRUPTED_STATE  State;
  STM_INTERRUPTED_STATE  Before;
  VMX_REGISTERS          Registers;
  UINT32                 Changed;
  UINT32                 Count;

  Fill (&Input, &State, sizeof (State));
  Fill (&Input, &Registers, sizeof (Registers));

  //
  // As the processor has them.
  //
  State.Rflags = (State.Rflags & (RFLAGS_DEFINED | RFLAGS_VM)) | RFLAGS_FIXED;
  State.Smbase = (UINT32)State.Smbase;
  for (Count = (UINT32)FuzzTake (&Input, 1) % 8; ; Count--) {
    __builtin_memset (&Map, UNTOUCHED, sizeof (Map));
    StmSaveStateCompose (&Map, &State, &Registers);
    REQUIRE ((Map.RevisionId == 0x00020064) && ((Map.Cr4 & BIT13) == 0));
    REQUIRE ((Map.Reserved1[0] == UNTOUCHED) && (Map.Reserved2[0x23] == UNTOUCHED) && (Map.Reserved3[0] == UNTOUCHED));
    Before     = State;
    Changed    = StmSaveStateExtract (&Map, &State, &Registers);
    FuzzCalls += 2;
    REQUIRE ((Changed == 0) && (__builtin_memcmp (&Before, &State, sizeof (State)) == 0));
    if ((Count == 0) || FuzzIsEmpty (&Input)) {
      return 0;
    }

    Fill (&Input, (UINT8 *)&Map + FuzzTake (&Input, 2) % (sizeof (Map) - 32), 32);
    Changed = StmSaveStateExtract (&Map, &State, &Registers);
    FuzzCalls++;

    //
    // A handler may write general-purpose registers, RSP, RIP, RFLAGS but for VM and
    // what is reserved, and SMBASE.
    //
    REQUIRE (((State.Rflags ^ Before.Rflags) & RFLAGS_VM) == 0);
    REQUIRE ((State.Rflags & ~(RFLAGS_DEFINED | RFLAGS_VM | RFLAGS_FIXED)) == 0);
    REQUIRE ((State.Rflags & RFLAGS_FIXED) != 0);
    REQUIRE ((State.Rsp == Map.Rsp) && (State.Rip == Map.Rip) && (State.Smbase == Map.Smbase));
    REQUIRE (((Changed & STM_SAVE_CHANGED_RSP) != 0) == (State.Rsp != Before.Rsp));
    REQUIRE (((Changed & STM_SAVE_CHANGED_RIP) != 0) == (State.Rip != Before.Rip));
    REQUIRE (((Changed & STM_SAVE_CHANGED_RFLAGS) != 0) == (State.Rflags != Before.Rflags));
    REQUIRE (((Changed & STM_SAVE_CHANGED_SMBASE) != 0) == (State.Smbase != Before.Smbase));
    Before.Rsp    = State.Rsp;
    Before.Rip    = State.Rip;
    Before.Rflags = State.Rflags;
    Before.Smbase = State.Smbase;
    REQUIRE (__builtin_memcmp (&Before, &State, sizeof (State)) == 0);
  }
}
