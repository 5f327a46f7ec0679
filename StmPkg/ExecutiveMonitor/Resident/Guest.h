/** @file
  What the guest and VMX root operation are made of: host state, page tables and
  EPT, bitmaps, controls, guest state, events.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXEC_GUEST_H_
#define EXEC_GUEST_H_

#include "Resident.h"

//
// HostState.c
//

/**
  Build the IDT that all processors share in VMX root operation.
**/
VOID
ExecBuildIdt (
  VOID
  );

/**
  Build a processor's GDT and TSS, and write the host-state area of the current
  VMCS.

  @param[in] Processor  Where its memory is.
**/
VOID
ExecWriteHostState (
  IN EXEC_PROCESSOR  *Processor
  );

//
// Memory.c
//

/**
  Build page tables for VMX root operation, and EPT without the hidden range.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecBuildMaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

/**
  Let the guest reach unbacked memory at a hidden address, until
  ExecHideUnbacked.

  @param[in] Parameters  Where the memory is.
  @param[in] Address     Guest-physical address.

  @retval TRUE   Done.
  @retval FALSE  The address is not hidden.
**/
BOOLEAN
ExecShowUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Address
  );

/**
  Take the hidden range from the guest again, and what it has written there.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecHideUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

//
// GuestMemory.c
//

/**
  Where guest-physical memory is.

  @param[in] Address  Guest-physical address.

  @return Its place in VMX root operation, readable to the end of its 4-KB page.
          Where there is nothing for the guest, a place that reads as ones.
**/
CONST VOID *
EFIAPI
ExecGuestMemory (
  IN UINT64  Address
  );

/**
  Read memory of the guest at a linear address.

  @param[in]  Linear  Linear address.
  @param[out] Buffer  What was read.
  @param[in]  Size    Bytes.

  @retval TRUE   Done.
  @retval FALSE  The guest would take a page fault.
**/
BOOLEAN
ExecReadGuest (
  IN  UINT64  Linear,
  OUT VOID    *Buffer,
  IN  UINTN   Size
  );

//
// Bitmap.c traps these, Exit/Io.c says what they do.
//
#define EXEC_PORT_KEYBOARD_COMMAND  0x64
#define EXEC_PORT_FAST_RESET        0x92
#define EXEC_PORT_RESET_CONTROL     0xCF9

//
// Bitmap.c
//

/**
  Fill the MSR bitmap and the I/O bitmaps.

  @param[in] Parameters  Where they are.
**/
VOID
ExecBuildBitmaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  );

//
// Vmcs.c
//

/**
  Make the guest VMCS current and write its controls and host state.

  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk               Done.
  @retval ExecControlsMissing  The processor lacks a control.
**/
EXEC_RESULT
ExecSetUpVmcs (
  IN OUT EXEC_PROCESSOR  *Processor
  );

//
// GuestState.c
//

/**
  Write the present state of the processor to the guest-state area of the
  current VMCS, except RIP, RSP and RFLAGS.
**/
VOID
ExecWriteGuestState (
  VOID
  );

//
// ResetState.c
//

/**
  Write the state that INIT leaves to the current VMCS and to the registers that it
  does not hold.

  @param[out] Registers  The guest's.
**/
VOID
ExecWriteResetState (
  OUT VMX_REGISTERS  *Registers
  );

//
// Event.c
//

/**
  Give the guest an NMI that came while this processor was in VMX root operation:
  called by X64/Exit.nasm before it resumes the guest.

  @param[in,out] Context  NmiPending is cleared.
**/
VOID
EFIAPI
ExecDeliverNmi (
  IN OUT VMX_CONTEXT  *Context
  );

/**
  Let VM entry repeat an event whose delivery the current VM exit has interrupted
  ("Information for VM Exits That Occur During Event Delivery", 24.9.3 [25.9.3]).
**/
VOID
ExecRepeatEvent (
  VOID
  );

#endif
