/** @file
  The executive monitor as a client of the STM: INITIALIZE_PROTECTION, START,
  STOP, PROTECT_RESOURCE, UNPROTECT_RESOURCE, GET_BIOS_RESOURCES (StmApi.h).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

#define MSR_SMI_COUNT       0x34
#define STM_API_NONE        0x100FF           ///< no function of the STM has this number
#define PORT_APM_COMMAND    0xB2
#define WINDOW_SMI_COMMAND  0x55

/**
  Call the STM and log the call.

  @param[in]     Api        API number.
  @param[in]     Page       Physical address of the page for ECX:EBX, or 0.
  @param[in,out] Edx        EDX.
  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk                The STM did it.
  @retval ExecActivationFailed  VMfail: Detail is the VM-instruction error, 0 if
                                there was no current VMCS.
  @retval ExecStmRefused        Detail is the STM's status.
**/
STATIC
EXEC_RESULT
ExecCallStmEdx (
  IN     UINT32          Api,
  IN     UINT64          Page,
  IN OUT UINT32          *Edx,
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  UINT32  Eax;
  UINT32  Ebx;
  UINT64  Flags;

  Eax = Api;
  Ebx = (UINT32)Page;
  AsmStmVmCall (&Eax, &Ebx, (UINT32)RShiftU64 (Page, 32), Edx, &Flags);
  EXEC_RECORD (
    "stm-call",
    "cpu=%u api=0x%x status=0x%x caps=0x%x flags=0x%lx",
    Processor->Number,
    Api,
    Eax,
    Ebx,
    Flags
    );

  if ((Flags & BIT6) != 0) {
    Processor->Detail = VmRead (VMCS_INSTRUCTION_ERROR);
    return ExecActivationFailed;
  }

  if ((Flags & BIT0) != 0) {
    //
    // VMfailInvalid leaves EAX alone; the STM puts an error there.
    //
    Processor->Detail = (Eax == Api) ? 0 : Eax;
    return (Eax == Api) ? ExecActivationFailed : ExecStmRefused;
  }

  return ExecOk;
}

/**
  The same for a call that makes nothing of EDX.

  @param[in]     Api        API number.
  @param[in]     Page       Physical address of the page for ECX:EBX, or 0.
  @param[in,out] Processor  Detail is set on failure.

  @return As ExecCallStmEdx.
**/
EXEC_RESULT
ExecCallStm (
  IN     UINT32          Api,
  IN     UINT64          Page,
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  UINT32  Edx;

  Edx = 0;
  return ExecCallStmEdx (Api, Page, &Edx, Processor);
}

/**
  Raise an SMI while SMIs are blocked: the STM serves it after START.

  @param[in,out] Processor  SMI counts are set.
**/
STATIC
VOID
ExecRaiseSmiInWindow (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  Processor->SmiCountBefore = AsmReadMsr64 (MSR_SMI_COUNT);
  IoWrite8 (PORT_APM_COMMAND, WINDOW_SMI_COMMAND);
  Processor->SmiCountWindow = AsmReadMsr64 (MSR_SMI_COUNT);
}

/**
  Activate and start the STM on this processor.

  One processor initializes the protection and starts; on the others START is the
  call that activates the STM.

  The activation VMCS is used for nothing else. The processor checks only that it
  is clear (DM-ACT-12) and that its VM-exit controls are legal (DM-ACT-13); host
  state comes from the MSEG header.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk, ExecActivationFailed or ExecStmRefused.
**/
EXEC_RESULT
ExecStartStm (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_RESULT  Result;

  if (!Processor->Shared->UseStm) {
    return ExecOk;
  }

  AsmVmClear (Processor->ActivationVmcs);
  AsmVmPtrLoad (Processor->ActivationVmcs);
  VmWrite (
    VMCS_EXIT_CONTROLS,
    VmxLegalControls (
      VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT | VMX_EXIT_SAVE_EFER,
      MSR_IA32_VMX_EXIT_CTLS
      )
    );

  if (Processor->Activates) {
    //
    // An event log ends with the STM's session.
    //
    Processor->Shared->LogPageCount = 0;
    Result                          = ExecCallStm (STM_API_INITIALIZE_PROTECTION, 0, Processor);
    if (Result != ExecOk) {
      return Result;
    }

    Processor->StmActive = TRUE;
  }

  if (Processor->Shared->SmiInWindow && Processor->Activates) {
    ExecRaiseSmiInWindow (Processor);
  }

  Result = ExecCallStm (STM_API_START, 0, Processor);
  if (Result == ExecOk) {
    Processor->StmActive = TRUE;
    if (Processor->StartsTwice) {
      Result = ExecCallStm (STM_API_START, 0, Processor);
    }
  }

  if (Processor->Shared->SmiInWindow && Processor->Activates) {
    Processor->SmiCountAfter = AsmReadMsr64 (MSR_SMI_COUNT);
    EXEC_RECORD (
      "smi-window",
      "before=%lu window=%lu after=%lu",
      Processor->SmiCountBefore,
      Processor->SmiCountWindow,
      Processor->SmiCountAfter
      );
  }

  return Result;
}

/**
  Stop the STM on this processor, if it is active.

  @param[in,out] Processor  StmActive and Detail are set.

  @return ExecOk or ExecStmRefused.
**/
EXEC_RESULT
ExecStopStm (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_RESULT  Result;

  if (!Processor->StmActive) {
    return ExecOk;
  }

  Result = ExecCallStm (Processor->StopsTwice ? STM_API_NONE : STM_API_STOP, 0, Processor);
  if (Processor->StopsTwice) {
    Processor->StopsTwice = FALSE;
    return Result;
  }

  if (Result == ExecOk) {
    Processor->StmActive = FALSE;
  }

  return Result;
}

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
  )
{
  STM_RSC_MEM_DESC  *Memory;
  STM_RSC_END       *End;

  Processor->Detail = 0;
  if (!Processor->StmActive) {
    return ExecActivationFailed;
  }

  Memory = (STM_RSC_MEM_DESC *)(UINTN)Processor->ResourceList;
  End    = (STM_RSC_END *)(Memory + 1);
  ZeroMem (Memory, sizeof (*Memory) + sizeof (*End));
  Memory->Hdr.RscType   = MEM_RANGE;
  Memory->Hdr.Length    = sizeof (*Memory);
  Memory->Base          = Address;
  Memory->Length        = SIZE_4KB;
  Memory->RWXAttributes = STM_RSC_MEM_R | STM_RSC_MEM_W | STM_RSC_MEM_X;
  End->Hdr.RscType      = END_OF_RESOURCES;
  End->Hdr.Length       = sizeof (*End);
  return ExecCallStm (
           Protect ? STM_API_PROTECT_RESOURCE : STM_API_UNPROTECT_RESOURCE,
           Processor->ResourceList,
           Processor
           );
}

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
  )
{
  *Next             = Index;
  Processor->Detail = 0;
  if (!Processor->StmActive) {
    return ExecActivationFailed;
  }

  ZeroMem ((VOID *)(UINTN)Processor->ResourceList, SIZE_4KB);
  return ExecCallStmEdx (STM_API_GET_BIOS_RESOURCES, Processor->ResourceList, Next, Processor);
}
