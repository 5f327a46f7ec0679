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
  if ((Qualification & VMX_IO_QUALIFICATION_STRING) != 0) {
    //
    // None of these registers is meant for INS or OUTS.
    //
    ExecCrashFromVmcs ("string-io");
  }

  if ((Qualification & VMX_IO_QUALIFICATION_IN) != 0) {
    ExecReadPort (&Context->Registers, Port, Size);
    VmxSkipInstruction ();
    return ExecResumeGuest;
  }

  Value = (UINT32)Context->Registers.Rax;
  Event = ExecEndOfPlatform (Context->Processor->Shared, Port, Size, Value);
  if (Event == NULL) {
    ExecWritePort (Port, Size, Value);
    VmxSkipInstruction ();
    return ExecResumeGuest;
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
