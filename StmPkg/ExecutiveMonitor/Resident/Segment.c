/** @file
  Segment registers of a guest in protected mode, loaded from its descriptor tables
  as a task switch loads them ("Task Switching", 7.3, table 7-1).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define SELECTOR_RPL    3
#define SELECTOR_LDT    BIT2
#define SELECTOR_ENTRY  0xFFF8

///
/// Fields of a segment register, by its number in table 7-1 and in the VMCS.
///
#define FIELD_SELECTOR(Index)  (VMCS_GUEST_ES_SELECTOR + 2 * (Index))
#define FIELD_BASE(Index)      (VMCS_GUEST_ES_BASE + 2 * (Index))
#define FIELD_LIMIT(Index)     (VMCS_GUEST_ES_LIMIT + 2 * (Index))
#define FIELD_ACCESS(Index)    (VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * (Index))

#define INDEX_CS    1
#define INDEX_SS    2
#define INDEX_LDTR  6

///
/// Descriptor, bits 63:32.
///
#define HIGH_ACCESSED    BIT8
#define HIGH_WRITABLE    BIT9          ///< of data
#define HIGH_READABLE    BIT9          ///< of code
#define HIGH_CONFORMING  BIT10         ///< of code
#define HIGH_CODE        BIT11
#define HIGH_SEGMENT     BIT12         ///< code or data
#define HIGH_DPL(High)  (((High) >> 13) & 3)
#define HIGH_PRESENT      BIT15
#define HIGH_GRANULARITY  BIT23
#define HIGH_TYPE(High)  (((High) >> 8) & 0x1F)
#define TYPE_LDT    0x02
#define TYPE_TSS32  0x09
#define TSS_BUSY    BIT9

#define ACCESS_V8086  0xF3             ///< data, accessed, DPL 3, present
#define NULL_LIMIT    0xFFFF

#define FAULT(Vector, Selector)  (((UINT32)(Vector) << 16) | ((Selector) & ~(UINT32)SELECTOR_RPL))

/**
  Where the descriptor of a selector is.

  @param[in]  Selector  The selector.
  @param[out] Address   Linear address.

  @retval TRUE   In its table.
  @retval FALSE  Beyond the table's limit, or there is no table.
**/
STATIC
BOOLEAN
DescriptorAddress (
  IN  UINT16  Selector,
  OUT UINT64  *Address
  )
{
  UINT64  Limit;

  if ((Selector & SELECTOR_LDT) != 0) {
    Limit    = ((VmRead (FIELD_ACCESS (INDEX_LDTR)) & VMX_ACCESS_UNUSABLE) != 0) ? 0 : VmRead (FIELD_LIMIT (INDEX_LDTR));
    *Address = VmRead (FIELD_BASE (INDEX_LDTR));
  } else {
    Limit    = VmRead (VMCS_GUEST_GDTR_LIMIT);
    *Address = VmRead (VMCS_GUEST_GDTR_BASE);
  }

  *Address += Selector & SELECTOR_ENTRY;
  return (BOOLEAN)((Selector & SELECTOR_ENTRY) + sizeof (EXEC_DESCRIPTOR) - 1 <= Limit);
}

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
  )
{
  UINT64  Address;

  return (BOOLEAN)(DescriptorAddress (Selector, &Address) &&
                   ExecReadGuest (Address, Descriptor, sizeof (*Descriptor), FALSE));
}

/**
  Write bits 63:32 of a descriptor of the guest.

  @param[in] Selector  Its selector.
  @param[in] High      The bits.
**/
STATIC
VOID
WriteHigh (
  IN UINT16  Selector,
  IN UINT32  High
  )
{
  UINT64  Address;

  if (DescriptorAddress (Selector, &Address)) {
    ExecWriteGuest (Address + sizeof (UINT32), &High, sizeof (High));
  }
}

/**
  Is it the descriptor of a 32-bit TSS?

  @param[in] Descriptor  The descriptor.

  @retval TRUE   It is.
  @retval FALSE  It is another one.
**/
BOOLEAN
ExecIsTss32 (
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  )
{
  return (BOOLEAN)((HIGH_TYPE (Descriptor->High & ~(UINT32)TSS_BUSY)) == TYPE_TSS32);
}

