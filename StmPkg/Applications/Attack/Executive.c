/** @file
  What the executive monitor asks of the STM: as its guest by hypercall, in VMX root
  operation by a list of our own.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Library/IoLib.h>
#include <Library/StmTryLib.h>
#include <Register/Intel/StmApi.h>
#include <StmHypercall.h>

#define PORT_APM_COMMAND   0xB2
#define UNCLAIMED_COMMAND  0x55

///
/// The page for lists.
///
#define LIST_PAGE  3

/**
  Carry out a VMCALL.

  @param[in]     Number  EAX.
  @param[in]     Value   EBX; ECX and EDX are 0.
  @param[in,out] Step    Gets the outcome, and EAX as its Value.
**/
STATIC
VOID
Call (
  IN     UINT32    Number,
  IN     UINT64    Value,
  IN OUT STM_STEP  *Step
  )
{
  STM_STEP  Vmcall;

  ZeroMem (&Vmcall, sizeof (Vmcall));
  Vmcall.Kind        = StmStepVmcall;
  Vmcall.Argument[0] = Number;
  Vmcall.Argument[1] = Value;
  AttackByShellStep (&Vmcall);
  Step->Result = Vmcall.Result;
  Step->Vector = Vmcall.Vector;
  Step->Value  = Vmcall.Value;
}

/**
  Ask for the protection of one resource, in VMX root operation.

  @param[in]     Descriptor  Of the resource.
  @param[in,out] Step        Gets the STM's status.
**/
STATIC
VOID
ProtectOne (
  IN     CONST STM_RSC  *Descriptor,
  IN OUT STM_STEP       *Step
  )
{
  UINT8        *List;
  STM_RSC_END  *End;

  if (AttackPlace () != ExecStateRoot) {
    Step->Result = StmStepRejected;
    return;
  }

  List = (UINT8 *)(UINTN)AttackPage (LIST_PAGE);
  ZeroMem (List, SIZE_4KB);
  CopyMem (List, Descriptor, Descriptor->Header.Length);
  End              = (STM_RSC_END *)(List + Descriptor->Header.Length);
  End->Hdr.RscType = END_OF_RESOURCES;
  End->Hdr.Length  = sizeof (*End);
  Call (STM_API_PROTECT_RESOURCE, AttackPage (LIST_PAGE), Step);
}

/**
  Have the STM keep its SMI handler from memory. Arguments: address and bytes, whole
  pages. Value: the STM's status.

  @param[in,out] Step  The step.
**/
VOID
AttackProtect (
  IN OUT STM_STEP  *Step
  )
{
  STM_RSC  Descriptor;
  UINT64   Page;

  if (AttackPlace () == ExecStateGuest) {
    for (Page = 0; Page < Step->Argument[1]; Page += SIZE_4KB) {
      Call (EXEC_HYPERCALL_PROTECT, Step->Argument[0] + Page, Step);
      if ((Step->Result != StmStepDone) || (Step->Value != EXEC_HYPERCALL_SUCCESS)) {
        return;
      }
    }

    return;
  }

  ZeroMem (&Descriptor, sizeof (Descriptor));
  Descriptor.Mem.Hdr.RscType   = MEM_RANGE;
  Descriptor.Mem.Hdr.Length    = sizeof (Descriptor.Mem);
  Descriptor.Mem.Base          = Step->Argument[0];
  Descriptor.Mem.Length        = Step->Argument[1];
  Descriptor.Mem.RWXAttributes = STM_RSC_MEM_R | STM_RSC_MEM_W | STM_RSC_MEM_X;
  ProtectOne (&Descriptor, Step);
}

