/** @file
  Exit/: what the STM does about an SMI, and about VM exits of the SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_EXIT_H_
#define STM_EXIT_H_

#include <Uefi/UefiBaseType.h>
#include <Protocol/DebugSupport.h>
#include "ExitTable.h"
#include "StmState.h"

/**
  SMM VM exit for an SMI, reason 5 or 6.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Reason     Exit-reason field.

  @return What the entry code shall do.
**/
STM_ENTER
StmExitSmi (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Reason
  );

/**
  Find out to which domain an SMI belongs. Called by STM_FIND_DOMAIN.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Vmcs       Executive-VMCS pointer.
  @param[in]     Reason     Exit-reason field.
**/
VOID
StmFindDomain (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Vmcs,
  IN     UINT32         Reason
  ) STM_RARE;

///
/// The same, if there are any domains.
///
#define STM_FIND_DOMAIN(Processor, Vmcs, Reason)                               \
  do {                                                                         \
    if (*(volatile UINT32 *)&(Processor)->Shared->Domains.Count != 0) {        \
      StmFindDomain (Processor, Vmcs, Reason);                                 \
    }                                                                          \
  } while (FALSE)

/**
  Bring back what was hidden from the handler, which has ended. Called for a domain only.

  @param[in,out] Processor  This processor.
**/
VOID
StmShowDomain (
  IN OUT STM_PROCESSOR  *Processor
  ) STM_RARE;

/**
  The end of the handler for a domain: what of its changes counts.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @retval TRUE   All that a handler may change.
  @retval FALSE  No more than what is done already.
**/
BOOLEAN
StmLeaveDomain (
  IN OUT STM_PROCESSOR  *Processor
  ) STM_RARE;

/**
  An SMI: wait for the other processors. Called for the rendezvous policy only.

  @param[in,out] Processor  This processor, at its SMM VM exit.
**/
VOID
StmRendezvousArrive (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  The handler of an SMI has ended: wait for the others' to end. Called for the rendezvous
  policy only.

  @param[in,out] Processor  This processor, ready for the return from SMM.
**/
VOID
StmRendezvousLeave (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  RSM of the SMI handler, or of the firmware's setup or teardown code. Afterwards
  the SMM-transfer VMCS is current.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @return What the handler ran for.
**/
STM_EVENT
StmFinishHandler (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  The end of an SMI: return to the interrupted side with what the handler changed of it.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmFinishSmi (
  IN OUT STM_PROCESSOR  *Processor
  );

///
/// VM exits of the SMI handler, the SMM-guest VMCS current: functions of the dispatch
/// table. Each gets the processor and returns what the entry code shall do.
///
#define STM_EXIT_DECLARATION(BasicReason, Function, Control)                   \
  STM_ENTER EFIAPI Function (IN OUT STM_PROCESSOR *Processor);

STM_EXIT_TABLE (STM_EXIT_DECLARATION)

/**
  Describe the access for which a VM exit of the SMI handler occurred.

  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[out] Resource   A descriptor of memory, ports or an MSR.
**/
VOID
StmDescribeAccess (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT STM_RSC              *Resource
  );

/**
  Describe an access to PCI configuration space, on whatever way it came.

  @param[in]  Place     First register, STM_PCI_PLACE.
  @param[in]  Length    Bytes.
  @param[in]  Write     TRUE if it was to write.
  @param[out] Resource  A descriptor whose path is the function's own bus, device and
                        function.
**/
VOID
StmDescribePci (
  IN  UINT64   Place,
  IN  UINT32   Length,
  IN  BOOLEAN  Write,
  OUT STM_RSC  *Resource
  );

/**
  Let the processor execute INS or OUTS at another port.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current, at the VM exit for
                            the instruction.

  @return What the entry code shall do.
**/
STM_ENTER
StmStartStep (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Put back what StmStartStep has changed, at the first VM exit after it, whichever that
  is.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmEndStep (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Has the processor executed the instruction, or has it delivered a fault instead?

  @param[in] Processor  This processor, the SMM-guest VMCS current, at the first VM exit
                        after StmStartStep.

  @retval TRUE   It has executed it, or one repetition of it.
  @retval FALSE  It has not.
**/
BOOLEAN
StmIsStepDone (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  EPT violation on a page of ECAM.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[out]    Enter      What the entry code shall do.

  @retval TRUE   It was one, and Enter is set.
  @retval FALSE  It was another one.
**/
BOOLEAN
StmTryEcam (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    STM_ENTER      *Enter
  );

///
/// Bytes of a frame of a protection exception.
///
#define STM_EXCEPTION_FRAME_SIZE(Ia32e)                          \
  ((Ia32e) ? sizeof (STM_PROTECTION_EXCEPTION_STACK_FRAME_X64) : \
             sizeof (STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32))

/**
  Write the state of a violation to the stack of the firmware's exception handler, and keep
  its segments.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current, Frame and Ia32e of
                            Exception filled; the frame lies in the handler's SMRAM.
  @param[in]     Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.
**/
VOID
StmWriteExceptionFrame (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Type
  );

/**
  Copy the state of a violation as the firmware's exception handler has left it.

  @param[in]  Processor  This processor.
  @param[out] Frame      The copy, in the form for 64-bit mode.
**/
VOID
StmReadExceptionFrame (
  IN  CONST STM_PROCESSOR                       *Processor,
  OUT STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  );

/**
  Load the state of a violation, but CR3.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Frame      From StmReadExceptionFrame.
**/
VOID
StmLoadException (
  IN OUT STM_PROCESSOR                                   *Processor,
  IN     CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  );

/**
  Raise a protection exception in the SMI handler.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Type       TXT_SMM_PROTECTION_EXCEPTION_TYPE.

  @return What the entry code shall do. Does not return if nobody handles it.
**/
STM_ENTER
StmRaiseProtectionException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Type
  );

/**
  Raise a protection exception in the SMI handler, for an access to PCI configuration
  space.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Place      First register, STM_PCI_PLACE.
  @param[in]     Length     Bytes.
  @param[in]     Write      TRUE if it was to write.

  @return What the entry code shall do. Does not return if nobody handles it.
**/
STM_ENTER
StmRaisePciException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Place,
  IN     UINT32         Length,
  IN     BOOLEAN        Write
  );

/**
  RETURN_FROM_PROTECTION_EXCEPTION (4).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Choice     EBX: 0 to go on with the state in the frame, 1 to 15 for a
                            panic of the firmware.

  @retval STM_SUCCESS              The guest state is that of the frame.
  @retval ERROR_INVALID_PARAMETER  Choice is reserved, or the page tables of the frame are
                                   not in the handler's SMRAM, or protected bits of CR3
                                   would change: nothing has changed.
  @retval ERROR_STM_UNSPECIFIED    No protection exception is being handled: nothing has
                                   changed.
**/
UINT32
StmReturnFromProtectionException (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Choice
  );

/**
  A VM exit that has no handler, or a VM entry that failed while it loaded guest
  state.

  @param[in,out] Processor  This processor.
  @param[in]     Reason     Exit-reason field.

  @return What the entry code shall do. Does not return if nothing can be done.
**/
STM_ENTER
StmExitUnexpected (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Reason
  );

/**
  A VM entry that failed: VMLAUNCH or VMRESUME, or on guest state.

  @param[in,out] Processor  This processor.
  @param[in]     Error      VM-instruction error, 0 for a failure on guest state.

  @return What the entry code shall do. Does not return if nothing can be done.
**/
STM_ENTER
StmMendReturn (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Error
  );

#endif
