/** @file
  An SMI for another processor, by the local APIC: "Interrupt Command Register (ICR)",
  10.6.1 [11.6.1], and "ICR Operation in x2APIC Mode", 10.12.9 [11.12.9].

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"
#include <Library/IoLib.h>

#define APIC_BASE_MASK     0x000FFFFFFFFFF000ULL
#define APIC_COMMAND_LOW   0x300
#define APIC_COMMAND_HIGH  0x310
#define APIC_ID_SHIFT      24
#define APIC_BUSY          BIT12
#define MSR_X2APIC_ICR     0x830
#define DELIVER_SMI        0x4200   ///< delivery mode SMI, level asserted, physical destination

///
/// How often to look whether the APIC has sent what it was told before, in PAUSE
/// instructions.
///
#define BUSY_PAUSES  1000

/**
  Wait until the local APIC has sent the last interrupt.

  @param[in] Apic  Where its registers are mapped.
**/
STATIC
VOID
WaitForApic (
  IN UINTN  Apic
  )
{
  UINT32  Pauses;

  for (Pauses = 0; (Pauses < BUSY_PAUSES) && ((MmioRead32 (Apic + APIC_COMMAND_LOW) & APIC_BUSY) != 0); Pauses++) {
    CpuPause ();
  }
}

/**
  Send an SMI to another processor.

  The interrupted side may have written the high half of the register and not yet the
  low one: it gets the high half back.

  @param[in] Processor  This processor, its window closed.
  @param[in] ApicId     Whom.

  @retval TRUE   Sent.
  @retval FALSE  This processor's local APIC is disabled, or cannot address the other one.
**/
BOOLEAN
StmSendSmi (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               ApicId
  )
{
  MSR_IA32_APIC_BASE_REGISTER  ApicBase;
  UINTN                        Apic;
  UINT32                       High;

  ApicBase.Uint64 = AsmReadMsr64 (MSR_IA32_APIC_BASE);
  if (ApicBase.Bits.EN == 0) {
    return FALSE;
  }

  if (ApicBase.Bits.EXTD != 0) {
    AsmWriteMsr64 (MSR_X2APIC_ICR, LShiftU64 (ApicId, 32) | DELIVER_SMI);
    return TRUE;
  }

  if (ApicId > MAX_UINT8) {
    return FALSE;
  }

  Apic = (UINTN)StmOpenWindow (Processor, ApicBase.Uint64 & APIC_BASE_MASK, TRUE);
  WaitForApic (Apic);
  High = MmioRead32 (Apic + APIC_COMMAND_HIGH);
  MmioWrite32 (Apic + APIC_COMMAND_HIGH, ApicId << APIC_ID_SHIFT);
  MmioWrite32 (Apic + APIC_COMMAND_LOW, DELIVER_SMI);
  WaitForApic (Apic);
  MmioWrite32 (Apic + APIC_COMMAND_HIGH, High);
  StmCloseWindow (Processor);
  return TRUE;
}
