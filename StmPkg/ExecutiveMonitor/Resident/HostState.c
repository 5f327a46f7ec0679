/** @file
  Page tables, GDT, TSS and IDT of VMX root operation. The firmware's lie in
  boot-services memory, which the operating system reuses.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

#define TABLE_ENTRIES  512
#define PAGE_PRESENT   BIT0
#define PAGE_WRITABLE  BIT1
#define PAGE_LARGE     BIT7

STATIC VMX_HOST_TABLES           mTables;
STATIC IA32_IDT_GATE_DESCRIPTOR  mIdt[VMX_EXCEPTION_VECTORS];

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

  VmxBuildHostTables (&mTables, (UINTN)Parameters->CrashStackTop);
  VmxBuildIdt (mIdt, (UINTN)AsmExceptionStubs);
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
  VMX_CONTEXT  *Context;

  Context = (VMX_CONTEXT *)(UINTN)Parameters->StackTop - 1;
  VmxWriteHostState (
    &mTables,
    mIdt,
    Parameters->HostTables,
    (UINT64)(UINTN)AsmVmExit,
    (UINT64)(UINTN)&Context->Registers.Reserved
    );
}
