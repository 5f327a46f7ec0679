/** @file
  VM exits for task switches, which VMX non-root operation does not have ("Task
  Switches", 25.4.2 [26.4.2]): the monitor switches in the processor's place ("Task
  Switching", 7.3).

  The processor has checked the gate, the new TSS descriptor and the privilege
  before the exit. What is checked here is what the new TSS names.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Guest.h"

///
/// Exit qualification, table 27-2 [28-2].
///
#define SOURCE_SHIFT  30
#define SOURCE_CALL   0
#define SOURCE_IRET   1
#define SOURCE_JMP    2
#define SOURCE_GATE   3

#define CR0_TS      BIT3
#define CR0_PG      BIT31
#define DR7_LOCAL   0x155ULL              ///< L0 to L3 and LE
#define EFLAGS_ONE  BIT1
#define EFLAGS_NT   BIT14
#define EFLAGS_VM   BIT17

///
/// Flags that exist; the others are 0 in EFLAGS.
///
#define EFLAGS_DEFINED  0x003F7FD5

///
/// A 32-bit TSS, figure 7-2: the part that a switch uses.
///
typedef struct {
  UINT16    Link;
  UINT16    Reserved;
  UINT32    Stacks[6];
  UINT32    Cr3;                          ///< a switch does not write it
  UINT32    Eip;
  UINT32    Eflags;
  UINT32    Eax;
  UINT32    Ecx;
  UINT32    Edx;
  UINT32    Ebx;
  UINT32    Esp;
  UINT32    Ebp;
  UINT32    Esi;
  UINT32    Edi;
  UINT32    Segments[EXEC_SEGMENTS];
  UINT32    Ldt;                          ///< a switch does not write it
  UINT16    Trap;
  UINT16    IoMap;
} EXEC_TSS;

STATIC_ASSERT (sizeof (EXEC_TSS) == 0x68, "32-bit TSS");

#define TSS_SAVED_BEGIN  OFFSET_OF (EXEC_TSS, Eip)
#define TSS_SAVED_SIZE   (OFFSET_OF (EXEC_TSS, Ldt) - TSS_SAVED_BEGIN)

/**
  A switch that cannot be carried out: the guest ends, and the record says why.

  @param[in] Why  Name for the record.
**/
STATIC
VOID
Refuse (
  IN CONST CHAR8  *Why
  )
{
  EXEC_RECORD (
    "task-switch",
    "why=%a selector=0x%x source=%u rip=0x%lx",
    Why,
    (UINT32)(UINT16)VmRead (VMCS_EXIT_QUALIFICATION),
    (UINT32)RShiftU64 (VmRead (VMCS_EXIT_QUALIFICATION), SOURCE_SHIFT) & 3,
    VmRead (VMCS_GUEST_RIP)
    );
  ExecCrashFromVmcs ("task-switch");
}

/**
  Where the old task goes on: behind the instruction that switches, or at the one
  that an event has interrupted.

  @param[in] Source  SOURCE_*.
  @param[in] Event   IDT-vectoring information field.

  @return EIP.
**/
STATIC
UINT32
NextEip (
  IN UINT32  Source,
  IN UINT64  Event
  )
{
  UINT64  Type;

  Type = Event & VMX_INTERRUPTION_TYPE_MASK;
  if ((Source == SOURCE_GATE) && ((Event & VMX_INTERRUPTION_VALID) != 0) &&
      ((Type == VMX_INTERRUPTION_TYPE_EXTERNAL) || (Type == VMX_INTERRUPTION_TYPE_NMI) ||
       (Type == VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION)))
  {
    return (UINT32)VmRead (VMCS_GUEST_RIP);
  }

  return (UINT32)(VmRead (VMCS_GUEST_RIP) + VmRead (VMCS_EXIT_INSTRUCTION_LENGTH));
}

/**
  Save the old task in its TSS.

  @param[in] Registers  The guest's.
  @param[in] Source     SOURCE_*.
  @param[in] Event      IDT-vectoring information field.

  @retval TRUE   Done.
  @retval FALSE  The TSS is not in memory that the guest can write.
**/
STATIC
BOOLEAN
SaveTask (
  IN CONST VMX_REGISTERS  *Registers,
  IN UINT32               Source,
  IN UINT64               Event
  )
{
  EXEC_TSS  Old;
  UINTN     Index;

  Old.Eip    = NextEip (Source, Event);
  Old.Eflags = (UINT32)VmRead (VMCS_GUEST_RFLAGS);
  if (Source == SOURCE_IRET) {
    Old.Eflags &= ~(UINT32)EFLAGS_NT;
  }

  Old.Eax = (UINT32)Registers->Rax;
  Old.Ecx = (UINT32)Registers->Rcx;
  Old.Edx = (UINT32)Registers->Rdx;
  Old.Ebx = (UINT32)Registers->Rbx;
  Old.Esp = (UINT32)VmRead (VMCS_GUEST_RSP);
  Old.Ebp = (UINT32)Registers->Rbp;
  Old.Esi = (UINT32)Registers->Rsi;
  Old.Edi = (UINT32)Registers->Rdi;
  for (Index = 0; Index < EXEC_SEGMENTS; Index++) {
    Old.Segments[Index] = (UINT32)VmRead (VMCS_GUEST_ES_SELECTOR + 2 * Index);
  }

  return ExecWriteGuest (VmRead (VMCS_GUEST_TR_BASE) + TSS_SAVED_BEGIN, &Old.Eip, TSS_SAVED_SIZE);
}

