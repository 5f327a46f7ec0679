/** @file
  State of the interrupted program: what the parts of SmiTool that look at it
  share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STATE_H_
#define STATE_H_

#include "SmiTool.h"

#define STATE_GPRS  16
#define GPR_RAX     0
#define GPR_RSP     4

///
/// Input and output of AsmStateProbe; offsets in X64/Probe.nasm.
///
typedef struct {
  UINT64    Gpr[STATE_GPRS];        ///< patterns, by register number; RSP is filled in
  UINT64    Rflags;                 ///< pattern
  UINT64    Halt;                   ///< 0: SMI by port B2H, 1: halt and wait for one
  UINT64    Mask;                   ///< for XSAVE; 0: FXSAVE
  VOID      *Original;              ///< vector state to restore at the end
  VOID      *Pattern;               ///< vector state to load
  VOID      *Before;                ///< vector state as loaded
  VOID      *After;                 ///< vector state behind the SMI
  UINT64    AfterGpr[STATE_GPRS];
  UINT64    AfterRflags;
} STATE_PROBE;

extern STATE_PROBE  gStateProbe;

///
/// Interrupts that AsmWake has taken.
///
extern UINT64  gStateWakes;

/**
  Load the patterns of gStateProbe, take an SMI, store what came back.
  Interrupts off.
**/
VOID
EFIAPI
AsmStateProbe (
  VOID
  );

/**
  STI, HLT, CLI.
**/
VOID
EFIAPI
AsmHalt (
  VOID
  );

/**
  STI, two instructions, CLI.
**/
VOID
EFIAPI
AsmInterruptWindow (
  VOID
  );

/**
  Interrupt entry: counts in gStateWakes and returns with interrupts off.
**/
VOID
EFIAPI
AsmWake (
  VOID
  );

/**
  Read CR8.

  @return Task priority.
**/
UINT64
EFIAPI
AsmReadCr8 (
  VOID
  );

/**
  Write CR8.

  @param[in] Value  Task priority, 0 to 15.
**/
VOID
EFIAPI
AsmWriteCr8 (
  IN UINT64  Value
  );

/**
  Load ES, FS and GS; the bases of FS and GS become those of the descriptors.

  @param[in] Es  Selector.
  @param[in] Fs  Selector.
  @param[in] Gs  Selector.
**/
VOID
EFIAPI
AsmWriteDataSelectors (
  IN UINT16  Es,
  IN UINT16  Fs,
  IN UINT16  Gs
  );

//
// Vector.c
//

/**
  Allocate the areas for x87, SSE and AVX state, enable AVX if there is any,
  and compose the pattern.

  @retval EFI_SUCCESS           gStateProbe is ready.
  @retval EFI_OUT_OF_RESOURCES  No memory; nothing has changed.
**/
EFI_STATUS
StateVectorPrepare (
  VOID
  );

/**
  Undo StateVectorPrepare().
**/
VOID
StateVectorRelease (
  VOID
  );

/**
  Compare the vector state before and behind the SMI.

  @return Number of fields that differ.
**/
UINTN
StateVectorCompare (
  VOID
  );

//
// State.c
//

/**
  Log one comparison.

  @param[in] Field   Name.
  @param[in] Before  Value before the SMI.
  @param[in] After   Value behind it.

  @retval 0  Equal.
  @retval 1  Different.
**/
UINTN
StateReport (
  IN CONST CHAR8  *Field,
  IN UINT64       Before,
  IN UINT64       After
  );

//
// Halt.c
//

///
/// What has to be put back after a halt.
///
typedef struct {
  UINT8      PicMask[2];
  UINT32     Redirection[2];
  UINTN      Divisor;
  BOOLEAN    Periodic;
  UINT8      Vector;
  BOOLEAN    TimerEnabled;
  UINT32     TimerCount;
} HALT_CONTEXT;

/**
  Prepare a halt: an SMI comes soon, and an interrupt some time later, since
  behind an SMI the processor halts again. Interrupts off.

  @param[out] Context  For HaltDisarm().
**/
VOID
HaltArm (
  OUT HALT_CONTEXT  *Context
  );

/**
  Put the interrupt controllers and the timer back.

  @param[in] Context  From HaltArm().
**/
VOID
HaltDisarm (
  IN CONST HALT_CONTEXT  *Context
  );

#endif
