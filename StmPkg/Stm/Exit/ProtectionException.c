/** @file
  Protection exceptions: the SMI handler touched what the executive monitor
  protects.

  "StmApi.h": the firmware may have a handler for it, named in its PSD. It finds
  the state of the violation on a stack of its own, and ends with
  RETURN_FROM_PROTECTION_EXCEPTION. Where there is none, or where it cannot help, the
  STM writes a crash record with the error code of StmStatusCode.h and resets the
  platform: the instruction is never skipped.

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

#define RFLAGS_FIXED     BIT1
#define RFLAGS_WRITABLE  0x00257FD5  ///< all but VM, VIF and VIP

#define PANIC_MASK  0x0F

///
/// In the order of STM_EXCEPTION_SEGMENTS.
///
STATIC CONST UINT16  mSegmentFields[] = {
  VMCS_GUEST_CS_SELECTOR, VMCS_GUEST_CS_LIMIT, VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_GUEST_CS_BASE,
  VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_SS_LIMIT, VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_SS_BASE
};

STATIC_ASSERT (sizeof (mSegmentFields) / sizeof (UINT16) * sizeof (UINT64) == 2 * sizeof (STM_SEGMENT_STATE), "CS and SS");

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
  Write the state of a violation to the stack of the firmware's exception handler.

  @param[out] Frame      Where, in the handler's SMRAM.
  @param[in]  Processor  This processor.
  @param[in]  Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.
**/
STATIC
VOID
WriteFrame (
  OUT STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame,
  IN  CONST STM_PROCESSOR                       *Processor,
  IN  UINT32                                    Type
  )
{
  CONST VMX_REGISTERS  *Registers;

  Registers                        = &Processor->Handler;
  Frame->R15                       = Registers->R15;
  Frame->R14                       = Registers->R14;
  Frame->R13                       = Registers->R13;
  Frame->R12                       = Registers->R12;
  Frame->R11                       = Registers->R11;
  Frame->R10                       = Registers->R10;
  Frame->R9                        = Registers->R9;
  Frame->R8                        = Registers->R8;
  Frame->Rdi                       = Registers->Rdi;
  Frame->Rsi                       = Registers->Rsi;
  Frame->Rbp                       = Registers->Rbp;
  Frame->Rdx                       = Registers->Rdx;
  Frame->Rcx                       = Registers->Rcx;
  Frame->Rbx                       = Registers->Rbx;
  Frame->Rax                       = Registers->Rax;
  Frame->Cr8                       = AsmReadCr8 ();
  Frame->Cr3                       = VmRead (VMCS_GUEST_CR3);
  Frame->Cr2                       = AsmReadCr2 ();
  Frame->Cr0                       = VmRead (VMCS_GUEST_CR0);
  Frame->VmcsExitInstructionInfo   = VmRead (VMCS_EXIT_INSTRUCTION_INFO);
  Frame->VmcsExitInstructionLength = VmRead (VMCS_EXIT_INSTRUCTION_LENGTH);
  Frame->VmcsExitQualification     = VmRead (VMCS_EXIT_QUALIFICATION);
  Frame->ErrorCode                 = Type;
  Frame->Rip                       = VmRead (VMCS_GUEST_RIP);
  Frame->Cs                        = VmRead (VMCS_GUEST_CS_SELECTOR);
  Frame->Rflags                    = VmRead (VMCS_GUEST_RFLAGS);
  Frame->Rsp                       = VmRead (VMCS_GUEST_RSP);
  Frame->Ss                        = VmRead (VMCS_GUEST_SS_SELECTOR);
}

