/** @file
  VM exits for ports: those by which the platform sleeps or is reset.

  Every access is carried out as the guest means it. Before one that ends the
  platform's life the STM is stopped and VMX operation left on all processors.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "../Guest.h"
#include "../Operation.h"

#define KEYBOARD_PULSE_MASK   0xF1       ///< commands F0H to FFH pulse outputs whose bit is 0
#define KEYBOARD_PULSE_RESET  0xF0       ///< bit 0 is the processor's reset
#define FAST_RESET            BIT0
#define RESET_CONTROL_CPU     BIT2

///
/// How long the end may take, in rounds of the processor.
///
#define END_WAIT_LIMIT  100000000

/**
  Read a port as the guest wants it.

  @param[in,out] Registers  RAX gets the value, as far as the access is wide.
  @param[in]     Port       The port.
  @param[in]     Size       1, 2 or 4 bytes.
**/
STATIC
VOID
ExecReadPort (
  IN OUT VMX_REGISTERS  *Registers,
  IN     UINT16         Port,
  IN     UINT32         Size
  )
{
  switch (Size) {
    case 1:
      Registers->Rax = (Registers->Rax & ~(UINT64)MAX_UINT8) | IoRead8 (Port);
      break;
    case 2:
      Registers->Rax = (Registers->Rax & ~(UINT64)MAX_UINT16) | IoRead16 (Port);
      break;
    default:
      Registers->Rax = IoRead32 (Port);
      break;
  }
}

/**
  Write a port as the guest wants it.

  @param[in] Port   The port.
  @param[in] Size   1, 2 or 4 bytes.
  @param[in] Value  What to write.
**/
STATIC
VOID
ExecWritePort (
  IN UINT16  Port,
  IN UINT32  Size,
  IN UINT32  Value
  )
{
  switch (Size) {
    case 1:
      IoWrite8 (Port, (UINT8)Value);
      break;
    case 2:
      IoWrite16 (Port, (UINT16)Value);
      break;
    default:
      IoWrite32 (Port, Value);
      break;
  }
}

/**
  Whether a write sets SLP_EN of a PM1 control register: by a word or more at the
  register, or by the byte behind it.

  @param[in] Control  The register's port, 0 if there is none.
  @param[in] Port     The port that is written.
  @param[in] Size     1, 2 or 4 bytes.
  @param[in] Value    What is written.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
STATIC
BOOLEAN
ExecIsSleep (
  IN UINT16  Control,
  IN UINT16  Port,
  IN UINT32  Size,
  IN UINT32  Value
  )
{
  return (BOOLEAN)((Control != 0) &&
                   (((Port == Control) && (Size > 1) && ((Value & STM_PM1_SLP_EN) != 0)) ||
                    ((Port == Control + 1) && ((Value & (STM_PM1_SLP_EN >> 8)) != 0))));
}

/**
  Whether a write makes the platform sleep or resets it.

  @param[in] Parameters  Where PM1_CNT is.
  @param[in] Port        The port.
  @param[in] Size        1, 2 or 4 bytes.
  @param[in] Value       What is written.

  @return What happens, or NULL.
**/
STATIC
CONST CHAR8 *
ExecEndOfPlatform (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT16                 Port,
  IN UINT32                 Size,
  IN UINT32                 Value
  )
{
  switch (Port) {
    case EXEC_PORT_KEYBOARD_COMMAND:
      return ((Value & KEYBOARD_PULSE_MASK) == KEYBOARD_PULSE_RESET) ? "reset-keyboard" : NULL;
    case EXEC_PORT_FAST_RESET:
      return ((Value & FAST_RESET) != 0) ? "reset-port-92" : NULL;
    case EXEC_PORT_RESET_CONTROL:
      //
      // The chipset's register answers to bytes; wider accesses from CF8H are those
      // of PCI configuration.
      //
      return ((Size == 1) && ((Value & RESET_CONTROL_CPU) != 0)) ? "reset-cf9" : NULL;
    default:
      break;
  }

  if (ExecIsSleep (Parameters->Sleep.ControlPort, Port, Size, Value) ||
      ExecIsSleep (Parameters->Sleep.ControlPortB, Port, Size, Value))
  {
    return "sleep";
  }

  return NULL;
}

