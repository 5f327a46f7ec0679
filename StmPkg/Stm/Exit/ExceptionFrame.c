/** @file
  The state of a protection exception, on the stack of the firmware's handler of it.

  "StmApi.h" has two forms of the frame, for 64-bit mode and for 32-bit mode. The STM fills
  and reads the longer one, of which the other has the lower halves, without R8 to R15 and
  CR8.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"

#define RFLAGS_FIXED     BIT1
#define RFLAGS_WRITABLE  0x00257FD5  ///< all but VM, VIF and VIP

///
/// In the order of STM_EXCEPTION_STATE.Segments.
///
STATIC CONST UINT16  mSegmentFields[] = {
  VMCS_GUEST_CS_SELECTOR, VMCS_GUEST_CS_LIMIT, VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_GUEST_CS_BASE,
  VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_SS_LIMIT, VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_SS_BASE
};

STATIC_ASSERT (sizeof (mSegmentFields) / sizeof (UINT16) * sizeof (UINT64) == 2 * sizeof (STM_SEGMENT_STATE), "CS and SS");

/**
  Take the state of a violation.

  @param[out] Frame      It.
  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[in]  Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.
**/
STATIC
VOID
FillFrame (
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
  The form for 32-bit mode.

  @param[out] Frame  It.
  @param[in]  Wide   The form for 64-bit mode.
**/
STATIC
VOID
Narrow (
  OUT STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32       *Frame,
  IN  CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Wide
  )
{
  Frame->Rdi                       = (UINT32)Wide->Rdi;
  Frame->Rsi                       = (UINT32)Wide->Rsi;
  Frame->Rbp                       = (UINT32)Wide->Rbp;
  Frame->Rdx                       = (UINT32)Wide->Rdx;
  Frame->Rcx                       = (UINT32)Wide->Rcx;
  Frame->Rbx                       = (UINT32)Wide->Rbx;
  Frame->Rax                       = (UINT32)Wide->Rax;
  Frame->Cr3                       = (UINT32)Wide->Cr3;
  Frame->Cr2                       = (UINT32)Wide->Cr2;
  Frame->Cr0                       = (UINT32)Wide->Cr0;
  Frame->VmcsExitInstructionInfo   = (UINT32)Wide->VmcsExitInstructionInfo;
  Frame->VmcsExitInstructionLength = (UINT32)Wide->VmcsExitInstructionLength;
  Frame->VmcsExitQualification     = Wide->VmcsExitQualification;
  Frame->ErrorCode                 = (UINT32)Wide->ErrorCode;
  Frame->Rip                       = (UINT32)Wide->Rip;
  Frame->Cs                        = (UINT32)Wide->Cs;
  Frame->Rflags                    = (UINT32)Wide->Rflags;
  Frame->Rsp                       = (UINT32)Wide->Rsp;
  Frame->Ss                        = (UINT32)Wide->Ss;
}

/**
  The form for 64-bit mode of what the STM takes from a frame. The registers that 32-bit mode
  does not have stay as they are.

  @param[in,out] Wide   It, with R8 to R15 filled.
  @param[in]     Frame  The form for 32-bit mode.
**/
STATIC
VOID
Widen (
  IN OUT STM_PROTECTION_EXCEPTION_STACK_FRAME_X64         *Wide,
  IN     CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32  *Frame
  )
{
  Wide->Rdi    = Frame->Rdi;
  Wide->Rsi    = Frame->Rsi;
  Wide->Rbp    = Frame->Rbp;
  Wide->Rdx    = Frame->Rdx;
  Wide->Rcx    = Frame->Rcx;
  Wide->Rbx    = Frame->Rbx;
  Wide->Rax    = Frame->Rax;
  Wide->Cr3    = Frame->Cr3;
  Wide->Cr2    = Frame->Cr2;
  Wide->Rip    = Frame->Rip;
  Wide->Rflags = Frame->Rflags;
  Wide->Rsp    = Frame->Rsp;
}

/**
  Write the state of a violation to the stack of the firmware's exception handler, and keep
  its segments.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current, Frame and Ia32e of
                            Exception filled; the frame lies in the handler's SMRAM.
  @param[in]     Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.
**/
VOID
StmWriteExceptionFrame (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Type
  )
{
  STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  Wide;
  STM_EXCEPTION_STATE                       *State;

  State = &Processor->Exception;
  FillFrame (&Wide, Processor, Type);
  if (State->Ia32e) {
    CopyMem ((VOID *)(UINTN)State->Frame, &Wide, sizeof (Wide));
  } else {
    Narrow ((STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32 *)(UINTN)State->Frame, &Wide);
  }

  AsmVmReadList (mSegmentFields, (UINT64 *)State->Segments, ARRAY_SIZE (mSegmentFields));
}

/**
  Copy the state of a violation as the firmware's exception handler has left it: other
  processors may write it at any time.

  @param[in]  Processor  This processor.
  @param[out] Frame      The copy, in the form for 64-bit mode.
**/
VOID
StmReadExceptionFrame (
  IN  CONST STM_PROCESSOR                       *Processor,
  OUT STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  )
{
  STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32  Narrowed;
  CONST STM_EXCEPTION_STATE                  *State;

  State = &Processor->Exception;
  if (State->Ia32e) {
    CopyMem (Frame, (CONST VOID *)(UINTN)State->Frame, sizeof (*Frame));
    return;
  }

  CopyMem (&Narrowed, (CONST VOID *)(UINTN)State->Frame, sizeof (Narrowed));
  FillFrame (Frame, Processor, 0);
  Widen (Frame, &Narrowed);
}

/**
  Load the state of a violation. Segments, CR0 and CR8 stay those of the violation; CR3 is
  loaded by the caller, who checks it.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Frame      From StmReadExceptionFrame.
**/
VOID
StmLoadException (
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
  VmWrite (VMCS_GUEST_RIP, Frame->Rip);
  VmWrite (VMCS_GUEST_RSP, Frame->Rsp);
  VmWrite (VMCS_GUEST_RFLAGS, (Frame->Rflags & RFLAGS_WRITABLE) | RFLAGS_FIXED);
  for (Index = 0; Index < ARRAY_SIZE (mSegmentFields); Index++) {
    VmWrite (mSegmentFields[Index], ((CONST UINT64 *)Processor->Exception.Segments)[Index]);
  }
}