/**
  The base address in a descriptor.

  @param[in] Descriptor  The descriptor.

  @return It.
**/
UINT32
ExecDescriptorBase (
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  )
{
  return (Descriptor->Low >> 16) | ((Descriptor->High & 0xFF) << 16) | (Descriptor->High & 0xFF000000);
}

/**
  Set or clear the busy flag of a TSS descriptor of the guest.

  @param[in] Selector  Its selector.
  @param[in] Busy      The flag.
**/
VOID
ExecSetBusy (
  IN UINT16   Selector,
  IN BOOLEAN  Busy
  )
{
  EXEC_DESCRIPTOR  Descriptor;

  if (ExecFetchDescriptor (Selector, &Descriptor)) {
    WriteHigh (Selector, Busy ? (Descriptor.High | TSS_BUSY) : (Descriptor.High & ~(UINT32)TSS_BUSY));
  }
}

/**
  Write a segment register of the guest.

  @param[in] Index       0 to 7 for ES, CS, SS, DS, FS, GS, LDTR, TR.
  @param[in] Selector    The selector.
  @param[in] Descriptor  The descriptor; NULL for a register that is unusable.
**/
STATIC
VOID
WriteSegment (
  IN UINTN                  Index,
  IN UINT16                 Selector,
  IN CONST EXEC_DESCRIPTOR  *Descriptor  OPTIONAL
  )
{
  UINT32  Limit;

  VmWrite (FIELD_SELECTOR (Index), Selector);
  if (Descriptor == NULL) {
    VmWrite (FIELD_ACCESS (Index), VMX_ACCESS_UNUSABLE);
    return;
  }

  Limit = (Descriptor->Low & MAX_UINT16) | (Descriptor->High & 0xF0000);
  if ((Descriptor->High & HIGH_GRANULARITY) != 0) {
    Limit = (Limit << 12) | (SIZE_4KB - 1);
  }

  VmWrite (FIELD_BASE (Index), ExecDescriptorBase (Descriptor));
  VmWrite (FIELD_LIMIT (Index), Limit);
  VmWrite (FIELD_ACCESS (Index), (Descriptor->High >> 8) & 0xF0FF);
}

/**
  Load the task register.

  @param[in] Selector    Its selector.
  @param[in] Descriptor  The descriptor of the TSS, which gets busy.
**/
VOID
ExecLoadTr (
  IN UINT16                 Selector,
  IN CONST EXEC_DESCRIPTOR  *Descriptor
  )
{
  EXEC_DESCRIPTOR  Busy;

  Busy.Low  = Descriptor->Low;
  Busy.High = Descriptor->High | TSS_BUSY;
  WriteSegment (EXEC_SEGMENT_TR, Selector, &Busy);
}

/**
  Load the LDTR.

  @param[in] Selector  Its selector.

  @return 0, or the fault.
**/
STATIC
UINT32
LoadLdtr (
  IN UINT16  Selector
  )
{
  EXEC_DESCRIPTOR  Descriptor;

  WriteSegment (INDEX_LDTR, Selector, NULL);
  if ((Selector & SELECTOR_ENTRY) == 0) {
    return 0;
  }

  if (((Selector & SELECTOR_LDT) != 0) || !ExecFetchDescriptor (Selector, &Descriptor) ||
      (HIGH_TYPE (Descriptor.High) != TYPE_LDT) || ((Descriptor.High & HIGH_PRESENT) == 0))
  {
    return FAULT (EXCEPT_IA32_INVALID_TSS, Selector);
  }

  WriteSegment (INDEX_LDTR, Selector, &Descriptor);
  return 0;
}

