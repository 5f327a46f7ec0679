/** @file
  NMIs to a guest that exits again and again: none is lost, none comes twice.

  Another processor sends them, each when the one before has arrived, while this one
  executes CPUID in a loop. Nearly all of its time passes in the executive monitor,
  so most NMIs arrive there and not in the guest.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiDxe.h>
#include "GuestTool.h"
#include <Library/IoLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/MpService.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <StmRecord.h>

#define NMI_COUNT          500
#define NMI_WAIT_LIMIT     100000000
#define APIC_COMMAND_LOW   0x300
#define APIC_COMMAND_HIGH  0x310
#define APIC_NMI           0x4400
#define APIC_DESTINATION   24
#define APIC_BASE_MASK     0x000FFFFFFFFFF000ULL

///
/// What the two processors share.
///
typedef struct {
  UINT32             Target;      ///< APIC id of the receiver
  UINTN              Apic;        ///< registers of the local APIC
  volatile UINT64    Sent;
  volatile UINT64    Lost;        ///< NMIs that did not arrive
  volatile UINT32    Done;
} NMI_WORK;

/**
  Procedure of the sender.

  @param[in,out] Buffer  NMI_WORK.
**/
STATIC
VOID
EFIAPI
NmiSend (
  IN OUT VOID  *Buffer
  )
{
  NMI_WORK  *Work;
  UINT64    Before;
  UINTN     Count;

  Work = Buffer;
  while ((Work->Sent < NMI_COUNT) && (Work->Lost == 0)) {
    Before = gTryNmis;
    MmioWrite32 (Work->Apic + APIC_COMMAND_HIGH, Work->Target << APIC_DESTINATION);
    MmioWrite32 (Work->Apic + APIC_COMMAND_LOW, APIC_NMI);
    Work->Sent++;
    for (Count = 0; (gTryNmis == Before) && (Count < NMI_WAIT_LIMIT); Count++) {
      CpuPause ();
    }

    Work->Lost += (gTryNmis == Before) ? 1 : 0;
  }

  Work->Done = 1;
}

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
  )
{
  EFI_MP_SERVICES_PROTOCOL     *Mp;
  MSR_IA32_APIC_BASE_REGISTER  ApicBase;
  EFI_STATUS                   Status;
  EFI_EVENT                    Finished;
  EFI_TPL                      Tpl;
  NMI_WORK                     Work;
  UINTN                        Processors;
  UINTN                        Enabled;
  UINTN                        Index;
  UINT32                       Ebx;

  ApicBase.Uint64 = AsmReadMsr64 (MSR_IA32_APIC_BASE);
  Status          = gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Mp);
  if (!EFI_ERROR (Status)) {
    Status = Mp->GetNumberOfProcessors (Mp, &Processors, &Enabled);
  }

  if (!EFI_ERROR (Status) && ((Enabled < 2) || (ApicBase.Bits.EXTD != 0))) {
    Status = EFI_UNSUPPORTED;
  }

  if (!EFI_ERROR (Status)) {
    Status = gBS->CreateEvent (0, TPL_APPLICATION, NULL, NULL, &Finished);
  }

  if (EFI_ERROR (Status)) {
    Print (L"GuestTool: no other processor can send NMIs: %r\n", Status);
    return Status;
  }

  AsmCpuid (1, NULL, &Ebx, NULL, NULL);
  Work.Target = Ebx >> APIC_DESTINATION;
  Work.Apic   = (UINTN)(ApicBase.Uint64 & APIC_BASE_MASK);
  Work.Sent   = 0;
  Work.Lost   = 0;
  Work.Done   = 0;
  gTryNmis    = 0;

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  StmIdtSetGate (EXCEPT_IA32_NMI, AsmNmiTaken);
  Status = Mp->StartupThisAP (Mp, NmiSend, 1, Finished, 0, &Work, NULL);
  while (!EFI_ERROR (Status) && (Work.Done == 0)) {
    AsmCpuid (1, NULL, NULL, NULL, NULL);
  }

  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
  if (!EFI_ERROR (Status)) {
    gBS->WaitForEvent (1, &Finished, &Index);
  }

  gBS->CloseEvent (Finished);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "guest-nmis",
    "sent=%lu taken=%lu lost=%lu",
    Work.Sent,
    gTryNmis,
    Work.Lost
    );
  Print (L"GuestTool: %ld NMIs sent, %ld taken\n", Work.Sent, gTryNmis);
  return (EFI_ERROR (Status) || (Work.Sent == gTryNmis)) ? Status : EFI_DEVICE_ERROR;
}
