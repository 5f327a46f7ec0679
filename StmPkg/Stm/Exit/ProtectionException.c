/** @file
  Protection exceptions: the SMI handler touched what the executive monitor
  protects.

  "StmApi.h": the firmware may have a handler for it, named in its PSD. It finds the
  state of the violation on a stack of its own (ExceptionFrame.c), and ends with
  RETURN_FROM_PROTECTION_EXCEPTION. It starts in the mode of the violation. Where there
  is none, or where it cannot help, the STM writes a crash record with the error code of
  StmStatusCode.h and resets the platform: the instruction is never skipped.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Protect.h"
#include "State/State.h"

#define MOST_EXCEPTIONS  100

#define RFLAGS_FIXED  BIT1
#define EFER_LMA      BIT10
#define PANIC_MASK    0x0F

/**
  The end of a violation that nobody handles.

  @param[in] Processor  This processor, the SMM-guest VMCS current.
  @param[in] Code       STM_CRASH_PROTECTION_EXCEPTION and so on.
**/
STATIC
VOID
Crash (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Code
  )
{
  StmCrash (
    Processor,
    StmCrashProtectionException,
    VmRead (VMCS_EXIT_REASON),
    VmRead (VMCS_EXIT_QUALIFICATION),
    VmRead (VMCS_GUEST_RIP),
    Code
    );
}

/**
  Does the firmware want to handle this violation itself?

  @param[in] Handler  What its PSD says.
  @param[in] Type     TXT_SMM_PROTECTION_EXCEPTION_TYPE.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
IsWanted (
  IN CONST STM_PROTECTION_EXCEPTION_HANDLER  *Handler,
  IN UINT32                                  Type
  )
{
  if (Handler->SpeRip == 0) {
    return FALSE;
  }

  switch (Type) {
    case TxtSmmPageViolation:
      return (BOOLEAN)Handler->PageViolationException;
    case TxtSmmMsrViolation:
      return (BOOLEAN)Handler->MsrViolationException;
    case TxtSmmRegisterViolation:
      return (BOOLEAN)Handler->RegisterViolationException;
    case TxtSmmPciViolation:
      return (BOOLEAN)Handler->PciViolationException;
    default:
      return (BOOLEAN)Handler->IoViolationException;
  }
}

/**
  Write guest state with which the firmware's exception handler starts.

  @param[in] Handler  What its PSD says.
  @param[in] Frame    Address of the frame, where its stack pointer starts.
  @param[in] Cs       Selector of its code segment.
  @param[in] Ia32e    TRUE for 64-bit mode, FALSE for 32-bit mode.
**/
STATIC
VOID
WriteStart (
  IN CONST STM_PROTECTION_EXCEPTION_HANDLER  *Handler,
  IN UINT64                                  Frame,
  IN UINT16                                  Cs,
  IN BOOLEAN                                 Ia32e
  )
{
  VMX_FIELD_VALUE  List[] = {
    { VMCS_GUEST_CS_SELECTOR,      Cs                                            },
    { VMCS_GUEST_CS_LIMIT,         MAX_UINT32                                    },
    { VMCS_GUEST_CS_ACCESS_RIGHTS, Ia32e ? VMX_ACCESS_CODE64 : VMX_ACCESS_CODE32 },
    { VMCS_GUEST_CS_BASE,          0                                             },
    { VMCS_GUEST_SS_SELECTOR,      Handler->SpeSs                                },
    { VMCS_GUEST_SS_LIMIT,         MAX_UINT32                                    },
    { VMCS_GUEST_SS_ACCESS_RIGHTS, VMX_ACCESS_DATA                               },
    { VMCS_GUEST_SS_BASE,          0                                             },
    { VMCS_GUEST_RIP,              Handler->SpeRip                               },
    { VMCS_GUEST_RSP,              Frame                                         },
    { VMCS_GUEST_RFLAGS,           RFLAGS_FIXED                                  },
    {
      VMCS_GUEST_INTERRUPTIBILITY_STATE,
      VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(UINT64)(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)
    }
  };

  AsmVmWriteList (List, ARRAY_SIZE (List));
}

/**
  Is the SMI handler in IA-32e mode now?

  @retval TRUE   It is. The SMM-guest VMCS is current.
  @retval FALSE  It is in 32-bit mode.
**/
STATIC
BOOLEAN
InIa32eMode (
  VOID
  )
{
  return (BOOLEAN)((VmRead (VMCS_GUEST_IA32_EFER) & EFER_LMA) != 0);
}

