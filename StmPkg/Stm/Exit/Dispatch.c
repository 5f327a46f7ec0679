/** @file
  The one table of exit handlers: by basic exit reason, for the SMI side and for
  the SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

typedef
STM_ENTER
(EFIAPI *STM_EXIT_HANDLER)(
  IN OUT STM_PROCESSOR  *Processor
  );

typedef struct {
  STM_EXIT_HANDLER    SmiSide;
  STM_EXIT_HANDLER    HandlerSide;
} STM_EXIT_ENTRY;

///
/// An empty place is an unexpected exit. A handler that executes a VMX
/// instruction other than VMCALL has no entry either: nothing in SMM has
/// business with VMX while the STM runs.
///
STATIC CONST STM_EXIT_ENTRY  mExits[VMX_REASON_COUNT] = {
  [VMX_REASON_TRIPLE_FAULT]  = { NULL,            StmExitTripleFault     },
  [VMX_REASON_IO_SMI]        = { StmExitSmi,      NULL                   },
  [VMX_REASON_OTHER_SMI]     = { StmExitSmi,      NULL                   },
  [VMX_REASON_CPUID]         = { NULL,            StmExitCpuid           },
  [VMX_REASON_INVD]          = { NULL,            StmExitInvd            },
  [VMX_REASON_RSM]           = { NULL,            StmExitRsm             },
  [VMX_REASON_VMCALL]        = { StmApiExecutive, StmApiHandler          },
  [VMX_REASON_CR_ACCESS]     = { NULL,            StmExitControlRegister },
  [VMX_REASON_IO]            = { NULL,            StmExitViolation       },
  [VMX_REASON_RDMSR]         = { NULL,            StmExitViolation       },
  [VMX_REASON_WRMSR]         = { NULL,            StmExitViolation       },
  [VMX_REASON_EPT_VIOLATION] = { NULL,            StmExitViolation       },
  [VMX_REASON_XSETBV]        = { NULL,            StmExitXsetbv          }
};

STM_ENTER
EFIAPI
StmDispatchSmiSide (
  IN OUT STM_PROCESSOR  *Processor
  );

STM_ENTER
EFIAPI
StmDispatchHandlerSide (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Look up the handler of an exit, or crash: a VM entry that failed while loading
  guest state arrives here like an exit (DM-RET-36, DM-STM-30).

  @param[in] Processor  This processor.
  @param[in] Reason     Exit reason field.

  @return The table entry.
**/
STATIC
CONST STM_EXIT_ENTRY *
LookUp (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Reason
  )
{
  if ((Reason & VMX_REASON_ENTRY_FAILURE) != 0) {
    StmCrashFromVmcs (Processor, StmCrashEntryFailure);
  }

  if ((Reason & VMX_REASON_BASIC_MASK) >= VMX_REASON_COUNT) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  return &mExits[Reason & VMX_REASON_BASIC_MASK];
}

/**
  SMM VM exits: called by Entry/Exit.nasm, the SMI side's VMCS is current.

  @param[in,out] Processor  This processor, registers in Interrupted.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchSmiSide (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  CONST STM_EXIT_ENTRY  *Exit;

  Exit = LookUp (Processor, (UINT32)VmRead (VMCS_EXIT_REASON));
  if (Exit->SmiSide == NULL) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  Processor->SmiLaunched = TRUE;
  return Exit->SmiSide (Processor);
}

/**
  Exits of the SMI handler: called by Entry/Exit.nasm, the handler's VMCS is
  current.

  @param[in,out] Processor  This processor, registers in Handler.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmDispatchHandlerSide (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  CONST STM_EXIT_ENTRY  *Exit;
  UINT32                Reason;

  Reason = (UINT32)VmRead (VMCS_EXIT_REASON);
  Exit   = LookUp (Processor, Reason);
  if (Exit->HandlerSide == NULL) {
    StmCrashFromVmcs (Processor, StmCrashUnexpectedExit);
  }

  Processor->HandlerLaunched = TRUE;
  if (Reason != VMX_REASON_RSM) {
    Processor->ExitCount++;
    StmRing (
      Processor,
      StmRingHandlerExit,
      Reason,
      VmRead (VMCS_EXIT_QUALIFICATION),
      VmRead (VMCS_GUEST_RIP),
      (Reason == VMX_REASON_EPT_VIOLATION) ? VmRead (VMCS_GUEST_PHYSICAL_ADDRESS) : 0
      );
  }

  return Exit->HandlerSide (Processor);
}
