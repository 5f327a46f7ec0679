/** @file
  Interprocessor interrupts ("Issuing Interprocessor Interrupts", 10.6 [10.6];
  x2APIC: 10.12.9 [10.12.9]). The local APIC is the guest's: it is used as the guest
  has set it up. While it runs only shorthands are used, so that nothing of it is
  changed but the low half of the interrupt command register.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

#define APIC_BASE_MASK           0x000FFFFFFFFFF000ULL
#define APIC_COMMAND_LOW         0x300
#define APIC_COMMAND_HIGH        0x310
#define APIC_ID_SHIFT            24
#define MSR_X2APIC_COMMAND       0x830
#define APIC_COMMAND_PENDING     BIT12
#define APIC_COMMAND_WAIT_LIMIT  1000000

/**
  Wait until the local APIC has sent what it was told to send.

  @param[in] Base  Its registers.
**/
STATIC
VOID
ExecWaitForApic (
  IN UINTN  Base
  )
{
  UINTN  Count;

  for (Count = 0; Count < APIC_COMMAND_WAIT_LIMIT; Count++) {
    if ((MmioRead32 (Base + APIC_COMMAND_LOW) & APIC_COMMAND_PENDING) == 0) {
      return;
    }

    CpuPause ();
  }
}

/**
  Write the interrupt command register.

  @param[in] Command  Bits 31:0.
  @param[in] ApicId   Whom, or NULL: a shorthand of Command says it, and the high
                      half of the register keeps what the guest has put there.
**/
STATIC
VOID
ExecWriteCommand (
  IN UINT32        Command,
  IN CONST UINT32  *ApicId OPTIONAL
  )
{
  MSR_IA32_APIC_BASE_REGISTER  ApicBase;
  UINTN                        Base;

  ApicBase.Uint64 = AsmReadMsr64 (MSR_IA32_APIC_BASE);
  if (ApicBase.Bits.EXTD != 0) {
    AsmWriteMsr64 (MSR_X2APIC_COMMAND, ((ApicId == NULL) ? 0 : LShiftU64 (*ApicId, 32)) | Command);
    return;
  }

  Base = (UINTN)(ApicBase.Uint64 & APIC_BASE_MASK);
  ExecWaitForApic (Base);
  if (ApicId != NULL) {
    MmioWrite32 (Base + APIC_COMMAND_HIGH, *ApicId << APIC_ID_SHIFT);
  }

  MmioWrite32 (Base + APIC_COMMAND_LOW, Command);
  ExecWaitForApic (Base);
}

/**
  Send an interprocessor interrupt.

  @param[in] Command  Bits 31:0 of the interrupt command register, whose shorthand
                      says who gets it: EXEC_IPI_*.
**/
VOID
ExecSendIpi (
  IN UINT32  Command
  )
{
  ExecWriteCommand (Command, NULL);
}

/**
  Send an interprocessor interrupt to one processor. At a wake only, when the guest
  has not set up its local APIC yet: the whole interrupt command register is used.

  @param[in] ApicId   Whom.
  @param[in] Command  Bits 31:0 of the interrupt command register, without shorthand.
**/
VOID
ExecSendIpiTo (
  IN UINT32  ApicId,
  IN UINT32  Command
  )
{
  ExecWriteCommand (Command, &ApicId);
}
