/** @file
  The ways into VMX operation and out of it, on one processor and on all: the STM,
  the platform's end, standby and the wake.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXEC_OPERATION_H_
#define EXEC_OPERATION_H_

#include "Resident.h"

//
// StmClient.c
//

/**
  Call the STM and log the call.

  @param[in]     Api        API number.
  @param[in]     Page       Physical address of the page for ECX:EBX, or 0.
  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk                The STM did it.
  @retval ExecActivationFailed  VMfail: Detail is the VM-instruction error, 0 if
                                there was no current VMCS.
  @retval ExecStmRefused        Detail is the STM's status.
**/
EXEC_RESULT
ExecCallStm (
  IN     UINT32          Api,
  IN     UINT64          Page,
  IN OUT EXEC_PROCESSOR  *Processor
  );

/**
  Activate and start the STM on this processor.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk, ExecActivationFailed or ExecStmRefused.
**/
EXEC_RESULT
ExecStartStm (
  IN OUT EXEC_PROCESSOR  *Processor
  );

/**
  Stop the STM on this processor, if it is active.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk or ExecStmRefused.
**/
EXEC_RESULT
ExecStopStm (
  IN OUT EXEC_PROCESSOR  *Processor
  );

/**
  Let the STM keep its SMI handler from a page, or let the handler reach it again.

  @param[in,out] Processor  This processor, a guest; Detail is set on failure.
  @param[in]     Address    Physical address of the page, aligned to 4 KB.
  @param[in]     Protect    TRUE to keep the handler from it.

  @retval ExecOk                It is so.
  @retval ExecStmRefused        Detail is the STM's status.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecProtectPage (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT64          Address,
  IN     BOOLEAN         Protect
  );

/**
  Get a page of the firmware's list of resources.

  @param[in,out] Processor  This processor, a guest; Detail is set on failure. The page
                            is at ResourceList.
  @param[in]     Index      Which page.
  @param[out]    Next       The next one, 0 after the last one.

  @retval ExecOk                It is there.
  @retval ExecStmRefused        Detail is the STM's status.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecGetBiosResources (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT32          Index,
  OUT    UINT32          *Next
  );

//
// StmLog.c
//

/**
  MANAGE_EVENT_LOG. A new log gets pages of our own.

  @param[in,out] Processor    This processor, a guest; Detail is set on failure.
  @param[in]     SubFunction  STM_EVENT_LOG_MANAGEMENT_REQUEST_*.
  @param[in]     Value        PageCount, at most EXEC_LOG_PAGES, or EventEnableBitmap.

  @retval ExecOk                Done.
  @retval ExecStmRefused        Detail is the STM's status.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecManageLog (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT32          SubFunction,
  IN     UINT32          Value
  );

/**
  Copy an entry of the event log to ResourceList, and mark the entry as read.

  @param[in] Processor  This processor.
  @param[in] Place      Of the entry, from 0.

  @retval EXEC_HYPERCALL_SUCCESS    It is there.
  @retval EXEC_HYPERCALL_BAD_INPUT  There is no log, or no such place in it.
  @retval EXEC_HYPERCALL_BUSY       Another processor's STM writes there.
**/
UINT32
ExecReadLog (
  IN CONST EXEC_PROCESSOR  *Processor,
  IN UINT64                Place
  );

//
// StmDomain.c
//

/**
  MANAGE_VMCS_DATABASE for the guest VMCS of every processor.

  @param[in,out] Processor  This processor, a guest; Detail is set on failure.
  @param[in]     Domain     EXEC_DOMAIN, and EXEC_DOMAIN_ADD to add.

  @retval ExecOk                Done for all.
  @retval ExecStmRefused        Detail is the STM's status; nothing has changed.
  @retval ExecActivationFailed  There is no STM.
**/
EXEC_RESULT
ExecManageDomain (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     UINT64          Domain
  );

//
// Enter.c
//

/**
  VMXON, and the STM if the firmware offers it.

  @param[in,out] Processor  State and Detail are set.

  @return ExecOk, or what failed; then VMX operation has been left again.
**/
EXEC_RESULT
ExecEnterRoot (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// Leave.c
//

/**
  Tell the guest where we are.

  @param[in] Shared     Where the guest looks.
  @param[in] State      Of all processors.
  @param[in] StmActive  Whether the STM serves SMIs.
**/
VOID
ExecPublish (
  IN CONST EXEC_PARAMETERS  *Shared,
  IN EXEC_STATE             State,
  IN BOOLEAN                StmActive
  );

/**
  Clear CR4.VMXE, outside VMX operation.
**/
VOID
ExecDisableVmx (
  VOID
  );

/**
  Stop the STM and leave VMX operation.

  @param[in,out] Processor  State, StmActive and Detail are set.

  @return ExecOk or ExecStmRefused; in the latter case nothing has changed.
**/
EXEC_RESULT
ExecLeaveVmx (
  IN OUT EXEC_PROCESSOR  *Processor
  );

/**
  Read from the current VMCS the state with which the guest continues natively.

  @param[out] State  Everything but general-purpose registers.
**/
VOID
ExecReadNativeState (
  OUT EXEC_NATIVE_STATE  *State
  );

/**
  Write the MSRs with which the guest continues natively.

  @param[in] State  From ExecReadNativeState.
**/
VOID
ExecWriteNativeMsrs (
  IN CONST EXEC_NATIVE_STATE  *State
  );

/**
  Leave a guest that has no TSS, as the firmware, a task register whose selector it
  takes for none.

  @param[in] Processor  Where its GDT is.
**/
VOID
ExecParkTaskRegister (
  IN CONST EXEC_PROCESSOR  *Processor
  );

//
// Power.c
//

/**
  Leave VMX operation on all processors, because the platform is about to sleep or
  to be reset. The other processors halt; this one returns, in VMX root operation
  no longer.

  @param[in,out] Processor  This processor.
  @param[in]     Event      Name of what is about to happen, for the record.
**/
VOID
ExecLeaveEverywhere (
  IN OUT EXEC_PROCESSOR  *Processor,
  IN     CONST CHAR8     *Event
  );

/**
  Leave VMX operation and halt, if another processor has asked for it: the first
  thing that exits on INIT and SIPI do.

  @param[in,out] Processor  This processor.
**/
VOID
ExecLeaveIfAsked (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// Sleep.c
//

///
/// In the page of the waking routine: a loop of HLT, for guests in real mode.
///
#define EXEC_HALT_OFFSET  0xFF0

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
  );

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
  );

/**
  At the wake: leave the FACS as the guest did.

  @param[in] Shared  Where it is.

  @return The guest's waking vector.
**/
UINT32
ExecRestoreVector (
  IN CONST EXEC_PARAMETERS  *Shared
  );

//
// Wake.c
//

/**
  Awake: where the bootstrap processor's waking routine ends. On our page tables and
  its exit stack. Does not return.
**/
VOID
EFIAPI
ExecWake (
  VOID
  );

#endif