/**
  Have the STM keep its SMI handler from ports. Arguments: first port and number.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectPorts (
  IN OUT STM_STEP  *Step
  )
{
  STM_RSC  Descriptor;

  ZeroMem (&Descriptor, sizeof (Descriptor));
  Descriptor.Io.Hdr.RscType = IO_RANGE;
  Descriptor.Io.Hdr.Length  = sizeof (Descriptor.Io);
  Descriptor.Io.Base        = (UINT16)Step->Argument[0];
  Descriptor.Io.Length      = (UINT16)Step->Argument[1];
  ProtectOne (&Descriptor, Step);
}

/**
  Have the STM keep its SMI handler from an MSR. Argument: its number.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectMsr (
  IN OUT STM_STEP  *Step
  )
{
  STM_RSC  Descriptor;

  ZeroMem (&Descriptor, sizeof (Descriptor));
  Descriptor.Msr.Hdr.RscType = MACHINE_SPECIFIC_REG;
  Descriptor.Msr.Hdr.Length  = sizeof (Descriptor.Msr);
  Descriptor.Msr.MsrIndex    = (UINT32)Step->Argument[0];
  Descriptor.Msr.ReadMask    = MAX_UINT64;
  Descriptor.Msr.WriteMask   = MAX_UINT64;
  ProtectOne (&Descriptor, Step);
}

/**
  Have the STM keep its SMI handler from PCI configuration space. Arguments: function, as
  port CF8H takes it, first register and number of bytes.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectPci (
  IN OUT STM_STEP  *Step
  )
{
  STM_RSC                   Descriptor;
  STM_PCI_DEVICE_PATH_NODE  *Node;

  ZeroMem (&Descriptor, sizeof (Descriptor));
  Descriptor.PciCfg.Hdr.RscType          = PCI_CFG_RANGE;
  Descriptor.PciCfg.Hdr.Length           = sizeof (Descriptor.PciCfg);
  Descriptor.PciCfg.RWAttributes         = STM_RSC_PCI_CFG_R | STM_RSC_PCI_CFG_W;
  Descriptor.PciCfg.Base                 = (UINT16)Step->Argument[1];
  Descriptor.PciCfg.Length               = (UINT16)Step->Argument[2];
  Descriptor.PciCfg.OriginatingBusNumber = (UINT8)RShiftU64 (Step->Argument[0], 16);
  Node                                   = Descriptor.PciCfg.PciDevicePath;
  Node->Type                             = 1;
  Node->Subtype                          = 1;
  Node->Length                           = sizeof (*Node);
  Node->PciDevice                        = (UINT8)RShiftU64 (Step->Argument[0], 11) & 0x1F;
  Node->PciFunction                      = (UINT8)RShiftU64 (Step->Argument[0], 8) & 7;
  ProtectOne (&Descriptor, Step);
}

/**
  The hypercall of AttackProtectFrom, on the other processor.

  @param[in,out] Context  The VMCALL's step.
**/
STATIC
VOID
EFIAPI
RunElsewhere (
  IN OUT VOID  *Context
  )
{
  StmIdtLoad ();
  StmStepRun (Context);
  StmIdtRestore ();
}

/**
  Have the STM keep its SMI handler from a page, asked on another processor: as the
  executive monitor's guest only. Arguments: number of the processor and address.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectFrom (
  IN OUT STM_STEP  *Step
  )
{
  STM_STEP  Vmcall;

  ZeroMem (&Vmcall, sizeof (Vmcall));
  Vmcall.Kind        = StmStepVmcall;
  Vmcall.Argument[0] = EXEC_HYPERCALL_PROTECT;
  Vmcall.Argument[1] = Step->Argument[1];
  Step->Result       = StmStepRejected;
  if ((AttackPlace () == ExecStateGuest) && AttackRunOn (Step->Argument[0], RunElsewhere, &Vmcall)) {
    Step->Result = Vmcall.Result;
    Step->Vector = Vmcall.Vector;
    Step->Value  = Vmcall.Value;
  }
}

/**
  Raise an SMI that no handler claims.

  @param[in,out] Step  The step.
**/
VOID
AttackRaiseSmi (
  IN OUT STM_STEP  *Step
  )
{
  IoWrite8 (PORT_APM_COMMAND, UNCLAIMED_COMMAND);
  Step->Result = StmStepDone;
}
