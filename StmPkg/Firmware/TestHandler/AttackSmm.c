/** @file
  SMI handler that carries out the steps of attacks: whatever code at CPL 0 in SMM
  can do, on page tables of its own.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"

#include <Guid/StmAttackHandler.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/SmmMemLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmTryLib.h>
#include <Register/Intel/StmApi.h>

#define SAVE_STATE_OFFSET  0xFC00       ///< what CpuSaveState of the SMM system table points to, from SMBASE
#define EXCEPTION_STACK    SIZE_4KB

///
/// Protection exceptions taken by AsmProtectionException.
///
extern volatile UINT64  gAttackViolations;

/**
  The firmware's handler of protection exceptions: counts, and goes on with an
  exception that StmTry catches. For the STM it is no more than a firmware that
  gives up what it was doing.
**/
VOID
EFIAPI
AsmProtectionException (
  VOID
  );

///
/// A step for the next SMI.
///
typedef struct {
  STM_STEP    *Buffer;     ///< outside SMRAM; NULL for none
  UINTN       Processor;   ///< whose next SMI it is for
  BOOLEAN     Next;        ///< FALSE while the SMI goes on that has brought it
} WAITING_STEP;

STATIC CONST UINT64  *mTables;
STATIC UINT8         *mStack;
STATIC WAITING_STEP  mWaiting;

/**
  SMBASE of the processor that executes this.

  @return Its address.
**/
STATIC
UINTN
Smbase (
  VOID
  )
{
  return (UINTN)gSmst->CpuSaveState[gSmst->CurrentlyExecutingCpu] - SAVE_STATE_OFFSET;
}

/**
  Name AsmProtectionException in this processor's PSD.

  @param[in,out] Step  Value gets the SpeRip that was there.
**/
STATIC
VOID
Catch (
  IN OUT STM_STEP  *Step
  )
{
  STM_PROTECTION_EXCEPTION_HANDLER  *Handler;

  Handler     = &((TXT_PROCESSOR_SMM_DESCRIPTOR *)(Smbase () + TXT_SMM_PSD_OFFSET))->StmProtectionExceptionHandler;
  Step->Value = Handler->SpeRip;

  Handler->SpeRip                     = (UINTN)AsmProtectionException;
  Handler->SpeRsp                     = (UINTN)mStack + EXCEPTION_STACK;
  Handler->SpeSs                      = AsmReadSs ();
  Handler->PageViolationException     = 1;
  Handler->MsrViolationException      = 1;
  Handler->RegisterViolationException = 1;
  Handler->IoViolationException       = 1;
  Handler->PciViolationException      = 1;
  Step->Result                        = StmStepDone;
}

/**
  Carry out a step, on the handler's own page tables.

  @param[in,out] Step  The step.
**/
STATIC
VOID
RunStep (
  IN OUT STM_STEP  *Step
  )
{
  UINT64  Asked[STM_STEP_ARGUMENTS];
  UINT32  Kind;

  Kind = Step->Kind;
  CopyMem (Asked, Step->Argument, sizeof (Asked));
  switch (Kind) {
    case StmStepCatch:
      Catch (Step);
      return;
    case StmStepReadSaved:
    case StmStepWriteSaved:
      Step->Kind         = (Kind == StmStepReadSaved) ? StmStepRead : StmStepWrite;
      Step->Argument[1] += Smbase ();
      break;
    case StmStepRedirect:
      //
      // The old contents first: the code at the new RIP needs them.
      //
      Step->Kind        = StmStepWrite;
      Step->Argument[0] = sizeof (UINT64);
      Step->Argument[1] = Asked[2];
      Step->Argument[2] = *(UINT64 *)(Smbase () + (UINTN)Asked[0]);
      StmStepRun (Step);
      Step->Argument[1] = Smbase () + Asked[0];
      Step->Argument[2] = Asked[1];
      break;
    default:
      break;
  }

  StmStepRun (Step);
  if ((Kind == StmStepReadSaved) || (Kind == StmStepWriteSaved) || (Kind == StmStepRedirect)) {
    Step->Kind = Kind;
    CopyMem (Step->Argument, Asked, sizeof (Asked));
  }
}

