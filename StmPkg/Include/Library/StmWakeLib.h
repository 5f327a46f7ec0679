/** @file
  A waking routine: from real mode, where the firmware leaves at a wake from S3, to
  64-bit mode, on page tables and a stack of one's own.

  An operating system brings such a routine, and so does a VMM that wants to be
  there first. Free of firmware services.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_WAKE_LIB_H_
#define STM_WAKE_LIB_H_

///
/// Selectors of the waking routine's GDT, which is in force when it ends.
///
#define STM_WAKE_DATA_SELECTOR    0x10
#define STM_WAKE_CODE64_SELECTOR  0x18

///
/// What the waking routine loads before it ends.
///
typedef struct {
  UINT64    Cr0;
  UINT64    Cr3;                ///< below 4 GB; maps the routine's page at its address
  UINT64    Cr4;                ///< without PCIDE
  UINT64    Efer;
  UINT64    Stack;              ///< RSP
  UINT64    Continue;           ///< where it jumps to, with interrupts off
} STM_WAKE_STATE;

/**
  Put a waking routine into a page.

  @param[out] Page   4 KB below 1 MB, at its physical address, which is the waking
                     vector.
  @param[in]  State  What the routine loads.
**/
VOID
EFIAPI
StmWakePlace (
  OUT VOID                  *Page,
  IN  CONST STM_WAKE_STATE  *State
  );

#endif
