/** @file
  Page tables, GDT, TSS and IDT of VMX root operation. The firmware's lie in
  boot-services memory, which the operating system reuses.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

#pragma pack(1)

typedef struct {
  UINT32    Reserved1;
  UINT64    Rsp[3];
  UINT64    Reserved2;
  UINT64    Ist[7];
  UINT64    Reserved3;
  UINT16    Reserved4;
  UINT16    IoMapBase;
} EXEC_TSS;

typedef struct {
  UINT16    OffsetLow;
  UINT16    Selector;
  UINT8     Ist;
  UINT8     Type;
  UINT16    OffsetMiddle;
  UINT32    OffsetHigh;
  UINT32    Reserved;
} EXEC_IDT_ENTRY;

#pragma pack()

#define GDT_CODE64          0x00AF9B000000FFFFULL
#define GDT_DATA            0x00CF93000000FFFFULL
#define GDT_TSS64_BUSY      0x00008B0000000000ULL
#define IDT_INTERRUPT_GATE  0x8E
#define IDT_IST_CRASH       1

#define TABLE_ENTRIES  512
#define PAGE_PRESENT   BIT0
#define PAGE_WRITABLE  BIT1
#define PAGE_LARGE     BIT7

///
/// Null, code, data, and the two halves of the TSS descriptor.
///
STATIC UINT64          mGdt[5];
STATIC EXEC_TSS        mTss;
STATIC EXEC_IDT_ENTRY  mIdt[EXEC_IDT_VECTORS];

/**
  Fill a two-level identity map of 1-GB pages over the physical width.

  @param[in] Tables      First 4-KB table, then TableCount tables.
  @param[in] TableCount  Tables of the second level.
  @param[in] Link        Attributes of first-level entries.
  @param[in] Leaf        Attributes of second-level entries.
**/
STATIC
VOID
ExecBuildIdentityMap (
  IN UINT64  Tables,
  IN UINT32  TableCount,
  IN UINT64  Link,
  IN UINT64  Leaf
  )
{
  UINT64  *Top;
  UINT64  *Second;
  UINTN   Index;

  Top    = (UINT64 *)(UINTN)Tables;
  Second = Top + TABLE_ENTRIES;
  ZeroMem (Top, SIZE_4KB);
  for (Index = 0; Index < TableCount; Index++) {
    Top[Index] = (UINT64)(UINTN)(Second + Index * TABLE_ENTRIES) | Link;
  }

  for (Index = 0; Index < (UINTN)TableCount * TABLE_ENTRIES; Index++) {
    Second[Index] = LShiftU64 (Index, 30) | Leaf;
  }
}

/**
  Build page tables, GDT, TSS and IDT for VMX root operation.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecBuildHostState (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  UINT64  Base;
  UINT64  Stub;
  UINTN   Vector;

  ExecBuildIdentityMap (
    Parameters->HostTables,
    Parameters->TableCount,
    PAGE_PRESENT | PAGE_WRITABLE,
    PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
    );
  ExecBuildIdentityMap (
    Parameters->EptTables,
    Parameters->TableCount,
    EPT_READ | EPT_WRITE | EPT_EXECUTE,
    EPT_READ | EPT_WRITE | EPT_EXECUTE | EPT_LARGE_PAGE | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT)
    );

  ZeroMem (&mTss, sizeof (mTss));
  mTss.Ist[IDT_IST_CRASH - 1] = Parameters->CrashStackTop;
  mTss.IoMapBase              = sizeof (mTss);

  Base    = (UINT64)(UINTN)&mTss;
  mGdt[0] = 0;
  mGdt[1] = GDT_CODE64;
  mGdt[2] = GDT_DATA;
  mGdt[3] = GDT_TSS64_BUSY | (sizeof (mTss) - 1) | LShiftU64 (Base & 0xFFFFFF, 16) |
            LShiftU64 (RShiftU64 (Base, 24) & 0xFF, 56);
  mGdt[4] = RShiftU64 (Base, 32);

  for (Vector = 0; Vector < EXEC_IDT_VECTORS; Vector++) {
    Stub                      = (UINT64)(UINTN)AsmExceptionStubs + Vector * EXEC_EXCEPTION_STUB_SIZE;
    mIdt[Vector].OffsetLow    = (UINT16)Stub;
    mIdt[Vector].Selector     = EXEC_HOST_CS;
    mIdt[Vector].Ist          = IDT_IST_CRASH;
    mIdt[Vector].Type         = IDT_INTERRUPT_GATE;
    mIdt[Vector].OffsetMiddle = (UINT16)RShiftU64 (Stub, 16);
    mIdt[Vector].OffsetHigh   = (UINT32)RShiftU64 (Stub, 32);
    mIdt[Vector].Reserved     = 0;
  }
}

/**
  Write the host-state area of the current VMCS.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecWriteHostState (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  VmWrite (VMCS_HOST_CR0, AsmReadCr0 ());
  VmWrite (VMCS_HOST_CR3, Parameters->HostTables);
  VmWrite (VMCS_HOST_CR4, AsmReadCr4 ());
  VmWrite (VMCS_HOST_CS_SELECTOR, EXEC_HOST_CS);
  VmWrite (VMCS_HOST_SS_SELECTOR, EXEC_HOST_DS);
  VmWrite (VMCS_HOST_DS_SELECTOR, EXEC_HOST_DS);
  VmWrite (VMCS_HOST_ES_SELECTOR, EXEC_HOST_DS);
  VmWrite (VMCS_HOST_FS_SELECTOR, EXEC_HOST_DS);
  VmWrite (VMCS_HOST_GS_SELECTOR, EXEC_HOST_DS);
  VmWrite (VMCS_HOST_TR_SELECTOR, EXEC_HOST_TR);
  VmWrite (VMCS_HOST_FS_BASE, 0);
  VmWrite (VMCS_HOST_GS_BASE, 0);
  VmWrite (VMCS_HOST_TR_BASE, (UINT64)(UINTN)&mTss);
  VmWrite (VMCS_HOST_GDTR_BASE, (UINT64)(UINTN)mGdt);
  VmWrite (VMCS_HOST_IDTR_BASE, (UINT64)(UINTN)mIdt);
  VmWrite (VMCS_HOST_SYSENTER_CS, AsmReadMsr64 (MSR_IA32_SYSENTER_CS));
  VmWrite (VMCS_HOST_SYSENTER_ESP, AsmReadMsr64 (MSR_IA32_SYSENTER_ESP));
  VmWrite (VMCS_HOST_SYSENTER_EIP, AsmReadMsr64 (MSR_IA32_SYSENTER_EIP));
  VmWrite (VMCS_HOST_IA32_PAT, AsmReadMsr64 (MSR_IA32_PAT));
  VmWrite (VMCS_HOST_IA32_EFER, AsmReadMsr64 (MSR_IA32_EFER));
  VmWrite (VMCS_HOST_RSP, Parameters->StackTop);
  VmWrite (VMCS_HOST_RIP, (UINT64)(UINTN)AsmVmExit);
}
