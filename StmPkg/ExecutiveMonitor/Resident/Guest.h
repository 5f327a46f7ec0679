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
  @param[in]  User    With the guest's present privilege; FALSE for an access that the
                      processor makes of itself.

  @retval TRUE   Done.
  @retval FALSE  The guest would take a page fault.
**/
BOOLEAN
ExecReadGuest (
  IN  UINT64   Linear,
  OUT VOID     *Buffer,
  IN  UINTN    Size,
  IN  BOOLEAN  User
  );

/**
  Write memory of the guest at a linear address, as the processor does of itself. What
  the guest has no access to is not written, as on a bus without a device.

  @param[in] Linear  Linear address.
  @param[in] Buffer  What to write.
  @param[in] Size    Bytes.

  @retval TRUE   Done.
  @retval FALSE  The guest would take a page fault; some bytes may be written.
**/
BOOLEAN
ExecWriteGuest (
  IN UINT64      Linear,
  IN CONST VOID  *Buffer,
  IN UINTN       Size
  );

//
// Segment.c
//

#define EXEC_SEGMENTS    6         ///< ES, CS, SS, DS, FS, GS
#define EXEC_SEGMENT_TR  7

///
/// An entry of a descriptor table outside IA-32e mode.
///
typedef struct {
  UINT32    Low;
  UINT32    High;
} EXEC_DESCRIPTOR;

/**
  Read a descriptor of the guest.

  @param[in]  Selector    Its selector.
  @param[out] Descriptor  The descriptor.

  @retval TRUE   Read.
  @retval FALSE  There is none.
**/
BOOLEAN
ExecFetchDescriptor (
  IN  UINT16           Selector,
  OUT EXEC_DESCRIPTOR  *Descriptor
  );

/**
  Is it the descriptor of a 32-bit TSS?

  @param[in] Descriptor  The descriptor.

  @retval TRUE   It is.
  @retval FALSE  It is another one.
**/
BOOLEAN
ExecIsTss32 (
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  );

/**
  The base address in a descriptor.

  @param[in] Descriptor  The descriptor.

  @return It.
**/
UINT32
ExecDescriptorBase (
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  );

/**
  Set or clear the busy flag of a TSS descriptor of the guest.

  @param[in] Selector  Its selector.
  @param[in] Busy      The flag.
**/
VOID
ExecSetBusy (
  IN UINT16   Selector,
  IN BOOLEAN  Busy
  );

/**
  Load the task register.

  @param[in] Selector    Its selector.
  @param[in] Descriptor  The descriptor of the TSS, which gets busy.
**/
VOID
ExecLoadTr (
  IN UINT16                 Selector,
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  );

/**
  Load LDTR and the segment registers of a new task. A fault ends it: the registers
  from there on hold their selectors and cannot be used, but for CS and SS, in which
  the handler of the fault could not be reached.

  @param[in] Selectors  ES, CS, SS, DS, FS, GS.
  @param[in] Ldt        LDTR.
  @param[in] V8086      The new task runs in virtual-8086 mode.

  @return 0, or the fault: its vector in bits 31:16, its error code below.
**/
UINT32
ExecLoadSegments (
  IN CONST UINT32  Selectors[EXEC_SEGMENTS],
  IN UINT16        Ldt,
  IN BOOLEAN       V8086
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
  Blocking of events behind a task switch: by STI and MOV SS it ends; IRET ends that by
  NMI, and an NMI that has switched tasks begins it.

  @param[in] Iret   IRET has switched tasks.
  @param[in] Event  IDT-vectoring information field.
**/
VOID
ExecSettleBlocking (
  IN BOOLEAN  Iret,
  IN UINT64   Event
  );

#endif
