/** @file
  ADDRESS_LOOKUP: where an address of the interrupted side is.

  The SMI handler could walk page tables itself, but not EPT, which it cannot see. It
  learns an address and nothing else: the tables have to be those with which somebody
  was interrupted, and they and the address must not be protected.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Guest/Guest.h"
#include "Protect/Protect.h"
#include "State/State.h"
#include "State/Walk.h"

///
/// Longest range that one call looks up.
///
#define MOST_BYTES  SIZE_64KB

/**
  Find the descriptor of a call, by the SMI handler's page tables. It has to be in the
  handler's SMRAM: to write anywhere else for the handler could be to write where the
  handler may not.

  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[out] Request    Physical address of the descriptor.

  @retval TRUE   Found.
  @retval FALSE  It is not mapped, not in the handler's SMRAM, or not in one page.
**/
STATIC
BOOLEAN
FindRequest (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT UINT64               *Request
  )
{
  STM_ADDRESS_SPACE  Space;
  UINT64             Linear;

  Linear = LShiftU64 ((UINT32)Processor->Handler.Rcx, 32) | (UINT32)Processor->Handler.Rbx;
  StmHandlerSpace (Processor, &Space);
  return (BOOLEAN)(((Linear & (SIZE_4KB - 1)) + sizeof (STM_ADDRESS_LOOKUP_DESCRIPTOR) <= SIZE_4KB) &&
                   StmWalk (&Space, Linear, Request) &&
                   StmInHandlerSmram (Processor->Shared, *Request, sizeof (STM_ADDRESS_LOOKUP_DESCRIPTOR)));
}

