/** @file
  The save-state map: composed, written to by a handler in any way, taken back.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include "host/interrupted_stub.h"

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
  STM_SAVE_STATE_MAP     *Map;
  STM_INTERRUPTED_STATE  State;
  VMX_REGISTERS          Registers;
  TEST_SIDE              Side;
  TEST_SIDE              Before;
  UINT64                 Rax;
  UINT32                 Wrote;
  UINT32                 Count;

  Fill (&Input, &State, sizeof (State));
  Fill (&Input, &Registers, sizeof (Registers));

  //
  // As the processor has them.
  //
  Map           = TestMap ();
  State.Rflags  = (State.Rflags & (RFLAGS_DEFINED | RFLAGS_VM)) | RFLAGS_FIXED;
  State.Smbase  = TestSmbase ();
  Side.Activity = FuzzTake (&Input, 1) & 1;
  Side.Blocking = FuzzTake (&Input, 1) & 0xF;
  for (Count = (UINT32)FuzzTake (&Input, 1) % 8; ; Count--) {
    __builtin_memset (Map, UNTOUCHED, sizeof (*Map));
    StmSaveStateCompose (Map, &State, &Registers);
    REQUIRE ((Map->RevisionId == 0x00020064) && ((Map->Cr4 & BIT13) == 0));
    REQUIRE ((Map->Reserved1[0] == UNTOUCHED) && (Map->Reserved2[0x23] == UNTOUCHED) && (Map->Reserved3[0] == UNTOUCHED));
    Side.Rsp    = State.Rsp;
    Side.Rip    = State.Rip;
    Side.Rflags = State.Rflags;
    Side.Smbase = State.Smbase;
    Before      = Side;
    Rax         = 0;
    FuzzCalls  += 2;
    REQUIRE (TestTakeBack (&Side, TEST_UNCONFINED, &Rax) == 0);
    REQUIRE (__builtin_memcmp (&Before, &Side, sizeof (Side)) == 0);
    if ((Count == 0) || FuzzIsEmpty (&Input)) {
      return 0;
    }

    Fill (&Input, (UINT8 *)Map + FuzzTake (&Input, 2) % (sizeof (*Map) - 32), 32);
    Wrote = TestTakeBack (&Side, TEST_UNCONFINED, &Rax);
    FuzzCalls++;
    if (Wrote == TEST_CRASHED) {
      //
      // SMBASE is where no SMI could be served, or confuses the entry code.
      //
      REQUIRE (((Map->Smbase & 3) != 0) || (Map->Smbase + 0x8000ULL < Before.Smbase) ||
               (Map->Smbase + 0x10000ULL > Before.Smbase + TEST_SMRAM_SIZE));
      return 0;
    }

    //
    // A handler may write RSP, RIP, RFLAGS but for VM and what is reserved, and SMBASE.
    //
    REQUIRE (((Side.Rflags ^ Before.Rflags) & RFLAGS_VM) == 0);
    REQUIRE ((Side.Rflags & ~(RFLAGS_DEFINED | RFLAGS_VM | RFLAGS_FIXED)) == 0);
    REQUIRE ((Side.Rflags & RFLAGS_FIXED) != 0);
    REQUIRE ((Side.Rsp == Map->Rsp) && (Side.Rip == Map->Rip) && (Side.Smbase == Map->Smbase));
    REQUIRE (((Wrote & TEST_WROTE_RSP) != 0) == (Side.Rsp != Before.Rsp));
    REQUIRE (((Wrote & TEST_WROTE_RIP) != 0) == (Side.Rip != Before.Rip));
    REQUIRE (((Wrote & TEST_WROTE_SMBASE) != 0) == (Side.Smbase != Before.Smbase));
    REQUIRE (((Wrote & TEST_WROTE_RFLAGS) != 0) || (Side.Rflags == Before.Rflags));
    State.Rsp    = Side.Rsp;
    State.Rip    = Side.Rip;
    State.Rflags = Side.Rflags;
    if (Side.Smbase != Before.Smbase) {
      return 0;
    }
  }
}