/**
  Write guest state with which the firmware's exception handler starts.

  @param[in] Handler  What its PSD says.
  @param[in] Frame    Address of the frame, where its stack pointer starts.
  @param[in] Cs       Selector of its code segment.
**/
STATIC
VOID
WriteStart (
  IN CONST STM_PROTECTION_EXCEPTION_HANDLER  *Handler,
  IN UINT64                                  Frame,
  IN UINT16                                  Cs
  )
{
  VMX_FIELD_VALUE  List[] = {
    { VMCS_GUEST_CS_SELECTOR,      Cs                },
    { VMCS_GUEST_CS_LIMIT,         MAX_UINT32        },
    { VMCS_GUEST_CS_ACCESS_RIGHTS, VMX_ACCESS_CODE64 },
    { VMCS_GUEST_CS_BASE,          0                 },
    { VMCS_GUEST_SS_SELECTOR,      Handler->SpeSs    },
    { VMCS_GUEST_SS_LIMIT,         MAX_UINT32        },
    { VMCS_GUEST_SS_ACCESS_RIGHTS, VMX_ACCESS_DATA   },
    { VMCS_GUEST_SS_BASE,          0                 },
    { VMCS_GUEST_RIP,              Handler->SpeRip   },
    { VMCS_GUEST_RSP,              Frame             },
    { VMCS_GUEST_RFLAGS,           RFLAGS_FIXED      },
    {
      VMCS_GUEST_INTERRUPTIBILITY_STATE,
      VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(UINT64)(VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)
    }
  };

  AsmVmWriteList (List, ARRAY_SIZE (List));
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
  UINT16                            Cs;

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
  Frame = Handler.SpeRsp - sizeof (STM_PROTECTION_EXCEPTION_STACK_FRAME_X64);
  if (!IsWanted (&Handler, Type)) {
    Crash (Processor, (UINT32)STM_CRASH_PROTECTION_EXCEPTION);
  }

  //
  // "StmApi.h": an exception within the handler of one, or more than 100 in an SMI.
  // The stack has to be SMRAM of the handler's own, since the STM writes to it.
  //
  if ((State->Frame != 0) || (State->Count == MOST_EXCEPTIONS) ||
      !StmInHandlerSmram (Processor->Shared, Frame, sizeof (STM_PROTECTION_EXCEPTION_STACK_FRAME_X64)))
  {
    Crash (Processor, (UINT32)STM_CRASH_PROTECTION_EXCEPTION_FAILURE);
  }

  State->Count++;
  State->Frame = Frame;
  StmDescribeAccess (Processor, &State->Resource);
  WriteFrame ((STM_PROTECTION_EXCEPTION_STACK_FRAME_X64 *)(UINTN)Frame, Processor, Type);
  AsmVmReadList (mSegmentFields, (UINT64 *)State->Segments, ARRAY_SIZE (mSegmentFields));
  WriteStart (&Handler, Frame, Cs);
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
  Load the state of a violation as the firmware's exception handler has left it.
  Segments, CR0 and CR8 stay those of the violation.

  @param[in,out] Processor  This processor.
  @param[in]     Frame      A copy of the frame.
**/
STATIC
VOID
ReadFrame (
  IN OUT STM_PROCESSOR                                   *Processor,
  IN     CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  )
{
  VMX_REGISTERS  *Registers;
  UINTN          Index;

  Registers      = &Processor->Handler;
  Registers->R15 = Frame->R15;
  Registers->R14 = Frame->R14;
  Registers->R13 = Frame->R13;
  Registers->R12 = Frame->R12;
  Registers->R11 = Frame->R11;
  Registers->R10 = Frame->R10;
  Registers->R9  = Frame->R9;
  Registers->R8  = Frame->R8;
  Registers->Rdi = Frame->Rdi;
  Registers->Rsi = Frame->Rsi;
  Registers->Rbp = Frame->Rbp;
  Registers->Rdx = Frame->Rdx;
  Registers->Rcx = Frame->Rcx;
  Registers->Rbx = Frame->Rbx;
  Registers->Rax = Frame->Rax;
  AsmWriteCr2 ((UINTN)Frame->Cr2);
  VmWrite (VMCS_GUEST_CR3, Frame->Cr3);
  VmWrite (VMCS_GUEST_RIP, Frame->Rip);
  VmWrite (VMCS_GUEST_RSP, Frame->Rsp);
  VmWrite (VMCS_GUEST_RFLAGS, (Frame->Rflags & RFLAGS_WRITABLE) | RFLAGS_FIXED);
  for (Index = 0; Index < ARRAY_SIZE (mSegmentFields); Index++) {
    VmWrite (mSegmentFields[Index], ((CONST UINT64 *)Processor->Exception.Segments)[Index]);
  }
}

/**
  RETURN_FROM_PROTECTION_EXCEPTION (4).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Choice     EBX: 0 to go on with the state in the frame, 1 to 15 for a
                            panic of the firmware.

  @retval STM_SUCCESS              The guest state is that of the frame.
  @retval ERROR_INVALID_PARAMETER  Choice is reserved, or the page tables of the frame are
                                   not in the handler's SMRAM, or protected bits of CR3
                                   would change: nothing has changed.
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

  CopyMem (&Frame, (CONST VOID *)(UINTN)State->Frame, sizeof (Frame));
  if (!StmIsHandlerCr3 (Processor->Shared, Frame.Cr3)) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  Changed = Frame.Cr3 ^ VmRead (VMCS_GUEST_CR3);
  if ((Changed & StmBitProtection (Processor, StmSpaceRegister, STM_REGISTER_PLACE (StmRegisterCr3, 0), STM_ACCESS_WRITE)) != 0) {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  State->Frame = 0;
  ReadFrame (Processor, &Frame);
  StmEventResource (Processor, EvtHandledProtectionException, &State->Resource);
  return STM_SUCCESS;
}