/**
  Carry out a step that may fault, on the handler's own page tables, and write the outcome
  to its buffer.

  @param[in,out] Step    A copy of the step.
  @param[out]    Buffer  Outside SMRAM.
**/
STATIC
VOID
Answer (
  IN OUT STM_STEP  *Step,
  OUT    STM_STEP  *Buffer
  )
{
  UINTN   Cr3;
  UINT64  Before;

  Before = gAttackViolations;
  Cr3    = AsmReadCr3 ();
  StmIdtLoad ();
  AsmWriteCr3 ((UINTN)mTables);
  RunStep (Step);
  AsmWriteCr3 (Cr3);
  StmIdtRestore ();
  Step->Violations = (UINT32)(gAttackViolations - Before);
  CopyMem (Buffer, Step, sizeof (*Step));
}

/**
  Carry out one request.

  @param[in]     DispatchHandle  Not used.
  @param[in]     Context         Not used.
  @param[in,out] CommBuffer      STM_STEP.
  @param[in,out] CommBufferSize  Its bytes.

  @retval EFI_SUCCESS  The SMI is done with; the request holds the result.
**/
STATIC
EFI_STATUS
EFIAPI
AttackHandler (
  IN     EFI_HANDLE  DispatchHandle,
  IN     CONST VOID  *Context         OPTIONAL,
  IN OUT VOID        *CommBuffer      OPTIONAL,
  IN OUT UINTN       *CommBufferSize  OPTIONAL
  )
{
  STM_STEP  Step;

  if ((CommBuffer == NULL) || (CommBufferSize == NULL) || (*CommBufferSize != sizeof (Step)) ||
      !SmmIsBufferOutsideSmmValid ((UINTN)CommBuffer, sizeof (Step)))
  {
    return EFI_SUCCESS;
  }

  CopyMem (&Step, CommBuffer, sizeof (Step));
  if ((Step.Kind & STM_ATTACK_NEXT_SMI) != 0) {
    mWaiting.Buffer    = CommBuffer;
    mWaiting.Processor = gSmst->CurrentlyExecutingCpu;
    mWaiting.Next      = FALSE;
  } else {
    Answer (&Step, CommBuffer);
  }

  return EFI_SUCCESS;
}

/**
  Every SMI ends here: carry out the step that waits for it. Not on a processor that has come
  too late for somebody else's SMI, and has found itself alone.

  @param[in]     DispatchHandle  Not used.
  @param[in]     Context         Not used.
  @param[in,out] CommBuffer      Not used.
  @param[in,out] CommBufferSize  Not used.

  @retval EFI_SUCCESS                        The SMI is done with.
  @retval EFI_WARN_INTERRUPT_SOURCE_PENDING  It is for somebody else.
**/
STATIC
EFI_STATUS
EFIAPI
AttackNext (
  IN     EFI_HANDLE  DispatchHandle,
  IN     CONST VOID  *Context         OPTIONAL,
  IN OUT VOID        *CommBuffer      OPTIONAL,
  IN OUT UINTN       *CommBufferSize  OPTIONAL
  )
{
  STM_STEP  Step;
  STM_STEP  *Buffer;

  Buffer = mWaiting.Buffer;
  if ((Buffer == NULL) || (mWaiting.Processor != gSmst->CurrentlyExecutingCpu)) {
    return EFI_WARN_INTERRUPT_SOURCE_PENDING;
  }

  if (!mWaiting.Next) {
    mWaiting.Next = TRUE;
    return EFI_WARN_INTERRUPT_SOURCE_PENDING;
  }

  mWaiting.Buffer = NULL;
  CopyMem (&Step, Buffer, sizeof (Step));
  Step.Kind &= ~(UINT32)STM_ATTACK_NEXT_SMI;
  Answer (&Step, Buffer);
  return EFI_SUCCESS;
}

/**
  Register the handler.

  @param[in] Tables  Page tables that map all memory below 4 GB at its own address.

  @retval EFI_SUCCESS  It is registered.
  @retval others       No memory.
**/
EFI_STATUS
AttackRegister (
  IN CONST UINT64  *Tables
  )
{
  EFI_STATUS            Status;
  EFI_PHYSICAL_ADDRESS  Stack;
  EFI_HANDLE            DispatchHandle;

  Status = gSmst->SmmAllocatePages (
                    AllocateAnyPages,
                    EfiRuntimeServicesData,
                    EFI_SIZE_TO_PAGES (EXCEPTION_STACK),
                    &Stack
                    );
  if (EFI_ERROR (Status)) {
    return Status;
  }

  mStack  = (UINT8 *)(UINTN)Stack;
  mTables = Tables;
  Status  = gSmst->SmiHandlerRegister (AttackNext, NULL, &DispatchHandle);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  return gSmst->SmiHandlerRegister (AttackHandler, &gStmAttackHandlerGuid, &DispatchHandle);
}
