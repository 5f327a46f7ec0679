/** @file
  GDT, TSS and IDT of VMX root operation. The firmware's lie in boot-services
  memory, which the operating system reuses.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

STATIC_ASSERT (OFFSET_OF (VMX_CONTEXT, NmiPending) == 0x88, "X64/Layout.inc");
STATIC_ASSERT ((sizeof (VMX_CONTEXT) & 15) == 0, "stack alignment");

STATIC IA32_IDT_GATE_DESCRIPTOR  mIdt[VMX_EXCEPTION_VECTORS];

/**
  Build the IDT that all processors share in VMX root operation.
**/
VOID
ExecBuildIdt (
  VOID
  )
{
  UINTN  Handler;

  VmxBuildIdt (mIdt, (UINTN)AsmExceptionStubs);
  Handler                                = (UINTN)AsmNmi;
  mIdt[EXCEPT_IA32_NMI].Bits.OffsetLow   = (UINT16)Handler;
  mIdt[EXCEPT_IA32_NMI].Bits.OffsetHigh  = (UINT16)(Handler >> 16);
  mIdt[EXCEPT_IA32_NMI].Bits.OffsetUpper = (UINT32)RShiftU64 (Handler, 32);
}

/**
  Build a processor's GDT and TSS, and write the host-state area of the current
  VMCS.

  @param[in] Processor  Where its memory is.
**/
VOID
ExecWriteHostState (
  IN EXEC_PROCESSOR  *Processor
  )
{
  VMX_CONTEXT      *Context;
  VMX_HOST_TABLES  *Tables;

  Context             = (VMX_CONTEXT *)(UINTN)Processor->StackTop - 1;
  Context->Processor  = Processor;
  Context->NmiPending = 0;

  Tables = (VMX_HOST_TABLES *)(UINTN)Processor->HostTables;
  VmxBuildHostTables (Tables, (UINTN)Processor->CrashStackTop);
  VmxWriteHostState (
    Tables,
    mIdt,
    Processor->Shared->PageTables,
    (UINT64)(UINTN)AsmVmExit,
    (UINT64)(UINTN)&Context->Registers.Reserved
    );
  VmWrite (VMCS_HOST_GS_BASE, (UINT64)(UINTN)Context);
}
