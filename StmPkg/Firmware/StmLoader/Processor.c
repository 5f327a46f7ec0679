/** @file
  What the loader asks of, and does on, each processor.

  Every procedure here runs in SMM on the processor it concerns.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Protocol/MmMp.h>
#include <Protocol/SmmCpuService.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>

/**
  Collect the facts of the processor that executes this code. No VMX MSR is read
  before CPUID says that there are any: on stock emulators unknown MSRs read 0
  and on others they fault, so neither answer means anything.

  @param[in,out] Buffer  STM_PROCESSOR_FACTS to fill.

  @retval EFI_SUCCESS  Always.
**/
STATIC
EFI_STATUS
EFIAPI
CollectFacts (
  IN OUT VOID  *Buffer
  )
{
  STM_PROCESSOR_FACTS     *Facts;
  CPUID_VERSION_INFO_ECX  Ecx;

  Facts = Buffer;
  ZeroMem (Facts, sizeof (*Facts));
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx.Uint32, NULL);
  Facts->Vmx = (BOOLEAN)(Ecx.Bits.VMX == 1);
  if (Facts->Vmx) {
    Facts->FeatureControl = AsmReadMsr64 (MSR_IA32_FEATURE_CONTROL);
    Facts->VmxBasic       = AsmReadMsr64 (MSR_IA32_VMX_BASIC);
    Facts->VmxMisc        = AsmReadMsr64 (MSR_IA32_VMX_MISC);
  }

  return EFI_SUCCESS;
}

/**
  What IA32_SMM_MONITOR_CTL holds while MSEG can be used (SDM "Enabling the
  Dual-Monitor Treatment", 34.15.5 [32.15.5]).

  Bit 2 stays 0: an executive monitor that leaves VMX operation must not leave
  SMIs blocked.

  @param[in] MsegBase  Physical address of MSEG.

  @return The value.
**/
STATIC
UINT64
MonitorControl (
  IN UINT64  MsegBase
  )
{
  MSR_IA32_SMM_MONITOR_CTL_REGISTER  Control;

  Control.Uint64        = 0;
  Control.Bits.MsegBase = (UINT32)(MsegBase >> 12);
  Control.Bits.Valid    = 1;
  return Control.Uint64;
}

/**
  Write IA32_SMM_MONITOR_CTL on the processor that executes this code.

  @param[in,out] Buffer  Pointer to the value.

  @retval EFI_SUCCESS  Always.
**/
STATIC
EFI_STATUS
EFIAPI
WriteMonitorControl (
  IN OUT VOID  *Buffer
  )
{
  AsmWriteMsr64 (MSR_IA32_SMM_MONITOR_CTL, *(UINT64 *)Buffer);
  return EFI_SUCCESS;
}

/**
  Run a procedure on one processor and wait for it.

  @param[in]     Processor  Index in the SMM system table.
  @param[in]     Procedure  What to run.
  @param[in,out] Buffer     Its argument.

  @retval EFI_SUCCESS  The procedure ran.
  @retval others       The processor could not be reached.
**/
STATIC
EFI_STATUS
RunOn (
  IN     UINTN              Processor,
  IN     EFI_AP_PROCEDURE2  Procedure,
  IN OUT VOID               *Buffer
  )
{
  EFI_STATUS          Status;
  EFI_MM_MP_PROTOCOL  *MmMp;

  if (Processor == gSmst->CurrentlyExecutingCpu) {
    return Procedure (Buffer);
  }

  Status = gSmst->SmmLocateProtocol (&gEfiMmMpProtocolGuid, NULL, (VOID **)&MmMp);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  //
  // Without a token the call returns when the procedure has.
  //
  return MmMp->DispatchProcedure (MmMp, Procedure, Processor, 0, Buffer, NULL, NULL);
}

