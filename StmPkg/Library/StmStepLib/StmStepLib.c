/** @file
  Steps of attacks: one access or instruction each, which may fault.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/StmStepLib.h>
#include <Library/StmTryLib.h>
#include <Library/VmxLib.h>

///
/// Code that an attack brings along.
///
typedef
UINT64
(EFIAPI *STM_STEP_CODE)(
  VOID
  );

/**
  Memory and ports. Each is an access of exactly the width.

  @param[in,out] Step  The step.

  @retval TRUE   Done.
  @retval FALSE  It is none of these, or there is no such width.
**/
STATIC
BOOLEAN
RunAccess (
  IN OUT STM_STEP  *Step
  )
{
  UINT64  Width;
  UINT64  Place;
  UINT64  Contents;

  Width    = Step->Argument[0];
  Place    = Step->Argument[1];
  Contents = Step->Argument[2];
  if (Width > sizeof (UINT64)) {
    return FALSE;
  }

  switch (LShiftU64 (Step->Kind, 4) | Width) {
    case (StmStepRead << 4) | 1:
      Step->Value = *(volatile UINT8 *)(UINTN)Place;
      return TRUE;
    case (StmStepRead << 4) | 2:
      Step->Value = *(volatile UINT16 *)(UINTN)Place;
      return TRUE;
    case (StmStepRead << 4) | 4:
      Step->Value = *(volatile UINT32 *)(UINTN)Place;
      return TRUE;
    case (StmStepRead << 4) | 8:
      Step->Value = *(volatile UINT64 *)(UINTN)Place;
      return TRUE;
    case (StmStepWrite << 4) | 1:
      *(volatile UINT8 *)(UINTN)Place = (UINT8)Contents;
      return TRUE;
    case (StmStepWrite << 4) | 2:
      *(volatile UINT16 *)(UINTN)Place = (UINT16)Contents;
      return TRUE;
    case (StmStepWrite << 4) | 4:
      *(volatile UINT32 *)(UINTN)Place = (UINT32)Contents;
      return TRUE;
    case (StmStepWrite << 4) | 8:
      *(volatile UINT64 *)(UINTN)Place = Contents;
      return TRUE;
    case (StmStepIn << 4) | 1:
      Step->Value = IoRead8 ((UINTN)Place);
      return TRUE;
    case (StmStepIn << 4) | 2:
      Step->Value = IoRead16 ((UINTN)Place);
      return TRUE;
    case (StmStepIn << 4) | 4:
      Step->Value = IoRead32 ((UINTN)Place);
      return TRUE;
    case (StmStepOut << 4) | 1:
      IoWrite8 ((UINTN)Place, (UINT8)Contents);
      return TRUE;
    case (StmStepOut << 4) | 2:
      IoWrite16 ((UINTN)Place, (UINT16)Contents);
      return TRUE;
    case (StmStepOut << 4) | 4:
      IoWrite32 ((UINTN)Place, (UINT32)Contents);
      return TRUE;
    default:
      return FALSE;
  }
}

/**
  Control and debug registers.

  @param[in,out] Step  The step.

  @retval TRUE   Done.
  @retval FALSE  It is none of these, or there is no such register.
**/
STATIC
BOOLEAN
RunRegister (
  IN OUT STM_STEP  *Step
  )
{
  UINTN  Contents;

  Contents = (UINTN)Step->Argument[1];
  if (Step->Argument[0] > 7) {
    return FALSE;
  }

  switch (LShiftU64 (Step->Kind, 4) | Step->Argument[0]) {
    case (StmStepReadControl << 4) | 0:
      Step->Value = AsmReadCr0 ();
      return TRUE;
    case (StmStepReadControl << 4) | 2:
      Step->Value = AsmReadCr2 ();
      return TRUE;
    case (StmStepReadControl << 4) | 3:
      Step->Value = AsmReadCr3 ();
      return TRUE;
    case (StmStepReadControl << 4) | 4:
      Step->Value = AsmReadCr4 ();
      return TRUE;
    case (StmStepWriteControl << 4) | 0:
      AsmWriteCr0 (Contents);
      return TRUE;
    case (StmStepWriteControl << 4) | 2:
      AsmWriteCr2 (Contents);
      return TRUE;
    case (StmStepWriteControl << 4) | 3:
      AsmWriteCr3 (Contents);
      return TRUE;
    case (StmStepWriteControl << 4) | 4:
      AsmWriteCr4 (Contents);
      return TRUE;
    case (StmStepReadDebug << 4) | 0:
      Step->Value = AsmReadDr0 ();
      return TRUE;
    case (StmStepReadDebug << 4) | 6:
      Step->Value = AsmReadDr6 ();
      return TRUE;
    case (StmStepReadDebug << 4) | 7:
      Step->Value = AsmReadDr7 ();
      return TRUE;
    case (StmStepWriteDebug << 4) | 0:
      AsmWriteDr0 (Contents);
      return TRUE;
    case (StmStepWriteDebug << 4) | 6:
      AsmWriteDr6 (Contents);
      return TRUE;
    case (StmStepWriteDebug << 4) | 7:
      AsmWriteDr7 (Contents);
      return TRUE;
    default:
      return FALSE;
  }
}