/**
  Was somebody interrupted with this CR3: this processor, or another one that is in an
  SMI?

  @param[in] Processor  This processor.
  @param[in] Cr3        The value.

  @retval TRUE   Somebody was.
  @retval FALSE  Nobody was.
**/
STATIC
BOOLEAN
IsInterruptedCr3 (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Cr3
  )
{
  CONST STM_SHARED     *Shared;
  CONST STM_PROCESSOR  *Other;
  UINT32               Slot;

  Shared = Processor->Shared;
  for (Slot = 0; Slot < Shared->Blocks; Slot++) {
    Other = STM_PROCESSOR_OF (Shared, Slot);
    if ((*(CONST volatile STM_EVENT *)&Other->Event == StmEventSmi) && (Other->Saved.Cr3 == Cr3) &&
        ((Other->Domain & DOMAIN_CONFIDENTIALITY) == 0))
    {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Is this the EPT pointer of the guest that was interrupted on this processor?

  @param[in] Processor   This processor, the SMM-guest VMCS current, before and
                         afterwards.
  @param[in] EptPointer  The value.

  @retval TRUE   It is.
  @retval FALSE  It is not, or no guest was interrupted.
**/
STATIC
BOOLEAN
IsInterruptedEpt (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               EptPointer
  )
{
  UINT64   Executive;
  BOOLEAN  Same;

  StmMakeCurrent (Processor, Processor->TransferVmcs);
  Executive = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
  Same      = FALSE;
  if ((Executive != Processor->VmxonPointer) && (AsmVmPtrLoad (Executive) == VmxSucceed)) {
    Same = (BOOLEAN)(VmRead (VMCS_EPT_POINTER) == EptPointer);
  }

  StmMakeCurrent (Processor, Processor->SmmGuestVmcs);
  return Same;
}

/**
  Look up a range, page by page.

  @param[in]  Processor  This processor.
  @param[in]  Request    A copy of the descriptor.
  @param[out] Physical   Where its first byte is.

  @retval STM_SUCCESS                   Found, all of it where the handler may access it.
  @retval ERROR_STM_PAGE_NOT_FOUND      Some of it is not mapped.
  @retval ERROR_STM_SECURITY_VIOLATION  Some of it is protected, or is MSEG.
**/
STATIC
UINT32
LookUp (
  IN  CONST STM_PROCESSOR                  *Processor,
  IN  CONST STM_ADDRESS_LOOKUP_DESCRIPTOR  *Request,
  OUT UINT64                               *Physical
  )
{
  CONST STM_SHARED   *Shared;
  STM_ADDRESS_SPACE  Space;
  UINT64             Linear;
  UINT64             Address;
  UINTN              Pages;

  Shared           = Processor->Shared;
  Space.Cr3        = Request->InterruptedCr3;
  Space.EptPointer = Request->InterruptedEptp;
  Space.Ia32e      = (BOOLEAN)Request->InterruptedIa32eMode;
  Space.Pae        = (BOOLEAN)Request->InterruptedCr4Pae;
  Space.Pse        = (BOOLEAN)Request->InterruptedCr4Pse;
  Space.Flat       = FALSE;
  Space.Read       = StmReadTable;
  Space.Context    = Processor;
  Linear           = Request->InterruptedGuestVirtualAddress;
  Pages            = ((UINTN)(Linear & (SIZE_4KB - 1)) + Request->Length + SIZE_4KB - 1) / SIZE_4KB;
  if (!StmWalk (&Space, Linear, Physical)) {
    return (UINT32)ERROR_STM_PAGE_NOT_FOUND;
  }

  for (Linear &= ~(UINT64)(SIZE_4KB - 1); Pages != 0; Pages--, Linear += SIZE_4KB) {
    //
    // The bits beyond the physical width are reserved in an entry: nothing is mapped there.
    //
    if (!StmWalk (&Space, Linear, &Address) || (RShiftU64 (Address, Shared->PhysicalBits) != 0)) {
      return (UINT32)ERROR_STM_PAGE_NOT_FOUND;
    }

    if ((StmProtectedAt (Processor, StmSpaceMemory, Address, 1) != 0) ||
        ((Address < Shared->MsegEnd) && (Address + SIZE_4KB > Shared->MsegBase)))
    {
      return (UINT32)ERROR_STM_SECURITY_VIOLATION;
    }
  }

  return STM_SUCCESS;
}

/**
  ADDRESS_LOOKUP (3).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.

  @retval STM_SUCCESS                       PhysicalAddress is written.
  @retval ERROR_STM_BAD_CR3                 Nobody was interrupted with this CR3.
  @retval ERROR_STM_PAGE_NOT_FOUND          The address is not mapped, or the tables are
                                            in memory that must not be read.
  @retval ERROR_STM_SECURITY_VIOLATION      What is there is protected.
  @retval ERROR_STM_FUNCTION_NOT_SUPPORTED  A mapping is asked for.
  @retval ERROR_STM_UNSPECIFIED             The descriptor is not in the handler's SMRAM, a
                                            reserved field is set, Length is 0 or above
                                            64 KB, or InterruptedEptp is not that of the
                                            interrupted guest.
**/
UINT32
StmApiAddressLookup (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_ADDRESS_LOOKUP_DESCRIPTOR  Request;
  UINT64                         Address;
  UINT64                         Physical;
  UINT32                         Status;

  if (!FindRequest (Processor, &Address)) {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  CopyMem (&Request, (CONST VOID *)(UINTN)Address, sizeof (Request));
  if ((Request.Reserved1 != 0) || (Request.Reserved2 != 0) || (Request.Length == 0) || (Request.Length > MOST_BYTES) ||
      (Request.InterruptedGuestVirtualAddress + Request.Length < Request.InterruptedGuestVirtualAddress) ||
      ((Request.InterruptedEptp != 0) && !IsInterruptedEpt (Processor, Request.InterruptedEptp)))
  {
    return (UINT32)ERROR_STM_UNSPECIFIED;
  }

  if (!IsInterruptedCr3 (Processor, Request.InterruptedCr3)) {
    return (UINT32)ERROR_STM_BAD_CR3;
  }

  Status = LookUp (Processor, &Request, &Physical);
  if (Status != STM_SUCCESS) {
    return Status;
  }

  if (Request.MapToSmmGuest != STM_ADDRESS_LOOKUP_DESCRIPTOR_DO_NOT_MAP) {
    return (UINT32)ERROR_STM_FUNCTION_NOT_SUPPORTED;
  }

  ((STM_ADDRESS_LOOKUP_DESCRIPTOR *)(UINTN)Address)->PhysicalAddress = Physical;
  return STM_SUCCESS;
}