/**
  Wait until every processor is in SMM: OVMF's handlers begin without the others.
  Whoever does not come in time is missed by RunOn.
**/
STATIC
VOID
WaitForProcessors (
  VOID
  )
{
  EDKII_SMM_CPU_RENDEZVOUS_PROTOCOL  *Together;

  if (!EFI_ERROR (gSmst->SmmLocateProtocol (&gEdkiiSmmCpuRendezvousProtocolGuid, NULL, (VOID **)&Together))) {
    Together->WaitForAllProcessor (Together, TRUE);
  }
}

/**
  Ask every processor for its facts and decide for all of them.

  @param[out] Facts  Facts of the processor that executes this code.

  @return StmReasonNone if all processors can use the dual-monitor treatment and
          agree about it, else the first processor's reason against it.
**/
STM_REASON
CheckProcessors (
  OUT STM_PROCESSOR_FACTS  *Facts
  )
{
  STM_PROCESSOR_FACTS  Other;
  STM_REASON           Reason;
  UINTN                Index;

  WaitForProcessors ();
  CollectFacts (Facts);
  Reason = StmCheckProcessor (Facts);
  for (Index = 0; (Index < gSmst->NumberOfCpus) && (Reason == StmReasonNone); Index++) {
    if (EFI_ERROR (RunOn (Index, CollectFacts, &Other))) {
      DEBUG ((DEBUG_ERROR, "%a: processor %u does not answer\n", gEfiCallerBaseName, (UINT32)Index));
      return StmReasonNoDualMonitor;
    }

    Reason = StmCheckProcessor (&Other);
    if ((Reason == StmReasonNone) && (CompareMem (&Other, Facts, sizeof (Other)) != 0)) {
      //
      // One image serves all processors, so revision and VMCS size must be equal.
      //
      DEBUG ((DEBUG_ERROR, "%a: processor %u differs from the others\n", gEfiCallerBaseName, (UINT32)Index));
      return StmReasonNoDualMonitor;
    }
  }

  return Reason;
}

/**
  Set the valid bit and the MSEG base on the processor that executes this code,
  which had them before standby.

  @param[in] MsegBase  Physical address of MSEG.
**/
VOID
AnnounceMseg (
  IN UINT64  MsegBase
  )
{
  UINT64  Control;

  Control = MonitorControl (MsegBase);
  WriteMonitorControl (&Control);
}

/**
  Clear the valid bit on the first processors.

  @param[in] Count  How many.
**/
STATIC
VOID
ClearMonitorControl (
  IN UINTN  Count
  )
{
  UINT64  Control;

  Control = 0;
  while (Count != 0) {
    Count--;
    RunOn (Count, WriteMonitorControl, &Control);
  }
}

/**
  Clear the valid bit on every processor that can be reached.
**/
VOID
DisableMseg (
  VOID
  )
{
  WaitForProcessors ();
  ClearMonitorControl (gSmst->NumberOfCpus);
}

/**
  Set the valid bit and the MSEG base on every processor. No code outside this
  file writes IA32_SMM_MONITOR_CTL.

  @param[in] MsegBase  Physical address of MSEG, checked by StmCheckMemory.

  @pre CheckProcessors returned StmReasonNone, and MSEG holds the image.

  @return StmReasonNone, or StmReasonNoDualMonitor if a processor could not be
          reached; then the bit is cleared again where it was set.
**/
STM_REASON
EnableMseg (
  IN UINT64  MsegBase
  )
{
  EFI_STATUS  Status;
  UINT64      Control;
  UINTN       Index;

  Control = MonitorControl (MsegBase);
  for (Index = 0; Index < gSmst->NumberOfCpus; Index++) {
    Status = RunOn (Index, WriteMonitorControl, &Control);
    if (EFI_ERROR (Status)) {
      DEBUG ((DEBUG_ERROR, "%a: processor %u does not answer\n", gEfiCallerBaseName, (UINT32)Index));
      ClearMonitorControl (Index);
      return StmReasonNoDualMonitor;
    }
  }

  return StmReasonNone;
}
