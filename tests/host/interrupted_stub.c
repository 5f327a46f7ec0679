/** @file
  The interrupted side on the host, for State/Interrupted.c: its VMCS fields, a save-state
  map below 4 GB, as SMBASE has 32 bits in it, and the handler's SMRAM around it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#define _GNU_SOURCE
#include <setjmp.h>
#include <sys/mman.h>
#include "interrupted_stub.h"
#include "Log/Log.h"
#include "State/State.h"

STATIC STM_SHARED     mShared;
STATIC STM_PROCESSOR  mProcessor;
STATIC TEST_SIDE      mSide;
STATIC UINT32         mWritten;
STATIC jmp_buf        mCrash;

/**
  SMBASE of the processor; its save-state map can be written.
**/
UINT64
TestSmbase (
  VOID
  )
{
  STATIC UINT8  *Smram;

  if (Smram == NULL) {
    Smram = mmap (NULL, TEST_SMRAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (Smram == MAP_FAILED) {
      __builtin_trap ();
    }
  }

  return (UINTN)Smram;
}

/**
  The map at SMBASE.
**/
STM_SAVE_STATE_MAP *
TestMap (
  VOID
  )
{
  return (STM_SAVE_STATE_MAP *)(UINTN)(TestSmbase () + STM_SAVE_STATE_OFFSET);
}

/**
  The handler has ended: what it has left in the map is taken back.

  @param[in,out] Side     The interrupted side when the SMI came; as it is entered again.
  @param[in]     Confine  TEST_UNCONFINED, or bits of RAX that the handler may change: the
                          domain is protected.
  @param[in,out] Rax      Of the interrupted side, for a protected domain.

  @return TEST_WROTE_RSP and so on.
**/
UINT32
TestTakeBack (
  IN OUT TEST_SIDE  *Side,
  IN     UINT64     Confine,
  IN OUT UINT64     *Rax
  )
{
  mWritten                   = 0;
  mSide                      = *Side;
  mProcessor.Shared          = &mShared;
  mProcessor.Saved.Rsp       = Side->Rsp;
  mProcessor.Saved.Rip       = Side->Rip;
  mProcessor.Saved.Rflags    = Side->Rflags;
  mProcessor.Saved.Smbase    = Side->Smbase;
  mProcessor.Interrupted.Rax = *Rax;
  if (setjmp (mCrash) != 0) {
    return TEST_CRASHED;
  }

  if (Confine != TEST_UNCONFINED) {
    StmWriteProtected (&mProcessor, (UINT32)Confine);
  } else if (StmWriteInterrupted (&mProcessor) != ((UINTN)TestMap () | STM_ENTER_SAVE_STATE)) {
    __builtin_trap ();
  }

  *Side = mSide;
  *Rax  = mProcessor.Interrupted.Rax;
  return mWritten;
}

STATIC
UINT64 *
Field (
  IN  UINT64  Number,
  OUT UINT32  *Bit
  )
{
  switch (Number) {
    case VMCS_GUEST_RSP:
      *Bit = TEST_WROTE_RSP;
      return &mSide.Rsp;
    case VMCS_GUEST_RIP:
      *Bit = TEST_WROTE_RIP;
      return &mSide.Rip;
    case VMCS_GUEST_RFLAGS:
      *Bit = TEST_WROTE_RFLAGS;
      return &mSide.Rflags;
    case VMCS_GUEST_SMBASE:
      *Bit = TEST_WROTE_SMBASE;
      return &mSide.Smbase;
    case VMCS_GUEST_ACTIVITY_STATE:
      *Bit = TEST_WROTE_ACTIVITY;
      return &mSide.Activity;
    case VMCS_GUEST_INTERRUPTIBILITY_STATE:
      *Bit = TEST_WROTE_BLOCKING;
      return &mSide.Blocking;
    default:
      __builtin_trap ();
  }
}

UINT64
EFIAPI
VmRead (
  IN UINT64  Number
  )
{
  UINT32  Bit;

  return *Field (Number, &Bit);
}

BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Number,
  IN UINT64  Value
  )
{
  UINT32  Bit;

  *Field (Number, &Bit) = Value;
  mWritten             |= Bit;
  return TRUE;
}

BOOLEAN
StmInHandlerSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Address,
  IN UINT64            Size
  )
{
  return (BOOLEAN)((Address >= TestSmbase ()) && (Address + Size <= TestSmbase () + TEST_SMRAM_SIZE));
}

VOID
StmCrash (
  IN CONST STM_PROCESSOR  *Processor  OPTIONAL,
  IN STM_CRASH_CLASS      Class,
  IN UINT64               Reason,
  IN UINT64               Qualification,
  IN UINT64               Rip,
  IN UINT64               Error
  )
{
  longjmp (mCrash, 1);
}
