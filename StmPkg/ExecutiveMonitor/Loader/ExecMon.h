/** @file
  What the parts of the executive monitor's loader share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXEC_MON_H_
#define EXEC_MON_H_

#include <PiDxe.h>
#include <Guid/StmStatusTable.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/CacheMaintenanceLib.h>
#include <Library/DxeServicesLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/PcdLib.h>
#include <Library/PeCoffLib.h>
#include <Library/PrintLib.h>
#include <Library/StmRecordLib.h>
#include <Library/StmStatusLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#include "../Include/ExecutiveMonitor.h"

extern EFI_GUID  gExecutiveMonitorProtocolGuid;

/**
  Find the resident part, or load it into reserved memory.

  @param[out] Monitor  The resident part.

  @retval EFI_SUCCESS           Found or loaded.
  @retval EFI_NOT_FOUND         No firmware volume holds the image.
  @retval EFI_OUT_OF_RESOURCES  No reserved memory below 4 GB.
  @retval EFI_LOAD_ERROR        The image is not a PE image for this processor.
**/
EFI_STATUS
ExecLoad (
  OUT EXECUTIVE_MONITOR_PROTOCOL  **Monitor
  );

/**
  Find the resident part if it has been loaded.

  @return The resident part, or NULL.
**/
EXECUTIVE_MONITOR_PROTOCOL *
ExecFind (
  VOID
  );

/**
  Start the executive monitor.

  @param[in] Root         TRUE: stay in VMX root operation, launch no guest.
  @param[in] SmiInWindow  TRUE: raise an SMI between INITIALIZE_PROTECTION and START.
  @param[in] WithStm      FALSE: leave the STM out even if the firmware offers it.

  @retval EFI_SUCCESS          Running, or the processor has no VMX and the reason was given.
  @retval EFI_ALREADY_STARTED  It runs.
  @retval EFI_DEVICE_ERROR     A step failed; it was named.
**/
EFI_STATUS
ExecStart (
  IN BOOLEAN  Root,
  IN BOOLEAN  SmiInWindow,
  IN BOOLEAN  WithStm
  );

/**
  Stop the executive monitor.

  @retval EFI_SUCCESS       Stopped, or it did not run.
  @retval EFI_DEVICE_ERROR  The STM refused to stop.
**/
EFI_STATUS
ExecStop (
  VOID
  );

/**
  Say whether the executive monitor runs, and what exits it has seen.

  @retval EFI_SUCCESS  Always.
**/
EFI_STATUS
ExecStatus (
  VOID
  );

/**
  Record how often each exit reason occurred since the launch.

  @retval EFI_SUCCESS      Done.
  @retval EFI_NOT_STARTED  There is no guest: nothing exits.
**/
EFI_STATUS
ExecRecordExits (
  VOID
  );

/**
  VMCALL to the executive monitor, CPL 0 of its guest.

  @param[in]     Number  EXEC_HYPERCALL_*.
  @param[in,out] Rbx     RBX in and out, or NULL.

  @return RAX.
**/
UINT64
EFIAPI
AsmExecHypercall (
  IN     UINT32  Number,
  IN OUT UINT64  *Rbx  OPTIONAL
  );

#endif