/**
  Load general registers, EFLAGS, EIP and CR3 of the new task.

  @param[out] Registers  The guest's.
  @param[in]  New        Its TSS.

  @retval TRUE   Done.
  @retval FALSE  CR3 is none.
**/
STATIC
BOOLEAN
LoadRegisters (
  OUT VMX_REGISTERS   *Registers,
  IN  CONST EXEC_TSS  *New
  )
{
  if (((VmRead (VMCS_GUEST_CR0) & CR0_PG) != 0) && !VmxLoadCr3 (New->Cr3, ExecGuestMemory)) {
    return FALSE;
  }

  VmWrite (VMCS_GUEST_RIP, New->Eip);
  VmWrite (VMCS_GUEST_RFLAGS, (New->Eflags & EFLAGS_DEFINED) | EFLAGS_ONE);
  VmWrite (VMCS_GUEST_RSP, New->Esp);
  Registers->Rax = New->Eax;
  Registers->Rcx = New->Ecx;
  Registers->Rdx = New->Edx;
  Registers->Rbx = New->Ebx;
  Registers->Rbp = New->Ebp;
  Registers->Rsi = New->Esi;
  Registers->Rdi = New->Edi;
  return TRUE;
}

/**
  Push the error code of the exception that has switched tasks.

  @retval TRUE   Done.
  @retval FALSE  The new task's stack cannot be written.
**/
STATIC
BOOLEAN
PushErrorCode (
  VOID
  )
{
  UINT32  Esp;
  UINT32  Code;
  UINT32  Mask;

  Mask = ((VmRead (VMCS_GUEST_SS_ACCESS_RIGHTS) & VMX_ACCESS_BIG) != 0) ? MAX_UINT32 : MAX_UINT16;
  Esp  = (UINT32)VmRead (VMCS_GUEST_RSP);
  Esp  = (Esp & ~Mask) | ((Esp - sizeof (Code)) & Mask);
  Code = (UINT32)VmRead (VMCS_IDT_VECTORING_ERROR_CODE);
  VmWrite (VMCS_GUEST_RSP, Esp);
  return ExecWriteGuest ((UINT32)(VmRead (VMCS_GUEST_SS_BASE) + (Esp & Mask)), &Code, sizeof (Code));
}

/**
  Task switch. A 16-bit TSS, a debug trap by the T flag, and what is not in memory,
  are refused: the guest ends with a crash record.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  The guest is in the new task, or takes a fault there.
**/
UINTN
EFIAPI
ExecExitTaskSwitch (
  IN OUT VMX_CONTEXT  *Context
  )
{
  EXEC_DESCRIPTOR  Descriptor;
  EXEC_TSS         New;
  UINT64           Event;
  UINT16           Selector;
  UINT16           OldSelector;
  UINT32           Source;
  UINT32           Fault;

  Selector    = (UINT16)VmRead (VMCS_EXIT_QUALIFICATION);
  Source      = (UINT32)RShiftU64 (VmRead (VMCS_EXIT_QUALIFICATION), SOURCE_SHIFT) & 3;
  Event       = VmRead (VMCS_IDT_VECTORING_INFO);
  OldSelector = (UINT16)VmRead (VMCS_GUEST_TR_SELECTOR);
  if (!ExecFetchDescriptor (Selector, &Descriptor)) {
    Refuse ("no-descriptor");
  }

  if (!ExecIsTss32 (&Descriptor)) {
    Refuse ("16-bit-tss");
  }

  if (!ExecReadGuest (ExecDescriptorBase (&Descriptor), &New, sizeof (New), FALSE)) {
    Refuse ("new-tss");
  }

  if ((New.Trap & BIT0) != 0) {
    Refuse ("debug-trap");
  }

  if (!SaveTask (&Context->Registers, Source, Event)) {
    Refuse ("old-tss");
  }

  if ((Source == SOURCE_JMP) || (Source == SOURCE_IRET)) {
    ExecSetBusy (OldSelector, FALSE);
  }

  if ((Source == SOURCE_CALL) || (Source == SOURCE_GATE)) {
    ExecWriteGuest (ExecDescriptorBase (&Descriptor), &OldSelector, sizeof (OldSelector));
    New.Eflags |= EFLAGS_NT;
  }

  if (Source != SOURCE_IRET) {
    ExecSetBusy (Selector, TRUE);
  }

  ExecLoadTr (Selector, &Descriptor);
  VmWrite (VMCS_GUEST_CR0, VmRead (VMCS_GUEST_CR0) | CR0_TS);
  VmWrite (VMCS_GUEST_DR7, VmRead (VMCS_GUEST_DR7) & ~DR7_LOCAL);
  ExecSettleBlocking (Source == SOURCE_IRET, Event);
  if (!LoadRegisters (&Context->Registers, &New)) {
    Refuse ("cr3");
  }

  Fault = ExecLoadSegments (New.Segments, (UINT16)New.Ldt, (BOOLEAN)((New.Eflags & EFLAGS_VM) != 0));
  if (Fault != 0) {
    VmxInjectSelectorFault ((UINT8)RShiftU64 (Fault, 16), (UINT16)Fault);
  } else if ((Source == SOURCE_GATE) && ((Event & VMX_INTERRUPTION_VALID) != 0) &&
             ((Event & VMX_INTERRUPTION_ERROR_CODE) != 0) && !PushErrorCode ())
  {
    Refuse ("new-stack");
  }

  return ExecResumeGuest;
}
