/** @file
  SMIs that interrupt HLT.

  A program that raises an SMI by a port write is not halted. Here the legacy
  timer (8254, channel 0) raises it: its pin of the I/O APIC gets delivery mode
  SMI. Behind the SMI the processor is back in HLT (SDM "Auto HALT Restart",
  34.10 [32.10]; activity state HLT under the dual-monitor treatment), so the
  local APIC's timer interrupts it later.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Library/LocalApicLib.h>
#include <Library/StmTryLib.h>

#define PORT_PIC_MASK_1    0x21
#define PORT_PIC_MASK_2    0xA1
#define PORT_PIT_CHANNEL0  0x40
#define PORT_PIT_COMMAND   0x43
#define PIT_ONE_SHOT       0x30             ///< channel 0, low and high byte, mode 0
#define PIT_COUNT          2386             ///< 2 ms at 1.193 MHz

#define IO_APIC_INDEX      0xFEC00000
#define IO_APIC_DATA       0xFEC00010
#define IO_APIC_TIMER_LOW  0x14             ///< redirection entry of pin 2
#define REDIRECT_SMI       0x00000200       ///< delivery mode SMI, edge, physical
#define REDIRECT_MASKED    BIT16
#define REDIRECT_ID_SHIFT  24

#define WAKE_VECTOR  0xE0                   ///< above any task priority used here
#define WAKE_COUNT   10000000               ///< 10 ms of QEMU's 1-GHz APIC clock

/**
  Access a register of the I/O APIC.

  @param[in] Index  Register.
  @param[in] Value  New contents.
**/
STATIC
VOID
IoApicWrite (
  IN UINT8   Index,
  IN UINT32  Value
  )
{
  MmioWrite32 (IO_APIC_INDEX, Index);
  MmioWrite32 (IO_APIC_DATA, Value);
}

/**
  Read a register of the I/O APIC.

  @param[in] Index  Register.

  @return Contents.
**/
STATIC
UINT32
IoApicRead (
  IN UINT8  Index
  )
{
  MmioWrite32 (IO_APIC_INDEX, Index);
  return MmioRead32 (IO_APIC_DATA);
}

/**
  Prepare a halt: an SMI comes soon, and an interrupt some time later, since
  behind an SMI the processor halts again. Interrupts off.

  @param[out] Context  For HaltDisarm().
**/
VOID
HaltArm (
  OUT HALT_CONTEXT  *Context
  )
{
  StmIdtLoad ();
  StmIdtSetGate (WAKE_VECTOR, AsmWake);
  Context->PicMask[0] = IoRead8 (PORT_PIC_MASK_1);
  Context->PicMask[1] = IoRead8 (PORT_PIC_MASK_2);
  IoWrite8 (PORT_PIC_MASK_1, 0xFF);
  IoWrite8 (PORT_PIC_MASK_2, 0xFF);

  GetApicTimerState (&Context->Divisor, &Context->Periodic, &Context->Vector);
  Context->TimerEnabled   = GetApicTimerInterruptState ();
  Context->TimerCount     = GetApicTimerInitCount ();
  Context->Redirection[0] = IoApicRead (IO_APIC_TIMER_LOW);
  Context->Redirection[1] = IoApicRead (IO_APIC_TIMER_LOW + 1);

  //
  // A tick of the firmware's timer that is pending already would end the halt:
  // let its handler run first. The other gates of our IDT are the firmware's.
  //
  DisableApicTimerInterrupt ();
  AsmInterruptWindow ();

  //
  // Mode 0 takes the output low; it rises when the count is over. The processor
  // must not miss that edge, so the pin is opened in between.
  //
  gStateWakes = 0;
  IoWrite8 (PORT_PIT_COMMAND, PIT_ONE_SHOT);
  IoApicWrite (IO_APIC_TIMER_LOW + 1, GetApicId () << REDIRECT_ID_SHIFT);
  IoApicWrite (IO_APIC_TIMER_LOW, REDIRECT_SMI);
  InitializeApicTimer (1, WAKE_COUNT, FALSE, WAKE_VECTOR);
  EnableApicTimerInterrupt ();
  IoWrite8 (PORT_PIT_CHANNEL0, (UINT8)PIT_COUNT);
  IoWrite8 (PORT_PIT_CHANNEL0, (UINT8)(PIT_COUNT >> 8));
}

/**
  Put the interrupt controllers and the timer back.

  @param[in] Context  From HaltArm().
**/
VOID
HaltDisarm (
  IN CONST HALT_CONTEXT  *Context
  )
{
  IoApicWrite (IO_APIC_TIMER_LOW, REDIRECT_MASKED);
  IoApicWrite (IO_APIC_TIMER_LOW + 1, Context->Redirection[1]);
  IoApicWrite (IO_APIC_TIMER_LOW, Context->Redirection[0]);

  DisableApicTimerInterrupt ();
  if (gStateWakes == 0) {
    //
    // The SMI ended HLT for good. Should our interrupt have come meanwhile, the
    // firmware's IDT must not see it.
    //
    AsmInterruptWindow ();
  }

  if (gStateWakes != 0) {
    SendApicEoi ();
  }

  InitializeApicTimer (Context->Divisor, Context->TimerCount, Context->Periodic, Context->Vector);
  if (Context->TimerEnabled) {
    EnableApicTimerInterrupt ();
  } else {
    DisableApicTimerInterrupt ();
  }

  IoWrite8 (PORT_PIC_MASK_1, Context->PicMask[0]);
  IoWrite8 (PORT_PIC_MASK_2, Context->PicMask[1]);
  StmIdtRestore ();
}

/**
  Take SMIs from HLT.

  @param[in] Count  How many.

  @retval EFI_SUCCESS       Each halt met exactly one SMI.
  @retval EFI_DEVICE_ERROR  The SMI count says otherwise.
**/
EFI_STATUS
SmiHalt (
  IN UINTN  Count
  )
{
  EFI_TPL       Tpl;
  HALT_CONTEXT  Context;
  UINTN         Index;
  UINT64        Before;
  UINT64        Counted;
  UINT64        Wakes;

  SMI_RECORD ("smi-begin", "cause=hlt");
  Counted = 0;
  Wakes   = 0;
  for (Index = 0; Index < Count; Index++) {
    Tpl    = gBS->RaiseTPL (TPL_HIGH_LEVEL);
    Before = AsmReadMsr64 (MSR_SMI_COUNT);
    HaltArm (&Context);
    AsmHalt ();
    HaltDisarm (&Context);
    Counted += AsmReadMsr64 (MSR_SMI_COUNT) - Before;
    Wakes   += gStateWakes;
    gBS->RestoreTPL (Tpl);
  }

  SMI_RECORD ("smi-end", "raised=%lu counted=%lu wakes=%lu", (UINT64)Count, Counted, Wakes);
  Print (L"SmiTool: %ld halts, %ld SMIs counted\n", (UINT64)Count, Counted);
  return (Counted == Count) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}