/**
  VMX instructions.

  @param[in,out] Step  The step.

  @retval TRUE   Done.
  @retval FALSE  It is none of these.
**/
STATIC
BOOLEAN
RunVmx (
  IN OUT STM_STEP  *Step
  )
{
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Edx;
  UINT64  Flags;

  switch (Step->Kind) {
    case StmStepVmcall:
      Eax = (UINT32)Step->Argument[0];
      Ebx = (UINT32)Step->Argument[1];
      Edx = (UINT32)Step->Argument[3];
      AsmStmVmCall (&Eax, &Ebx, (UINT32)Step->Argument[2], &Edx, &Flags);
      Step->Value       = Eax;
      Step->Argument[1] = Ebx;
      Step->Argument[3] = Edx;
      return TRUE;
    case StmStepVmxon:
      Step->Value = AsmVmxOn (Step->Argument[0]);
      return TRUE;
    case StmStepVmxoff:
      Step->Value = AsmVmxOff ();
      return TRUE;
    case StmStepVmclear:
      Step->Value = AsmVmClear (Step->Argument[0]);
      return TRUE;
    case StmStepVmptrld:
      Step->Value = AsmVmPtrLoad (Step->Argument[0]);
      return TRUE;
    case StmStepVmread:
      Step->Value = VmRead (Step->Argument[0]);
      return TRUE;
    case StmStepVmwrite:
      Step->Value = VmWrite (Step->Argument[0], Step->Argument[1]) ? VmxSucceed : VmxFailValid;
      return TRUE;
    default:
      return FALSE;
  }
}

/**
  Read a place again and again.

  @param[in] Place  8 bytes.
  @param[in] Reads  How often.

  @return How often it held something else than the time before.
**/
STATIC
UINT64
Watch (
  IN volatile CONST UINT64  *Place,
  IN UINT64                 Reads
  )
{
  UINT64  Last;
  UINT64  Next;
  UINT64  Changes;

  Last = *Place;
  for (Changes = 0; Reads > 0; Reads--) {
    Next = *Place;
    if (Next != Last) {
      Changes++;
    }

    Last = Next;
  }

  return Changes;
}

/**
  Use a number that somebody else has given, as code with a double fetch does: check it, do
  something else, and read it again.

  @param[in] Place  8 bytes.
  @param[in] Most   What the check allows.
  @param[in] Reads  How often to read until the check allows it, and then, how often until
                    it would not any more.

  @return The number that is used: above Most if it was changed behind the check. 0 if the
          check never allowed one.
**/
STATIC
UINT64
Use (
  IN volatile CONST UINT64  *Place,
  IN UINT64                 Most,
  IN UINT64                 Reads
  )
{
  UINT64  Used;
  UINT64  Left;

  Left = Reads;
  do {
    if (Left == 0) {
      return 0;
    }

    Left--;
    Used = *Place;
  } while (Used > Most);

  Left = Reads;
  do {
    Used = *Place;
  } while ((Used <= Most) && (Left-- > 0));

  return Used;
}

/**
  Everything else.

  @param[in,out] Step  The step.

  @retval TRUE   Done.
  @retval FALSE  There is no such step.
**/
STATIC
BOOLEAN
RunOther (
  IN OUT STM_STEP  *Step
  )
{
  switch (Step->Kind) {
    case StmStepReadMsr:
      Step->Value = AsmReadMsr64 ((UINT32)Step->Argument[0]);
      return TRUE;
    case StmStepWriteMsr:
      AsmWriteMsr64 ((UINT32)Step->Argument[0], Step->Argument[1]);
      return TRUE;
    case StmStepFlags:
      Step->Value = AsmReadEflags ();
      return TRUE;
    case StmStepInString:
      IoReadFifo8 ((UINTN)Step->Argument[0], (UINTN)Step->Argument[2], (VOID *)(UINTN)Step->Argument[1]);
      return TRUE;
    case StmStepOutString:
      IoWriteFifo8 ((UINTN)Step->Argument[0], (UINTN)Step->Argument[2], (VOID *)(UINTN)Step->Argument[1]);
      return TRUE;
    case StmStepCopy:
      CopyMem (
        (VOID *)(UINTN)Step->Argument[1],
        (VOID *)(UINTN)Step->Argument[0],
        (UINTN)Step->Argument[2]
        );
      return TRUE;
    case StmStepWatch:
      Step->Value = Watch ((volatile CONST UINT64 *)(UINTN)Step->Argument[0], Step->Argument[1]);
      return TRUE;
    case StmStepUse:
      Step->Value = Use ((volatile CONST UINT64 *)(UINTN)Step->Argument[0], Step->Argument[1], Step->Argument[2]);
      return TRUE;
    case StmStepCall:
      Step->Value = ((STM_STEP_CODE)(UINTN)Step->Argument[0])();
      return TRUE;
    default:
      return FALSE;
  }
}

/**
  Run a step unguarded.

  @param[in,out] Context  STM_STEP.
**/
STATIC
VOID
EFIAPI
RunStep (
  IN OUT VOID  *Context
  )
{
  STM_STEP  *Step;

  Step = Context;
  if (!RunAccess (Step) && !RunRegister (Step) && !RunVmx (Step) && !RunOther (Step)) {
    Step->Result = StmStepRejected;
  }
}

/**
  Carry out one step, the IDT of StmIdtLoad in force. Result, Vector and Value are set.

  @param[in,out] Step  The step. Those of SMI handlers are rejected here.
**/
VOID
EFIAPI
StmStepRun (
  IN OUT STM_STEP  *Step
  )
{
  Step->Result = StmStepDone;
  Step->Value  = 0;
  Step->Vector = (UINT32)StmTry (RunStep, Step);
  if (Step->Vector != STM_TRY_DONE) {
    Step->Result = StmStepFaulted;
  }
}