/**
  Raise a protection exception in the SMI handler.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.

  @return What the entry code shall do. Does not return if nobody handles it.
**/
STM_ENTER
StmRaiseProtectionException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Type
  )
{
  STM_EXCEPTION_STATE               *State;
  STM_PROTECTION_EXCEPTION_HANDLER  Handler;
  UINT64                            Frame;
  UINTN                             Size;
  UINT16                            Cs;
  BOOLEAN                           Ia32e;

  State = &Processor->Exception;
  if (State->Smi != Processor->SmiCount) {
    //
    // The limits are those of one SMI.
    //
    State->Smi   = Processor->SmiCount;
    State->Count = 0;
    State->Frame = 0;
  }

  StmPsdExceptionHandler (Processor->Saved.Smbase, &Handler, &Cs);
  Ia32e = InIa32eMode ();
  Size  = STM_EXCEPTION_FRAME_SIZE (Ia32e);
  Frame = Handler.SpeRsp - Size;
  if (!IsWanted (&Handler, Type)) {
    Crash (Processor, (UINT32)STM_CRASH_PROTECTION_EXCEPTION);
  }

  //
  // "StmApi.h": an exception within the handler of one, or more than 100 in an SMI.
  // The stack has to be SMRAM of the handler's own, since the STM writes to it. In 32-bit
  // mode code is below 4 GB.
  //
  if ((State->Frame != 0) || (State->Count == MOST_EXCEPTIONS) ||
      !StmInHandlerSmram (Processor->Shared, Frame, Size) || (!Ia32e && (Handler.SpeRip > MAX_UINT32)))
  {
    Crash (Processor, (UINT32)STM_CRASH_PROTECTION_EXCEPTION_FAILURE);
  }

  State->Count++;
  State->Frame = Frame;
  State->Ia32e = Ia32e;
  StmDescribeAccess (Processor, &State->Resource);
  StmWriteExceptionFrame (Processor, Type);
  if (Ia32e != ((Processor->Entry.Efer & EFER_LMA) != 0)) {
    //
    // SmmCs is a segment of the mode that the handler starts in, and this one has gone on to
    // the other.
    //
    Cs = (UINT16)VmRead (VMCS_GUEST_CS_SELECTOR);
  }

  WriteStart (&Handler, Frame, Cs, Ia32e);
  return StmResumeHandler (Processor);
}

/**
  Raise a protection exception in the SMI handler, for an access to PCI configuration
  space: the event log names the register, not the port or the memory that led there.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Place      First register, STM_PCI_PLACE.
  @param[in]     Length     Bytes.
  @param[in]     Write      TRUE if it was to write.

  @return What the entry code shall do. Does not return if nobody handles it.
**/
STM_ENTER
StmRaisePciException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Place,
  IN     UINT32         Length,
  IN     BOOLEAN        Write
  )
{
  STM_ENTER  Enter;

  Enter = StmRaiseProtectionException (Processor, TxtSmmPciViolation);
  StmDescribePci (Place, Length, Write, &Processor->Exception.Resource);
  return Enter;
}

/**
  RETURN_FROM_PROTECTION_EXCEPTION (4).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Choice     EBX: 0 to go on with the state in the frame, 1 to 15 for a
                            panic of the firmware.

  @retval STM_SUCCESS              The guest state is that of the frame.
  @retval ERROR_INVALID_PARAMETER  Choice is reserved, or the page tables of the frame are
                                   not in the handler's SMRAM, or no processor would load
                                   them, or protected bits of CR3 would change, or the
                                   handler is no longer in the mode of the violation:
                                   nothing has changed.
  @retval ERROR_STM_UNSPECIFIED    No protection exception is being handled: nothing has
                                   changed.
**/
UINT32
StmReturnFromProtectionException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Choice
  )
{
  STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  Frame;
  STM_EXCEPTION_STATE                       *State;
  UINT64                                    Changed;

  State = &Processor->Exception;
  if ((State->Frame == 0) || (State->Smi != Processor->SmiCount)) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  if (Choice > PANIC_MASK) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  if (Choice != 0) {
    Crash (Processor, (UINT32)STM_CRASH_BIOS_PANIC | Choice);
  }

  if (InIa32eMode () != State->Ia32e) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  StmReadExceptionFrame (Processor, &Frame);
  Changed = Frame.Cr3 ^ VmRead (VMCS_GUEST_CR3);
  if ((Changed & StmBitProtection (Processor, StmSpaceRegister, STM_REGISTER_PLACE (StmRegisterCr3, 0), STM_ACCESS_WRITE)) != 0) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  //
  // Without paging CR3 need not point to tables; what is there now is nothing new.
  //
  if ((Changed != 0) && (!StmIsHandlerCr3 (Processor->Shared, Frame.Cr3) || !VmxLoadCr3 (Frame.Cr3, StmTableMemory))) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  State->Frame = 0;
  StmLoadException (Processor, &Frame);
  StmEventResource (Processor, EvtHandledProtectionException, &State->Resource);
  return STM_SUCCESS;
}
