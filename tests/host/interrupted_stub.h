/** @file
  The interrupted side on the host: interrupted_stub.c.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef INTERRUPTED_STUB_H_
#define INTERRUPTED_STUB_H_

#include <Base.h>
#include <Library/StmSaveStateLib.h>

///
/// From SMBASE on: the map at its end, and room for SMBASE to move.
///
#define TEST_SMRAM_SIZE  (SIZE_64KB + SIZE_1MB)

///
/// VMCS fields of the interrupted side.
///
typedef struct {
  UINT64    Rsp;
  UINT64    Rip;
  UINT64    Rflags;
  UINT64    Smbase;
  UINT64    Activity;
  UINT64    Blocking;   ///< interruptibility state
} TEST_SIDE;

#define TEST_WROTE_RSP       BIT0
#define TEST_WROTE_RIP       BIT1
#define TEST_WROTE_RFLAGS    BIT2
#define TEST_WROTE_SMBASE    BIT3
#define TEST_WROTE_ACTIVITY  BIT4
#define TEST_WROTE_BLOCKING  BIT5
#define TEST_CRASHED         BIT31

///
/// For TestTakeBack: an unprotected domain.
///
#define TEST_UNCONFINED  0x100000000ULL

UINT64
TestSmbase (
  VOID
  );

STM_SAVE_STATE_MAP *
TestMap (
  VOID
  );

UINT32
TestTakeBack (
  IN OUT TEST_SIDE  *Side,
  IN     UINT64     Confine,
  IN OUT UINT64     *Rax
  );

#endif
