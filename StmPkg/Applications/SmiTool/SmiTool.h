/** @file
  What the commands of SmiTool share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef SMI_TOOL_H_
#define SMI_TOOL_H_

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/IoLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Library/UefiRuntimeServicesTableLib.h>
#include <StmRecord.h>

#define MSR_SMI_COUNT  0x34

///
/// A command value that no SMI handler of the firmware claims.
///
#define SMI_UNCLAIMED_COMMAND  0x55

#define SMI_RECORD(Event, ...)  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", Event, __VA_ARGS__)

/**
  Raise SMIs by writing the APM command port.

  @param[in] Count  How many.
  @param[in] Value  Byte for port B2H.

  @retval EFI_SUCCESS       The SMI count grew by exactly Count.
  @retval EFI_DEVICE_ERROR  It did not.
**/
EFI_STATUS
SmiRaise (
  IN UINTN  Count,
  IN UINT8  Value
  );

/**
  Raise SMIs by interprocessor interrupts to this processor.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       The SMI count grew by exactly Count.
  @retval EFI_DEVICE_ERROR  It did not.
**/
EFI_STATUS
SmiSend (
  IN UINTN  Count
  );

/**
  Take SMIs from HLT.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       Each halt met exactly one SMI.
  @retval EFI_DEVICE_ERROR  The SMI count says otherwise.
**/
EFI_STATUS
SmiHalt (
  IN UINTN  Count
  );

/**
  Check that an SMI changes no state of the program it interrupts.

  @param[in] Halted  TRUE: the SMI interrupts HLT; FALSE: port B2H raises it.

  @retval EFI_SUCCESS           Nothing has changed.
  @retval EFI_DEVICE_ERROR      Something has, or there was not exactly one SMI.
  @retval EFI_OUT_OF_RESOURCES  No memory.
**/
EFI_STATUS
SmiState (
  IN BOOLEAN  Halted
  );

/**
  Log MSR 34H.

  @retval EFI_SUCCESS  Always.
**/
EFI_STATUS
SmiLogCount (
  VOID
  );

/**
  Write variables, which the firmware does in SMM, and read them back.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       All read back as written.
  @retval EFI_DEVICE_ERROR  Some did not.
**/
EFI_STATUS
SmiVariables (
  IN UINTN  Count
  );

/**
  Check that TSEG, MSEG included, reads as FFH from here.

  @retval EFI_SUCCESS             It does.
  @retval EFI_NOT_FOUND           The firmware publishes no TSEG.
  @retval EFI_SECURITY_VIOLATION  Some byte is visible.
**/
EFI_STATUS
SmiCheckTseg (
  VOID
  );

#endif
