/** @file
  What VMX root operation and the guest reach: page tables and EPT, both the
  identity over the physical width, but for the range that is hidden from the
  guest.

  The hidden range holds this image and all its data: page tables, EPT, VMCSs,
  stacks. For the guest nothing is there, so that it cannot write what the monitor
  or the processor works on.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define TABLE_ENTRIES   512
#define PAGE_PRESENT    BIT0
#define PAGE_WRITABLE   BIT1
#define PAGE_LARGE      BIT7
#define GIGABYTE_SHIFT  30
#define LARGE_SHIFT     21
#define PAGE_SHIFT      12
#define EPT_ALL         (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_LEAF        (EPT_ALL | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT))

#define INSTRUCTION_HLT  0xF4

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
    Second[Index] = LShiftU64 (Index, GIGABYTE_SHIFT) | Leaf;
  }
}

/**
  The EPT entry of a 2-MB page in the 1-GB pages that hold the hidden range.

  @param[in] Parameters  Where the memory is.
  @param[in] Address     Guest-physical address.

  @return The entry.
**/
STATIC
UINT64 *
ExecLargeEntry (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Address
  )
{
  UINT64  First;

  First = RShiftU64 (Parameters->HiddenBase, GIGABYTE_SHIFT);
  return (UINT64 *)(UINTN)Parameters->EptDirectories +
         (RShiftU64 (Address, LARGE_SHIFT) - LShiftU64 (First, GIGABYTE_SHIFT - LARGE_SHIFT));
}

/**
  Give every 2-MB page of the hidden range one EPT entry.

  @param[in] Parameters  Where the memory is.
  @param[in] Entry       The entry; 0 for nothing.
**/
STATIC
VOID
ExecSetHiddenRange (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Entry
  )
{
  UINT64  Address;

  for (Address = Parameters->HiddenBase;
       Address < Parameters->HiddenBase + Parameters->HiddenSize;
       Address += SIZE_2MB)
  {
    *ExecLargeEntry (Parameters, Address) = Entry;
  }
}

/**
  Give the guest one page below 1 MB at another address, as a VMM does that keeps
  the page for itself.

  Only VMX non-root operation knows of it. Whoever uses the address outside, such as
  the firmware at a wake from standby, finds the page that was there before: HLTs.

  @param[in] Parameters  Where the memory is.
**/
STATIC
VOID
ExecRemap (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  UINT64  *Gigabytes;
  UINT64  *Directory;
  UINT64  *Table;
  UINTN   Index;

  Gigabytes = (UINT64 *)(UINTN)(Parameters->EptTables + SIZE_4KB);
  Directory = (UINT64 *)(UINTN)(Parameters->RemapTarget + SIZE_4KB);
  Table     = (UINT64 *)(UINTN)(Parameters->RemapTarget + 2 * SIZE_4KB);
  if ((Gigabytes[0] & EPT_LARGE_PAGE) != 0) {
    for (Index = 0; Index < TABLE_ENTRIES; Index++) {
      Directory[Index] = LShiftU64 (Index, LARGE_SHIFT) | EPT_LEAF | EPT_LARGE_PAGE;
    }

    Gigabytes[0] = (UINT64)(UINTN)Directory | EPT_ALL;
  } else {
    Directory = (UINT64 *)(UINTN)(Gigabytes[0] & ~(UINT64)EPT_ALL);
  }

  for (Index = 0; Index < TABLE_ENTRIES; Index++) {
    Table[Index] = LShiftU64 (Index, PAGE_SHIFT) | EPT_LEAF;
  }

  Table[RShiftU64 (Parameters->RemapPage, PAGE_SHIFT)] = Parameters->RemapTarget | EPT_LEAF;
  Directory[0]                                         = (UINT64)(UINTN)Table | EPT_ALL;

  CopyMem ((VOID *)(UINTN)Parameters->RemapTarget, (VOID *)(UINTN)Parameters->RemapPage, SIZE_4KB);
  SetMem ((VOID *)(UINTN)Parameters->RemapPage, SIZE_4KB, INSTRUCTION_HLT);
}

/**
  Build page tables for VMX root operation, and EPT without the hidden range.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecBuildMaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  UINT64  *Gigabytes;
  UINT64  *Directories;
  UINT64  *Unbacked;
  UINT64  First;
  UINT64  Last;
  UINT64  Gigabyte;
  UINTN   Index;

  ExecBuildIdentityMap (
    Parameters->PageTables,
    Parameters->TableCount,
    PAGE_PRESENT | PAGE_WRITABLE,
    PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
    );
  ExecBuildIdentityMap (Parameters->EptTables, Parameters->TableCount, EPT_ALL, EPT_LEAF | EPT_LARGE_PAGE);

  Gigabytes   = (UINT64 *)(UINTN)(Parameters->EptTables + SIZE_4KB);
  Directories = (UINT64 *)(UINTN)Parameters->EptDirectories;
  First       = RShiftU64 (Parameters->HiddenBase, GIGABYTE_SHIFT);
  Last        = RShiftU64 (Parameters->HiddenBase + Parameters->HiddenSize - 1, GIGABYTE_SHIFT);
  for (Gigabyte = First; Gigabyte <= Last; Gigabyte++) {
    for (Index = 0; Index < TABLE_ENTRIES; Index++) {
      Directories[Index] = (LShiftU64 (Gigabyte, GIGABYTE_SHIFT) + LShiftU64 (Index, LARGE_SHIFT)) |
                           EPT_LEAF | EPT_LARGE_PAGE;
    }

    Gigabytes[Gigabyte] = (UINT64)(UINTN)Directories | EPT_ALL;
    Directories        += TABLE_ENTRIES;
  }

  Unbacked = (UINT64 *)(UINTN)Parameters->EptUnbacked;
  for (Index = 0; Index < TABLE_ENTRIES; Index++) {
    Unbacked[Index] = Parameters->UnbackedPage | EPT_LEAF;
  }

  SetMem ((VOID *)(UINTN)Parameters->UnbackedPage, SIZE_4KB, 0xFF);
  ExecSetHiddenRange (Parameters, 0);
  if (Parameters->RemapPage != 0) {
    ExecRemap (Parameters);
  }
}

/**
  Let the guest reach unbacked memory at a hidden address, until
  ExecHideUnbacked.

  Every page there leads to one page of ones that holds nothing else, so another
  processor that looks in meanwhile sees no more than the guest may.

  @param[in] Parameters  Where the memory is.
  @param[in] Address     Guest-physical address.

  @retval TRUE   Done.
  @retval FALSE  The address is not hidden.
**/
BOOLEAN
ExecShowUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters,
  IN UINT64                 Address
  )
{
  if ((Address < Parameters->HiddenBase) || (Address - Parameters->HiddenBase >= Parameters->HiddenSize)) {
    return FALSE;
  }

  *ExecLargeEntry (Parameters, Address) = Parameters->EptUnbacked | EPT_ALL;
  return TRUE;
}

/**
  Take the hidden range from the guest again, and what it has written there.

  @param[in] Parameters  Where the memory is.
**/
VOID
ExecHideUnbacked (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  ExecSetHiddenRange (Parameters, 0);
  AsmInvEpt (INVEPT_SINGLE_CONTEXT, VmRead (VMCS_EPT_POINTER));
  SetMem ((VOID *)(UINTN)Parameters->UnbackedPage, SIZE_4KB, 0xFF);
}
