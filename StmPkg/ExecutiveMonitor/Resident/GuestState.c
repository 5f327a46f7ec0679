/** @file
  Turns the present state of the processor into the guest state of the current
  VMCS (SDM "Guest-State Area", 24.4 [25.4]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define SELECTOR_INDEX_MASK  0xFFF8
#define SELECTOR_TI          BIT2
#define TSS_LIMIT_MINIMUM    0x67

///
/// Type of a 64-bit TSS, available or busy.
///
#define TSS_TYPE_MASK       0x0D
#define TSS_TYPE_AVAILABLE  0x09

///
/// Distance between the fields of neighbouring segment registers.
///
#define SEGMENT_FIELD(First, Segment)  ((First) + 2 * (Segment))

typedef enum {
  SegmentEs,
  SegmentCs,
  SegmentSs,
  SegmentDs,
  SegmentFs,
  SegmentGs,
  SegmentLdtr,
  SegmentTr
} EXEC_SEGMENT;

/**
  Read a code, data or system segment descriptor.

  @param[in]  Gdtr      GDT in force.
  @param[in]  Selector  Selector into it.
  @param[out] Base      Base address; 64 bits for system segments.
  @param[out] Limit     Limit in bytes.
  @param[out] Access    Access rights in VMCS format.
**/
STATIC
VOID
ExecReadDescriptor (
  IN  CONST IA32_DESCRIPTOR  *Gdtr,
  IN  UINT16                 Selector,
  OUT UINT64                 *Base,
  OUT UINT32                 *Limit,
  OUT UINT32                 *Access
  )
{
  CONST UINT64  *Entry;
  UINT64        Low;

  *Base   = 0;
  *Limit  = 0;
  *Access = VMX_ACCESS_UNUSABLE;
  if (((Selector & SELECTOR_INDEX_MASK) == 0) || ((Selector & SELECTOR_TI) != 0) ||
      ((UINTN)(Selector & SELECTOR_INDEX_MASK) + 7 > Gdtr->Limit))
  {
    return;
  }

  Entry = (CONST UINT64 *)(Gdtr->Base + (Selector & SELECTOR_INDEX_MASK));
  Low   = *Entry;
  if (((RShiftU64 (Low, 40) & VMX_ACCESS_CODE_DATA) == 0) &&
      ((UINTN)(Selector & SELECTOR_INDEX_MASK) + 15 > Gdtr->Limit))
  {
    //
    // A system descriptor has 16 bytes.
    //
    return;
  }

  *Access = (UINT32)RShiftU64 (Low, 40) & 0xF0FF;
  *Limit  = (UINT32)((Low & 0xFFFF) | (RShiftU64 (Low, 32) & 0xF0000));
  if ((*Access & VMX_ACCESS_GRANULARITY) != 0) {
    *Limit = (*Limit << 12) | 0xFFF;
  }

  *Base = (RShiftU64 (Low, 16) & 0xFFFFFF) | (RShiftU64 (Low, 32) & 0xFF000000);
  if ((*Access & VMX_ACCESS_CODE_DATA) == 0) {
    *Base |= LShiftU64 (Entry[1] & 0xFFFFFFFF, 32);
  }

  if ((*Access & VMX_ACCESS_PRESENT) == 0) {
    *Access = VMX_ACCESS_UNUSABLE;
  }
}

