/** @file
  The wake: VMX operation again, the STM again, on every processor, and the guest in
  real mode at its own waking vector, as if the firmware had jumped there.

  The other processors are the guest's to start. But they must start as guests, so
  each is taken first: INIT and SIPI to our waking routine, VMXON, START, and a guest
  that is halted until the operating system sends INIT and SIPI. That is how firmware
  leaves them; in the state wait-for-SIPI they would take no SMI, and the SMI handler
  would wait for them in vain each time.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"
#include "Operation.h"

#define VECTOR_SEGMENT_SHIFT  4
#define VECTOR_OFFSET         0xF
#define PAGE_SHIFT            12

///
/// In rounds of the processor: between INIT and SIPI, and between SIPIs; and how many
/// of those are sent.
///
#define SIPI_INTERVAL  100000
#define SIPI_LIMIT     10000

/**
  Whether the firmware has announced MSEG after the wake as it had before. Its
  status table belongs to the guest, the MSR does not.

  @retval TRUE   MSR 9BH has its valid bit.
  @retval FALSE  It has not.
**/
STATIC
BOOLEAN
ExecMsegIsThere (
  VOID
  )
{
  MSR_IA32_SMM_MONITOR_CTL_REGISTER  Control;

  Control.Uint64 = AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL);
  return (BOOLEAN)(Control.Bits.Valid != 0);
}

/**
  VMXON, the STM, and a guest VMCS with the state of a reset. There is nobody left to
  whom a failure could be returned: it is a crash.

  @param[in,out] Processor  This processor.
  @param[out]    Registers  The guest's.
**/
STATIC
VOID
ExecReenter (
  IN OUT EXEC_PROCESSOR  *Processor,
  OUT    VMX_REGISTERS   *Registers
  )
{
  EXEC_RESULT  Result;

  Result = ExecEnterRoot (Processor);
  if (Result == ExecOk) {
    Result = ExecSetUpVmcs (Processor);
  }

  if (Result != ExecOk) {
    ExecCrash ("wake-failed", Result, Processor->Detail, 0, Processor->Number);
  }

  ExecWriteGuestState ();
  ExecWriteResetState (Registers);
  Processor->State = ExecStateGuest;
  EXEC_RECORD ("launch", "cpu=%u vmcs=0x%lx", Processor->Number, Processor->GuestVmcs);
}

/**
  Where the waking routine of another processor ends. Does not return.
**/
STATIC
VOID
EFIAPI
ExecWakeOther (
  VOID
  )
{
  EXEC_PROCESSOR  *Processor;
  VMX_REGISTERS   Registers;

  //
  // From here on no SIPI is to come but the guest's.
  //
  Processor               = gExecParameters->Waking;
  gExecParameters->Waking = NULL;

  ExecReenter (Processor, &Registers);
  VmWrite (VMCS_GUEST_CS_SELECTOR, gExecParameters->WakePage >> VECTOR_SEGMENT_SHIFT);
  VmWrite (VMCS_GUEST_CS_BASE, gExecParameters->WakePage);
  VmWrite (VMCS_GUEST_RIP, EXEC_HALT_OFFSET);
  VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
  InterlockedIncrement (&gExecParameters->Guests);
  AsmLaunchWith (&Registers);
}

/**
  Wait for another processor.
**/
STATIC
VOID
ExecPause (
  VOID
  )
{
  UINTN  Count;

  for (Count = 0; Count < SIPI_INTERVAL; Count++) {
    CpuPause ();
  }
}

/**
  Take another processor. A SIPI that comes before the processor has carried out
  INIT is lost, so it is sent until the processor is here.

  @param[in,out] Shared     All processors.
  @param[in,out] Processor  Which.
**/
STATIC
VOID
ExecTake (
  IN OUT EXEC_PARAMETERS  *Shared,
  IN OUT EXEC_PROCESSOR   *Processor
  )
{
  UINT32  Guests;
  UINTN   Count;

  Guests = Shared->Guests;
  ExecPlaceRoutine (Shared, Processor, (UINT64)(UINTN)ExecWakeOther);
  ExecSendIpiTo (Processor->ApicId, EXEC_IPI_ONE_INIT);
  for (Count = 0; (Count < SIPI_LIMIT) && (Shared->Guests == Guests); Count++) {
    ExecPause ();
    if (Shared->Waking != NULL) {
      ExecSendIpiTo (Processor->ApicId, EXEC_IPI_ONE_SIPI | (UINT32)RShiftU64 (Shared->WakePage, PAGE_SHIFT));
    }
  }

  if (Shared->Guests == Guests) {
    ExecCrash ("wake-failed", ExecNoAnswer, Processor->ApicId, 0, Processor->Number);
  }
}

/**
  Awake: where the bootstrap processor's waking routine ends. On our page tables and
  its exit stack. Does not return.
**/
VOID
EFIAPI
ExecWake (
  VOID
  )
{
  EXEC_PARAMETERS  *Shared;
  EXEC_PROCESSOR   *Processor;
  EXEC_PROCESSOR   *Other;
  VMX_REGISTERS    Registers;
  UINT32           Vector;
  UINT32           Number;

  Shared          = gExecParameters;
  Processor       = Shared->Waking;
  Vector          = ExecRestoreVector (Shared);
  Shared->Leaving = 0;
  EXEC_RECORD ("wake", "guest_vector=0x%x", Vector);

  if (Shared->UseStm && !ExecMsegIsThere ()) {
    Shared->UseStm = FALSE;
    EXEC_RECORD ("no-stm", "reason=msr-9bh");
  }

  ExecReenter (Processor, &Registers);
  Shared->Guests = 1;
  for (Number = 0; Number < Shared->Processors; Number++) {
    Other = EXEC_PROCESSOR_OF (Shared, Number);
    if (Other != Processor) {
      ExecTake (Shared, Other);
    }
  }

  VmWrite (VMCS_GUEST_CS_SELECTOR, Vector >> VECTOR_SEGMENT_SHIFT);
  VmWrite (VMCS_GUEST_CS_BASE, Vector & ~(UINT32)VECTOR_OFFSET);
  VmWrite (VMCS_GUEST_RIP, Vector & VECTOR_OFFSET);
  VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
  ExecPublish (Shared, ExecStateGuest, Processor->StmActive);
  AsmLaunchWith (&Registers);
}