/**
  May a segment register get a descriptor?

  @param[in] Index     0 to 5 for ES, CS, SS, DS, FS, GS.
  @param[in] Selector  The selector.
  @param[in] High      Bits 63:32 of the descriptor.
  @param[in] Cpl       RPL of the new CS.

  @retval TRUE   Type and privilege are right.
  @retval FALSE  #TS.
**/
STATIC
BOOLEAN
IsSuitable (
  IN UINTN   Index,
  IN UINT16  Selector,
  IN UINT32  High,
  IN UINT32  Cpl
  )
{
  UINT32  Dpl;
  UINT32  Rpl;

  Dpl = HIGH_DPL (High);
  Rpl = Selector & SELECTOR_RPL;
  if ((High & HIGH_SEGMENT) == 0) {
    return FALSE;
  }

  if (Index == INDEX_CS) {
    return (BOOLEAN)(((High & HIGH_CODE) != 0) && (((High & HIGH_CONFORMING) != 0) ? (Dpl <= Cpl) : (Dpl == Cpl)));
  }

  if (Index == INDEX_SS) {
    return (BOOLEAN)(((High & HIGH_CODE) == 0) && ((High & HIGH_WRITABLE) != 0) && (Dpl == Cpl) && (Rpl == Cpl));
  }

  if ((High & HIGH_CODE) == 0) {
    return (BOOLEAN)((Dpl >= Cpl) && (Dpl >= Rpl));
  }

  return (BOOLEAN)(((High & HIGH_READABLE) != 0) &&
                   (((High & HIGH_CONFORMING) != 0) || ((Dpl >= Cpl) && (Dpl >= Rpl))));
}

/**
  Load a segment register of code or data.

  @param[in] Index     0 to 5 for ES, CS, SS, DS, FS, GS.
  @param[in] Selector  The selector.
  @param[in] Cpl       RPL of the new CS.

  @return 0, or the fault.
**/
STATIC
UINT32
LoadSegment (
  IN UINTN   Index,
  IN UINT16  Selector,
  IN UINT32  Cpl
  )
{
  EXEC_DESCRIPTOR  Descriptor;

  if (((Selector & (SELECTOR_ENTRY | SELECTOR_LDT)) == 0) && (Index != INDEX_CS) && (Index != INDEX_SS)) {
    return 0;
  }

  if (((Selector & (SELECTOR_ENTRY | SELECTOR_LDT)) == 0) || !ExecFetchDescriptor (Selector, &Descriptor) ||
      !IsSuitable (Index, Selector, Descriptor.High, Cpl))
  {
    return FAULT (EXCEPT_IA32_INVALID_TSS, Selector);
  }

  if ((Descriptor.High & HIGH_PRESENT) == 0) {
    return FAULT ((Index == INDEX_SS) ? EXCEPT_IA32_STACK_FAULT : EXCEPT_IA32_SEG_NOT_PRESENT, Selector);
  }

  Descriptor.High |= HIGH_ACCESSED;
  WriteHigh (Selector, Descriptor.High);
  WriteSegment (Index, Selector, &Descriptor);
  return 0;
}

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
  )
{
  UINTN   Index;
  UINT32  Fault;
  UINT32  Cpl;

  Fault = LoadLdtr (Ldt);
  for (Index = 0; Index < EXEC_SEGMENTS; Index++) {
    if (V8086) {
      VmWrite (FIELD_SELECTOR (Index), (UINT16)Selectors[Index]);
      VmWrite (FIELD_BASE (Index), (UINT32)(UINT16)Selectors[Index] << 4);
      VmWrite (FIELD_LIMIT (Index), NULL_LIMIT);
      VmWrite (FIELD_ACCESS (Index), ACCESS_V8086);
    } else if ((Index != INDEX_CS) && (Index != INDEX_SS)) {
      WriteSegment (Index, (UINT16)Selectors[Index], NULL);
    }
  }

  if (V8086) {
    return Fault;
  }

  //
  // CS and SS first: they fix the privilege level.
  //
  Cpl = Selectors[INDEX_CS] & SELECTOR_RPL;
  if (Fault == 0) {
    Fault = LoadSegment (INDEX_CS, (UINT16)Selectors[INDEX_CS], Cpl);
  }

  if (Fault == 0) {
    Fault = LoadSegment (INDEX_SS, (UINT16)Selectors[INDEX_SS], Cpl);
  }

  for (Index = 0; (Index < EXEC_SEGMENTS) && (Fault == 0); Index++) {
    if ((Index != INDEX_CS) && (Index != INDEX_SS)) {
      Fault = LoadSegment (Index, (UINT16)Selectors[Index], Cpl);
    }
  }

  return Fault;
}
