/** @file
  The end of the STM on one processor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Session/Session.h"
#include "State/State.h"

/**
  Return to the executive monitor by the VM entry that deactivates the dual-monitor
  treatment ("Deactivating the Dual-Monitor Treatment", 34.15.7 [32.15.7]). The
  executive-VMCS pointer is the VMXON pointer, as the control demands, because the
  VMCALL came from root operation (DM-EXI-11, DM-DEA-04). Does not return.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current, its call
                            answered.
**/
VOID
StmLeave (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  StmRingFlush (Processor);
  if (AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) != Processor->SmmMonitorCtl) {
    AsmWriteMsr64 (MSR_IA32_SMM_MONITOR_CTL, Processor->SmmMonitorCtl);
  }

  //
  // An active VMCS may be written to at any time until VMCLEAR (DM-INT-30), and
  // MSEG may hold something else by then.
  //
  if (Processor->SmmGuestVmcs != 0) {
    StmClearOwnVmcs (Processor, Processor->SmmGuestVmcs);
  }

  //
  // The entry must not fail because the executive monitor has overwritten its VMXON
  // region (DM-RET-05): behind the count nothing can be mended there.
  //
  StmRestoreRevision (Processor, Processor->VmxonPointer);
  VmWrite (VMCS_ENTRY_CONTROLS, VmRead (VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
  VmWrite (VMCS_HOST_CR3, Processor->Shared->ActivationTables);
  AsmLeave (
    &Processor->Interrupted,
    &Processor->Shared->Inside,
    Processor->Shared->ActivationTables,
    Processor->TransferLaunched
    );
}