/**
  Write one segment register.

  @param[in] Gdtr      GDT in force.
  @param[in] Segment   Which register.
  @param[in] Selector  Its selector.
**/
STATIC
VOID
ExecWriteSegment (
  IN CONST IA32_DESCRIPTOR  *Gdtr,
  IN EXEC_SEGMENT           Segment,
  IN UINT16                 Selector
  )
{
  UINT64  Base;
  UINT32  Limit;
  UINT32  Access;

  ExecReadDescriptor (Gdtr, Selector, &Base, &Limit, &Access);
  if (Segment == SegmentTr) {
    if (((Access & VMX_ACCESS_UNUSABLE) != 0) ||
        ((Access & (VMX_ACCESS_CODE_DATA | TSS_TYPE_MASK)) != TSS_TYPE_AVAILABLE))
    {
      //
      // The firmware may run without a TSS, VMX does not (26.3.1.2 [27.3.1.2]).
      // After an earlier launch TR may also still hold our own selector, which
      // means nothing in the firmware's GDT.
      //
      Selector = 0;
      Base     = 0;
      Limit    = TSS_LIMIT_MINIMUM;
    }

    Access = VMX_ACCESS_TSS64_BUSY;
  } else if (((Access & VMX_ACCESS_UNUSABLE) == 0) && ((Access & VMX_ACCESS_CODE_DATA) != 0)) {
    //
    // The descriptor in memory need not be marked accessed, the register is.
    //
    Access |= BIT0;
  }

  if (Segment == SegmentFs) {
    Base = AsmReadMsr64 (MSR_IA32_FS_BASE);
  } else if (Segment == SegmentGs) {
    Base = AsmReadMsr64 (MSR_IA32_GS_BASE);
  }

  VmWrite (SEGMENT_FIELD (VMCS_GUEST_ES_SELECTOR, Segment), Selector);
  VmWrite (SEGMENT_FIELD (VMCS_GUEST_ES_BASE, Segment), Base);
  VmWrite (SEGMENT_FIELD (VMCS_GUEST_ES_LIMIT, Segment), Limit);
  VmWrite (SEGMENT_FIELD (VMCS_GUEST_ES_ACCESS_RIGHTS, Segment), Access);
}

/**
  Write the present state of the processor to the guest-state area of the
  current VMCS, except RIP, RSP and RFLAGS.
**/
VOID
ExecWriteGuestState (
  VOID
  )
{
  IA32_DESCRIPTOR  Gdtr;
  IA32_DESCRIPTOR  Idtr;

  AsmReadGdtr (&Gdtr);
  AsmReadIdtr (&Idtr);

  VmWrite (VMCS_GUEST_CR0, AsmReadCr0 ());
  VmWrite (VMCS_GUEST_CR3, AsmReadCr3 ());
  VmWrite (VMCS_GUEST_CR4, AsmReadCr4 ());
  VmWrite (VMCS_GUEST_DR7, AsmReadDr7 ());
  VmWrite (VMCS_GUEST_GDTR_BASE, Gdtr.Base);
  VmWrite (VMCS_GUEST_GDTR_LIMIT, Gdtr.Limit);
  VmWrite (VMCS_GUEST_IDTR_BASE, Idtr.Base);
  VmWrite (VMCS_GUEST_IDTR_LIMIT, Idtr.Limit);

  ExecWriteSegment (&Gdtr, SegmentEs, AsmReadEs ());
  ExecWriteSegment (&Gdtr, SegmentCs, AsmReadCs ());
  ExecWriteSegment (&Gdtr, SegmentSs, AsmReadSs ());
  ExecWriteSegment (&Gdtr, SegmentDs, AsmReadDs ());
  ExecWriteSegment (&Gdtr, SegmentFs, AsmReadFs ());
  ExecWriteSegment (&Gdtr, SegmentGs, AsmReadGs ());
  ExecWriteSegment (&Gdtr, SegmentLdtr, AsmReadLdtr ());
  ExecWriteSegment (&Gdtr, SegmentTr, AsmReadTr ());

  VmWrite (VMCS_GUEST_IA32_DEBUGCTL, AsmReadMsr64 (MSR_IA32_DEBUGCTL));
  VmWrite (VMCS_GUEST_IA32_PAT, AsmReadMsr64 (MSR_IA32_PAT));
  VmWrite (VMCS_GUEST_IA32_EFER, AsmReadMsr64 (MSR_IA32_EFER));
  VmWrite (VMCS_GUEST_IA32_SYSENTER_CS, AsmReadMsr64 (MSR_IA32_SYSENTER_CS));
  VmWrite (VMCS_GUEST_IA32_SYSENTER_ESP, AsmReadMsr64 (MSR_IA32_SYSENTER_ESP));
  VmWrite (VMCS_GUEST_IA32_SYSENTER_EIP, AsmReadMsr64 (MSR_IA32_SYSENTER_EIP));
  VmWrite (VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
  VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
  VmWrite (VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
  VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
}
