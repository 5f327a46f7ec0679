/** @file
  An IDT of one's own, and code that may fault, tried with the fault caught.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmTryLib.h>

#include "Caught.h"

#define IDT_ENTRIES        256
#define EXCEPTION_VECTORS  32
#define BYTES_PER_ENTRY    16         ///< of AsmTryEntries, in X64/Catch.nasm

///
/// Entries for vectors 0 to 31, each of which leaves by gStmTryLeave.
///
extern UINT8  AsmTryEntries[EXCEPTION_VECTORS * BYTES_PER_ENTRY];

///
/// What an instruction can fault with: #UD, #NM, #NP, #SS, #GP, #PF, #AC.
///
STATIC CONST UINT8  mCaught[] = { 6, 7, 11, 12, 13, 14, 17 };

STATIC IA32_IDT_GATE_DESCRIPTOR  mIdt[IDT_ENTRIES];
STATIC IA32_DESCRIPTOR           mOriginal;

/**
  Load a copy of the IDT in force. Interrupts off until StmIdtRestore.
**/
VOID
EFIAPI
StmIdtLoad (
  VOID
  )
{
  IA32_DESCRIPTOR  Own;

  AsmReadIdtr (&mOriginal);
  ZeroMem (mIdt, sizeof (mIdt));
  CopyMem (mIdt, (VOID *)mOriginal.Base, MIN (sizeof (mIdt), (UINTN)mOriginal.Limit + 1));
  Own.Base  = (UINTN)mIdt;
  Own.Limit = sizeof (mIdt) - 1;
  AsmWriteIdtr (&Own);
}

/**
  Lead a vector of the loaded copy to code of one's own.

  @param[in] Vector  Which.
  @param[in] Entry   Where to: an interrupt gate.
**/
VOID
EFIAPI
StmIdtSetGate (
  IN UINT8  Vector,
  IN VOID   *Entry
  )
{
  IA32_IDT_GATE_DESCRIPTOR  *Gate;

  Gate                   = &mIdt[Vector];
  Gate->Uint128.Uint64   = 0;
  Gate->Uint128.Uint64_1 = 0;
  Gate->Bits.OffsetLow   = (UINT16)(UINTN)Entry;
  Gate->Bits.OffsetHigh  = (UINT16)((UINTN)Entry >> 16);
  Gate->Bits.OffsetUpper = (UINT32)((UINTN)Entry >> 32);
  Gate->Bits.Selector    = AsmReadCs ();
  Gate->Bits.GateType    = IA32_IDT_GATE_TYPE_INTERRUPT_32;
}

/**
  Load the IDT that StmIdtLoad found.
**/
VOID
EFIAPI
StmIdtRestore (
  VOID
  )
{
  AsmWriteIdtr (&mOriginal);
}

/**
  Run a routine between StmIdtLoad and StmIdtRestore. What faults with #UD, #NM,
  #NP, #SS, #GP, #PF or #AC is left: the routine's stack is given up, and what it
  has changed stays changed. Tries do not nest.

  @param[in]     Routine  The code.
  @param[in,out] Context  Its argument.

  @return Vector of the fault, or STM_TRY_DONE.
**/
UINTN
EFIAPI
StmTry (
  IN     STM_TRY_ROUTINE  Routine,
  IN OUT VOID             *Context
  )
{
  IA32_IDT_GATE_DESCRIPTOR  Exceptions[EXCEPTION_VECTORS];
  UINTN                     Index;
  UINTN                     Vector;

  //
  // Outside a try an exception is the firmware's, or whoever's SetGate was.
  //
  CopyMem (Exceptions, mIdt, sizeof (Exceptions));
  for (Index = 0; Index < ARRAY_SIZE (mCaught); Index++) {
    StmIdtSetGate (mCaught[Index], &AsmTryEntries[mCaught[Index] * BYTES_PER_ENTRY]);
  }

  Vector = SetJump (&gStmTryLeave);
  if (Vector == STM_TRY_DONE) {
    Routine (Context);
  }

  CopyMem (mIdt, Exceptions, sizeof (Exceptions));
  return Vector;
}
