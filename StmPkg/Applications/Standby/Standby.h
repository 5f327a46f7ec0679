/** @file
  What the parts of the standby tool share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STANDBY_H_
#define STANDBY_H_

#include <PiDxe.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/IoLib.h>
#include <Library/StmRecordLib.h>
#include <Library/StmSleepLib.h>
#include <Library/StmWakeLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmRecord.h>

#define STANDBY_RECORD(Event, ...)  StmRecord (STM_RECORD_PORT_FIRMWARE, "APP", Event, __VA_ARGS__)

#define STANDBY_STACK_SIZE  SIZE_8KB

#pragma pack(1)

///
/// What AsmWoken puts back. The offsets are repeated in X64/Woken.nasm.
///
typedef struct {
  UINT16    GdtLimit;           ///< 0x00
  UINT64    GdtBase;            ///< 0x02
  UINT8     Reserved1[6];
  UINT16    IdtLimit;           ///< 0x10
  UINT64    IdtBase;            ///< 0x12
  UINT8     Reserved2[6];
  UINT16    Cs;                 ///< 0x20
  UINT16    Ds;                 ///< 0x22
  UINT16    Es;                 ///< 0x24
  UINT16    Fs;                 ///< 0x26
  UINT16    Gs;                 ///< 0x28
  UINT16    Ss;                 ///< 0x2A
  UINT16    Ldtr;               ///< 0x2C
  UINT16    Tr;                 ///< 0x2E
} STANDBY_STATE;

#pragma pack()

extern STANDBY_STATE             gStandbyState;
extern BASE_LIBRARY_JUMP_BUFFER  gStandbyJump;

//
// X64/Woken.nasm
//

/**
  Where the waking routine arrives in 64-bit mode. It is no function: it puts
  descriptor tables and segments back and calls StandbyWoken.
**/
VOID
AsmWoken (
  VOID
  );

/**
  Read the tables and segments that AsmWoken puts back.

  @param[out] State  Contents.
**/
VOID
EFIAPI
AsmReadState (
  OUT STANDBY_STATE  *State
  );

/**
  Go to S3 and come back, as an operating system does: by a routine in real mode
  that the firmware finds in the FACS.

  @param[in] Sleep   From StmSleepRead.
  @param[in] Vector  Page below 1 MB for the waking routine; 0 for any.

  @retval EFI_SUCCESS           Asleep, and awake again.
  @retval EFI_OUT_OF_RESOURCES  That page is not free.
  @retval EFI_UNSUPPORTED       The tables have no FACS, or page tables lie above 4 GB.
  @retval EFI_TIMEOUT           The machine did not sleep.
**/
EFI_STATUS
StandbySleep (
  IN CONST STM_SLEEP       *Sleep,
  IN EFI_PHYSICAL_ADDRESS  Vector
  );

/**
  Log what an operating system can see: the firmware's status table, whether an
  executive monitor answers, and IA32_SMM_MONITOR_CTL of every processor where
  there is such an MSR.
**/
VOID
StandbyReport (
  VOID
  );

#endif
