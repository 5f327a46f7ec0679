/** @file
  What the parts of GuestTool share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef GUEST_TOOL_H_
#define GUEST_TOOL_H_

#include "Try.h"

//
// Answers.c
//

/**
  Ask the processor, and log what it answers.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS           Done.
  @retval EFI_OUT_OF_RESOURCES  There are more answers than room for them.
**/
EFI_STATUS
GuestAskProcessor (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

/**
  Switch tasks in 32-bit protected mode, and log what they have seen. TR is lost.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS      Done.
  @retval EFI_UNSUPPORTED  Not all of it lies below 4 GB.
**/
EFI_STATUS
GuestSwitchTasks (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

/**
  Reset the platform with OUTS: port CF9H gets 2 and then 6.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_DEVICE_ERROR  It goes on.
**/
EFI_STATUS
GuestResetByString (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

//
// Forge.c
//

/**
  Write a crash record of the STM to every record port.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done. Whether anybody believes it is for the reader to say.
**/
EFI_STATUS
GuestForgeRecords (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

/**
  Turn the firmware's status into the opposite of what it says: an STM that is enabled into
  one that was refused, and the other way round.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS    Done. Whether anybody believes it is for the reader to say.
  @retval EFI_NOT_FOUND  The firmware publishes no status.
**/
EFI_STATUS
GuestForgeStatus (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  );

//
// Hidden.c
//

/**
  Look at the memory of the executive monitor: nothing is there. Reads give ones,
  writes are lost.

  @retval EFI_SUCCESS       So it is.
  @retval EFI_NOT_STARTED   We are not the executive monitor's guest.
  @retval EFI_DEVICE_ERROR  Something else was read; the record says what.
**/
EFI_STATUS
GuestCheckHidden (
  VOID
  );

//
// Nmi.c
//

///
/// NMIs taken by AsmNmiTaken.
///
extern volatile UINT64  gTryNmis;

/**
  Interrupt entry for NMIs: counts them.
**/
VOID
EFIAPI
AsmNmiTaken (
  VOID
  );

/**
  Take NMIs while CPUID exits.

  @retval EFI_SUCCESS       As many came as were sent.
  @retval EFI_UNSUPPORTED   There is no other processor, or the local APIC is in x2APIC mode.
  @retval EFI_DEVICE_ERROR  Another number came.
  @return What MP Services returned.
**/
EFI_STATUS
GuestTakeNmis (
  VOID
  );

#endif
