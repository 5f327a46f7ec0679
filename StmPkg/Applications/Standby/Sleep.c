/** @file
  To S3 and back.

  A processor wakes by a reset, so everything in it is lost; memory stays. What
  UEFI needs is put back by the waking routine (StmWakeLib), AsmWoken and here. Devices
  are as the firmware's resume leaves them, which suffices for the Shell: it uses
  a serial port, the flash through SMM, and the local APIC's timer.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Standby.h"
#include <IndustryStandard/Acpi20.h>
#include <Library/LocalApicLib.h>
#include <Register/Intel/ArchitecturalMsr.h>

#define LOW_MEMORY_LIMIT  0x9FFFF

//
// A present TSS of 64 bits, available or busy.
//
#define TSS_DESCRIPTOR_SIZE    16
#define DESCRIPTOR_TYPE_SHIFT  40
#define DESCRIPTOR_TYPE_MASK   0x9D
#define DESCRIPTOR_TSS         0x89

#define GIVE_UP_US  1000000

STATIC_ASSERT (OFFSET_OF (STANDBY_STATE, IdtLimit) == 0x10, "X64/Woken.nasm");
STATIC_ASSERT (OFFSET_OF (STANDBY_STATE, Tr) == 0x2E, "X64/Woken.nasm");

STATIC UINT8  mStack[STANDBY_STACK_SIZE];

///
/// Of the local APIC, what UEFI's timer needs.
///
typedef struct {
  UINTN      Divisor;
  UINT32     Count;
  BOOLEAN    Periodic;
  BOOLEAN    Enabled;
  UINT8      Vector;
} STANDBY_TIMER;

/**
  Put the waking routine into its page.

  @param[in] Page  Below 1 MB.
**/
STATIC
VOID
PlaceRoutine (
  IN EFI_PHYSICAL_ADDRESS  Page
  )
{
  STM_WAKE_STATE  State;

  State.Cr0      = AsmReadCr0 ();
  State.Cr3      = AsmReadCr3 ();
  State.Cr4      = AsmReadCr4 ();
  State.Efer     = AsmReadMsr64 (MSR_IA32_EFER);
  State.Stack    = (UINTN)mStack + sizeof (mStack);
  State.Continue = (UINTN)AsmWoken;
  StmWakePlace ((VOID *)(UINTN)Page, &State);
}

/**
  Read tables and segments. TR may hold a selector that means nothing in this
  GDT: a monitor that has gone leaves its own there.

  @param[out] State  Contents; Tr is 0 if it cannot be loaded again.
**/
STATIC
VOID
ReadState (
  OUT STANDBY_STATE  *State
  )
{
  CONST UINT64  *Descriptor;

  AsmReadState (State);
  Descriptor = (CONST UINT64 *)(UINTN)(State->GdtBase + State->Tr);
  if (((UINT32)State->Tr + TSS_DESCRIPTOR_SIZE - 1 > State->GdtLimit) ||
      ((RShiftU64 (*Descriptor, DESCRIPTOR_TYPE_SHIFT) & DESCRIPTOR_TYPE_MASK) != DESCRIPTOR_TSS))
  {
    State->Tr = 0;
  }
}

/**
  Find a page for the waking routine.

  @param[in,out] Page  Which; 0 for any page below 1 MB, and gets that.

  @retval EFI_SUCCESS           It is ours.
  @retval EFI_OUT_OF_RESOURCES  It is not free.
**/
STATIC
EFI_STATUS
FindPage (
  IN OUT EFI_PHYSICAL_ADDRESS  *Page
  )
{
  EFI_STATUS         Status;
  EFI_ALLOCATE_TYPE  How;

  How = AllocateAddress;
  if (*Page == 0) {
    How   = AllocateMaxAddress;
    *Page = LOW_MEMORY_LIMIT;
  }

  Status = gBS->AllocatePages (How, EfiLoaderCode, 1, Page);
  return EFI_ERROR (Status) ? EFI_OUT_OF_RESOURCES : EFI_SUCCESS;
}

/**
  Read the timer of the local APIC.

  @param[out] Timer  Its state.
**/
STATIC
VOID
ReadTimer (
  OUT STANDBY_TIMER  *Timer
  )
{
  GetApicTimerState (&Timer->Divisor, &Timer->Periodic, &Timer->Vector);
  Timer->Count   = GetApicTimerInitCount ();
  Timer->Enabled = GetApicTimerInterruptState ();
}

/**
  Start the timer of a local APIC that comes from a reset.

  @param[in] Timer  State before.
**/
STATIC
VOID
StartTimer (
  IN CONST STANDBY_TIMER  *Timer
  )
{
  InitializeLocalApicSoftwareEnable (TRUE);
  InitializeApicTimer (Timer->Divisor, Timer->Count, Timer->Periodic, Timer->Vector);
  if (Timer->Enabled) {
    EnableApicTimerInterrupt ();
  } else {
    DisableApicTimerInterrupt ();
  }
}

/**
  Write SLP_EN and wait for the end of the world as this processor knows it.

  @param[in] Sleep  From StmSleepRead.

  @retval EFI_TIMEOUT  It did not come.
**/
STATIC
EFI_STATUS
FallAsleep (
  IN CONST STM_SLEEP  *Sleep
  )
{
  UINT16  Control;

  AsmWbinvd ();
  Control  = IoRead16 (Sleep->ControlPort);
  Control &= (UINT16) ~(STM_PM1_SLP_TYP_MASK | STM_PM1_SLP_EN);
  Control |= (UINT16)(Sleep->Type[3] << STM_PM1_SLP_TYP_SHIFT) | STM_PM1_SLP_EN;
  IoWrite16 (Sleep->ControlPort, Control);
  gBS->Stall (GIVE_UP_US);
  return EFI_TIMEOUT;
}

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
  )
{
  EFI_ACPI_2_0_FIRMWARE_ACPI_CONTROL_STRUCTURE  *Facs;
  EFI_STATUS                                    Status;
  EFI_TPL                                       Tpl;
  STANDBY_TIMER                                 Timer;
  UINT64                                        Pat;
  UINT32                                        Found;

  Facs = (EFI_ACPI_2_0_FIRMWARE_ACPI_CONTROL_STRUCTURE *)(UINTN)Sleep->Facs;
  if ((Facs == NULL) || (AsmReadCr3 () >= BASE_4GB)) {
    return EFI_UNSUPPORTED;
  }

  Status = FindPage (&Vector);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  STANDBY_RECORD (
    "sleep-begin",
    "state=3 port=0x%x type=%u vector=0x%lx facs=0x%lx",
    (UINT32)Sleep->ControlPort,
    (UINT32)Sleep->Type[3],
    Vector,
    Sleep->Facs
    );

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  ReadTimer (&Timer);
  Pat = AsmReadMsr64 (MSR_IA32_PAT);
  ReadState (&gStandbyState);
  PlaceRoutine (Vector);
  Facs->FirmwareWakingVector  = (UINT32)Vector;
  Facs->XFirmwareWakingVector = 0;

  Status = EFI_SUCCESS;
  if (SetJump (&gStandbyJump) == 0) {
    Status = FallAsleep (Sleep);
  } else {
    AsmWriteMsr64 (MSR_IA32_PAT, Pat);
    StartTimer (&Timer);
  }

  Found                      = Facs->FirmwareWakingVector;
  Facs->FirmwareWakingVector = 0;
  gBS->RestoreTPL (Tpl);
  gBS->FreePages (Vector, 1);
  STANDBY_RECORD ("sleep-end", "result=%a vector=0x%x", EFI_ERROR (Status) ? "no-sleep" : "woken", Found);
  return Status;
}
