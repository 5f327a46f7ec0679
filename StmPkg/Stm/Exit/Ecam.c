/** @file
  PCI configuration space in memory (ECAM), on a page where some registers are protected.

  EPT knows pages, and a page is all registers of a function. So the handler has no access
  to the page, and the STM looks at each instruction: it is decoded once, the bytes that it
  touches are checked, and the access is carried out as it was decoded.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Decode.h"
#include "Exit.h"
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Protect/Pci.h"
#include "Protect/Protect.h"

/**
  Decode the instruction at which the SMI handler is.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[out]    Move       The instruction.

  @retval TRUE   Decoded.
  @retval FALSE  It is none that moves data, or its bytes cannot be read.
**/
STATIC
BOOLEAN
DecodeHandler (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    STM_MOVE       *Move
  )
{
  UINT8   Code[STM_INSTRUCTION_LENGTH];
  UINT64  Linear;
  UINT64  Rights;
  UINTN   Count;

  Rights = VmRead (VMCS_GUEST_CS_ACCESS_RIGHTS);
  Linear = VmRead (VMCS_GUEST_RIP);
  if ((Rights & VMX_ACCESS_LONG) == 0) {
    Linear = (UINT32)(Linear + VmRead (VMCS_GUEST_CS_BASE));
    if ((Rights & VMX_ACCESS_BIG) == 0) {
      return FALSE;
    }
  }

  Count = StmCopyHandlerMemory (Processor, Linear, Code, sizeof (Code), STM_ACCESS_EXECUTE);
  return StmDecodeMove (Code, Count, (BOOLEAN)((Rights & VMX_ACCESS_LONG) != 0), Move);
}

/**
  Carry out an instruction.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Move       The instruction.
  @param[in]     Ecam       STM_ECAM.
  @param[in]     Place      STM_PCI_PLACE.
**/
STATIC
VOID
CarryOut (
  IN OUT STM_PROCESSOR   *Processor,
  IN     CONST STM_MOVE  *Move,
  IN     UINT64          Ecam,
  IN     UINT64          Place
  )
{
  UINT64  Register;
  UINT64  Value;

  Register = VmxReadRegister (&Processor->Handler, Move->Register);
  Value    = StmMoveStored (Move, Register);
  StmAccessPci (Processor, Ecam, Place, Move->Size, Move->Write, &Value);
  if (!Move->Write) {
    VmxWriteRegister (&Processor->Handler, Move->Register, StmMoveLoaded (Move, Register, Value));
  }

  VmxSkipBytes (Move->Length);
}

/**
  EPT violation on a page of ECAM.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[out]    Enter      What the entry code shall do.

  @retval TRUE   It was one, and Enter is set.
  @retval FALSE  It was another one.
**/
BOOLEAN
StmTryEcam (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    STM_ENTER      *Enter
  )
{
  STM_MOVE  Move;
  STM_RSC   Resource;
  UINT64    Ecam;
  UINT64    Place;
  UINT64    Function;
  UINT64    Qualification;
  BOOLEAN   Write;

  Ecam     = STM_ECAM_NOW (Processor->Shared);
  Place    = VmRead (VMCS_GUEST_PHYSICAL_ADDRESS) - STM_ECAM_BASE (Ecam);
  Function = Place & ~(UINT64)(STM_PCI_FUNCTION_SIZE - 1);
  if ((Place >= STM_ECAM_SIZE (Ecam)) || !STM_PCI_IS_GUARDED (Processor) ||
      (StmProtectedAt (Processor, StmSpaceMemory, STM_ECAM_BASE (Ecam) + Place, 1) != 0))
  {
    return FALSE;
  }

  //
  // Of a function that is not protected, but the host bridge, the page is open, or not mapped
  // yet.
  //
  if ((Function != 0) && (StmProtectedAt (Processor, StmSpacePci, Function, STM_PCI_FUNCTION_SIZE) == 0)) {
    return FALSE;
  }

  //
  // Of an instruction that is not decoded the STM knows the first byte only.
  //
  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  Write         = (BOOLEAN)((Qualification & VMX_EPT_VIOLATION_WRITE) != 0);
  if (((Qualification & VMX_EPT_VIOLATION_FETCH) != 0) || !DecodeHandler (Processor, &Move) ||
      (Place % STM_PCI_FUNCTION_SIZE + Move.Size > STM_PCI_FUNCTION_SIZE))
  {
    *Enter = StmRaisePciException (Processor, Place, 1, Write);
    return TRUE;
  }

  //
  // Another processor may have replaced the instruction meanwhile: then the handler tries
  // the new one.
  //
  *Enter = StmResumeHandler (Processor);
  if (Move.Write != Write) {
    return TRUE;
  }

  if ((StmProtectedAt (Processor, StmSpacePci, Place, Move.Size) & (Move.Write ? STM_ACCESS_WRITE : STM_ACCESS_READ)) != 0) {
    *Enter = StmRaisePciException (Processor, Place, Move.Size, Write);
  } else if (Move.Write && StmPciIsOwn (Place, Move.Size)) {
    StmDescribePci (Place, Move.Size, TRUE, &Resource);
    StmEventResource (Processor, EvtBiosAccessToUnclaimedResource, &Resource);
    VmxInjectException (EXCEPT_IA32_GP_FAULT);
  } else {
    CarryOut (Processor, &Move, Ecam, Place);
  }

  return TRUE;
}
