/** @file
  An IDT of one's own, and code that may fault, tried with the fault caught.

  The IDT is a copy of the one in force, in the module's own memory: at
  TPL_HIGH_LEVEL and in SMM there are no memory services.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_TRY_LIB_H_
#define STM_TRY_LIB_H_

#define STM_TRY_DONE  0           ///< no fault; #DE, vector 0, is not caught

/**
  Code to try.

  @param[in,out] Context  From the caller of StmTry.
**/
typedef
VOID
(EFIAPI *STM_TRY_ROUTINE)(
  IN OUT VOID  *Context
  );

/**
  Load a copy of the IDT in force. Interrupts off until StmIdtRestore.
**/
VOID
EFIAPI
StmIdtLoad (
  VOID
  );

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
  );

/**
  Load the IDT that StmIdtLoad found.
**/
VOID
EFIAPI
StmIdtRestore (
  VOID
  );

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
  );

#endif