/**
  How often a REP prefix repeats its instruction: (E)CX or RCX, by the address size.

  @param[in] Registers  The guest's.

  @return The number. Where the processor does not tell the address size
          (IA32_VMX_BASIC[54] = 0) it is that of 64-bit mode.
**/
STATIC
UINT64
ExecRepetitions (
  IN CONST VMX_REGISTERS  *Registers
  )
{
  if ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_STRING_IO) == 0) {
    return Registers->Rcx;
  }

  switch (VMX_STRING_IO_ADDRESS_SIZE (VmRead (VMCS_EXIT_INSTRUCTION_INFO))) {
    case VMX_ADDRESS_SIZE_16:
      return (UINT16)Registers->Rcx;
    case VMX_ADDRESS_SIZE_32:
      return (UINT32)Registers->Rcx;
    default:
      return Registers->Rcx;
  }
}

/**
  What INS or OUTS is about to write to the port.

  @param[in]  Registers      The guest's.
  @param[in]  Qualification  Of the exit.
  @param[out] Value          What the next repetition writes.

  @retval TRUE   It writes.
  @retval FALSE  It reads the port, has no repetition left, or faults.
**/
STATIC
BOOLEAN
ExecStringWrites (
  IN  CONST VMX_REGISTERS  *Registers,
  IN  UINT64               Qualification,
  OUT UINT32               *Value
  )
{
  if (((Qualification & VMX_IO_QUALIFICATION_IN) != 0) ||
      (((Qualification & VMX_IO_QUALIFICATION_REP) != 0) && (ExecRepetitions (Registers) == 0)))
  {
    return FALSE;
  }

  *Value = 0;
  return ExecReadGuest (VmRead (VMCS_GUEST_LINEAR_ADDRESS), Value, VMX_IO_QUALIFICATION_SIZE (Qualification), TRUE);
}

/**
  Let the processor carry out one repetition of INS or OUTS, with whatever faults it
  has; the monitor trap flag brings it back behind it, in ExecExitMonitorTrap.

  The control is this processor's alone, and so is the instruction. A guest whose
  other processors change the operand meanwhile may end the platform unnoticed.
**/
STATIC
VOID
ExecOpenPorts (
  VOID
  )
{
  VmWrite (
    VMCS_PROCESSOR_CONTROLS,
    (VmRead (VMCS_PROCESSOR_CONTROLS) & ~(UINT64)VMX_CPU_IO_BITMAPS) | VMX_CPU_MONITOR_TRAP_FLAG
    );
}

/**
  I/O instruction.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Done. Does not return if the platform ends.
**/
UINTN
EFIAPI
ExecExitIo (
  IN OUT VMX_CONTEXT  *Context
  )
{
  UINT64       Qualification;
  UINT16       Port;
  UINT32       Size;
  UINT32       Value;
  UINTN        Count;
  CONST CHAR8  *Event;

  Qualification = VmRead (VMCS_EXIT_QUALIFICATION);
  Port          = (UINT16)VMX_IO_QUALIFICATION_PORT (Qualification);
  Size          = VMX_IO_QUALIFICATION_SIZE (Qualification);
  Value         = (UINT32)Context->Registers.Rax;
  if ((Qualification & VMX_IO_QUALIFICATION_STRING) != 0) {
    Event = ExecStringWrites (&Context->Registers, Qualification, &Value) ?
            ExecEndOfPlatform (Context->Processor->Shared, Port, Size, Value) : NULL;
    if (Event == NULL) {
      ExecOpenPorts ();
      return ExecResumeGuest;
    }
  } else if ((Qualification & VMX_IO_QUALIFICATION_IN) != 0) {
    ExecReadPort (&Context->Registers, Port, Size);
    VmxSkipInstruction ();
    return ExecResumeGuest;
  } else {
    Event = ExecEndOfPlatform (Context->Processor->Shared, Port, Size, Value);
    if (Event == NULL) {
      ExecWritePort (Port, Size, Value);
      VmxSkipInstruction ();
      return ExecResumeGuest;
    }
  }

  ExecLeaveEverywhere (Context->Processor, Event);
  if (Port == Context->Processor->Shared->Sleep.ControlPort) {
    ExecPrepareReturn (Context->Processor->Shared, (UINT16)Value);
  }

  ExecWritePort (Port, Size, Value);
  for (Count = 0; Count < END_WAIT_LIMIT; Count++) {
    CpuPause ();
  }

  //
  // There is no guest to go back to.
  //
  ExecCrash ("no-end", VMX_REASON_IO, Qualification, 0, Value);
  return ExecResumeGuest;
}
