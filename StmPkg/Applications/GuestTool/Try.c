/** @file
  The IDT that catches faults.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Try.h"

#define IDT_ENTRIES  256

///
/// Not allocated: at TPL_HIGH_LEVEL there are no memory services.
///
STATIC IA32_IDT_GATE_DESCRIPTOR  mIdt[IDT_ENTRIES];

/**
  Lead a vector to our code.

  @param[in] Vector  Which.
  @param[in] Entry   Where to.
**/
STATIC
VOID
TrySetGate (
  IN UINTN  Vector,
  IN UINTN  Entry
  )
{
  IA32_IDT_GATE_DESCRIPTOR  *Gate;

  Gate                   = &mIdt[Vector];
  Gate->Uint128.Uint64   = 0;
  Gate->Uint128.Uint64_1 = 0;
  Gate->Bits.OffsetLow   = (UINT16)Entry;
  Gate->Bits.OffsetHigh  = (UINT16)(Entry >> 16);
  Gate->Bits.OffsetUpper = (UINT32)(Entry >> 32);
  Gate->Bits.Selector    = AsmReadCs ();
  Gate->Bits.GateType    = IA32_IDT_GATE_TYPE_INTERRUPT_32;
}

/**
  Load an IDT whose #DB, #UD and #GP lead to the instruction behind the try.
  Interrupts off.

  @param[out] Firmware  The firmware's IDTR, to be loaded again.
**/
VOID
TryBegin (
  OUT IA32_DESCRIPTOR  *Firmware
  )
{
  IA32_DESCRIPTOR  Idtr;

  AsmReadIdtr (Firmware);
  CopyMem (mIdt, (VOID *)Firmware->Base, MIN (sizeof (mIdt), (UINTN)Firmware->Limit + 1));
  TrySetGate (VECTOR_DB, (UINTN)AsmTryDebug);
  TrySetGate (VECTOR_UD, (UINTN)AsmTryUndefined);
  TrySetGate (VECTOR_GP, (UINTN)AsmTryProtection);
  Idtr.Base  = (UINTN)mIdt;
  Idtr.Limit = sizeof (mIdt) - 1;
  AsmWriteIdtr (&Idtr);
}
