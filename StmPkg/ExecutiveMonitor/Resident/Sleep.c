/** @file
  Before S3: the waking vector in the FACS is exchanged for our own, so that we are
  there before the guest.

  The firmware jumps to the vector natively, in real mode. Our routine has a page of
  reserved memory below 1 MB, which is written only now: until the machine wakes
  nobody runs that could change it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

#include <IndustryStandard/Acpi20.h>
#include <Library/StmWakeLib.h>

#define HOME_SPACE  0x28            ///< of a function that is jumped to

/**
  The FACS.

  @param[in] Shared  Where it is.

  @return It, at its physical address.
**/
STATIC
EFI_ACPI_2_0_FIRMWARE_ACPI_CONTROL_STRUCTURE *
ExecFacs (
  IN CONST EXEC_PARAMETERS  *Shared
  )
{
  return (EFI_ACPI_2_0_FIRMWARE_ACPI_CONTROL_STRUCTURE *)(UINTN)Shared->Sleep.Facs;
}

/**
  Put the waking routine into its page, for one processor, and behind it the code in
  which guests halt.

  @param[in,out] Shared     Where the page is; Waking is set.
  @param[in]     Processor  Who will wake.
  @param[in]     Entry      Where the routine ends.
**/
VOID
ExecPlaceRoutine (
  IN OUT EXEC_PARAMETERS  *Shared,
  IN     EXEC_PROCESSOR   *Processor,
  IN     UINT64           Entry
  )
{
  STATIC CONST UINT8  Halt[] = { 0xF4, 0xEB, 0xFD };    // HLT; JMP to it

  STM_WAKE_STATE  State;
  IA32_CR4        Cr4;

  Cr4.UintN      = AsmReadCr4 ();
  Cr4.Bits.VMXE  = 0;
  State.Cr0      = AsmReadCr0 ();
  State.Cr3      = Shared->PageTables;
  State.Cr4      = Cr4.UintN;
  State.Efer     = AsmReadMsr64 (MSR_IA32_EFER);
  State.Stack    = Processor->StackTop - sizeof (VMX_CONTEXT) - HOME_SPACE;
  State.Continue = Entry;
  Shared->Waking = Processor;
  StmWakePlace ((VOID *)(UINTN)Shared->WakePage, &State);
  CopyMem ((UINT8 *)(UINTN)Shared->WakePage + EXEC_HALT_OFFSET, Halt, sizeof (Halt));
}

/**
  The processor that wakes first, and activates the STM: the bootstrap processor.

  @param[in] Shared  All processors.

  @return It.
**/
STATIC
EXEC_PROCESSOR *
ExecBootstrapProcessor (
  IN CONST EXEC_PARAMETERS  *Shared
  )
{
  EXEC_PROCESSOR  *Processor;
  UINT32          Number;

  for (Number = 0; Number < Shared->Processors; Number++) {
    Processor = EXEC_PROCESSOR_OF (Shared, Number);
    if (Processor->Activates) {
      return Processor;
    }
  }

  return EXEC_PROCESSOR_OF (Shared, 0);
}

/**
  Be ready to come back, if that is wanted and this is S3. VMX operation has been
  left, the sleep has not begun.

  @param[in,out] Shared  Sleep, and where the waking routine goes.
  @param[in]     Value   What the guest writes to the control port.
**/
VOID
ExecPrepareReturn (
  IN OUT EXEC_PARAMETERS  *Shared,
  IN     UINT16           Value
  )
{
  EFI_ACPI_2_0_FIRMWARE_ACPI_CONTROL_STRUCTURE  *Facs;

  if (!Shared->Returns || (StmSleepState (&Shared->Sleep, Value) != 3)) {
    return;
  }

  Facs = ExecFacs (Shared);
  if ((Facs->FirmwareWakingVector == 0) || (Facs->XFirmwareWakingVector != 0)) {
    //
    // The guest wants to wake in another mode than real mode.
    //
    EXEC_RECORD ("no-return", "reason=waking-vector");
    return;
  }

  ExecPlaceRoutine (Shared, ExecBootstrapProcessor (Shared), Shared->WakeEntry);
  Shared->GuestVector        = Facs->FirmwareWakingVector;
  Facs->FirmwareWakingVector = (UINT32)Shared->WakePage;
  EXEC_RECORD ("sleep", "guest_vector=0x%x vector=0x%lx", Shared->GuestVector, Shared->WakePage);
}

/**
  At the wake: leave the FACS as the guest did.

  @param[in] Shared  Where it is.

  @return The guest's waking vector.
**/
UINT32
ExecRestoreVector (
  IN CONST EXEC_PARAMETERS  *Shared
  )
{
  ExecFacs (Shared)->FirmwareWakingVector = Shared->GuestVector;
  return Shared->GuestVector;
}
