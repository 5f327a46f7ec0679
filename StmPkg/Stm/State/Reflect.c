/** @file
  An executive VMCS that is of no use any more. The executive monitor, or its
  guest, has written to the region; the processor refuses the return to the guest,
  and finds that out in the STM.

  The executive monitor would have found it out itself at its next VM entry. So
  the STM does what such an entry does that fails while it loads guest state: it
  ends in a VM exit with reason 80000021H, on the host state of that VMCS. Where
  the reason cannot be written (IA32_VMX_MISC[29] = 0), the executive monitor has
  no current VMCS: it reads no reason that is not true, and its next VM entry fails.

  The host state may be overwritten, too. What no VM entry accepts is left out, so
  that the STM gets out in any case. Whether the executive monitor can run with the
  rest is its own affair, as it would be at a VM exit without an STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Register/Intel/Cpuid.h>
#include "Guest/Guest.h"

#define CR4_PAE        BIT5
#define CR4_PCIDE      BIT17
#define EFER_LME       BIT8
#define EFER_LMA       BIT10
#define ACCESS_CODE32  (VMX_ACCESS_CODE64 ^ (VMX_ACCESS_LONG | VMX_ACCESS_BIG))
#define TR_LIMIT       0x67
#define SELECTOR_BITS  0xFFF8                       ///< RPL and TI of host selectors are 0
#define CR0_KEPT       (BIT4 | BIT29 | BIT30)       ///< ET, NW and CD: a VM exit leaves them
#define EFER_DEFINED   (BIT0 | EFER_LME | EFER_LMA | BIT11)
#define PAT_ENTRIES    8
#define PAT_LEGAL      (BIT0 | BIT1 | BIT4 | BIT5 | BIT6 | BIT7)  ///< memory types, as numbers of bits

///
/// What the STM reads of the executive VMCS, in the order of HOST_VALUES.
///
STATIC CONST UINT16  mHostFields[] = {
  VMCS_HOST_ES_SELECTOR,
  VMCS_HOST_CS_SELECTOR,
  VMCS_HOST_SS_SELECTOR,
  VMCS_HOST_DS_SELECTOR,
  VMCS_HOST_FS_SELECTOR,
  VMCS_HOST_GS_SELECTOR,
  VMCS_HOST_TR_SELECTOR,
  VMCS_HOST_FS_BASE,
  VMCS_HOST_GS_BASE,
  VMCS_HOST_TR_BASE,
  VMCS_HOST_GDTR_BASE,
  VMCS_HOST_IDTR_BASE,
  VMCS_HOST_CR0,
  VMCS_HOST_CR3,
  VMCS_HOST_CR4,
  VMCS_HOST_RSP,
  VMCS_HOST_RIP,
  VMCS_HOST_IA32_SYSENTER_CS,
  VMCS_HOST_IA32_SYSENTER_ESP,
  VMCS_HOST_IA32_SYSENTER_EIP,
  VMCS_HOST_IA32_PAT,
  VMCS_HOST_IA32_EFER,
  VMCS_EXIT_CONTROLS
};

typedef struct {
  UINT64    Selectors[6];      ///< ES to GS
  UINT64    TrSelector;
  UINT64    FsBase;
  UINT64    GsBase;
  UINT64    TrBase;
  UINT64    GdtrBase;
  UINT64    IdtrBase;
  UINT64    Cr0;
  UINT64    Cr3;
  UINT64    Cr4;
  UINT64    Rsp;
  UINT64    Rip;
  UINT64    SysenterCs;
  UINT64    SysenterEsp;
  UINT64    SysenterEip;
  UINT64    Pat;
  UINT64    Efer;
  UINT64    ExitControls;
} HOST_VALUES;

STATIC_ASSERT (ARRAY_SIZE (mHostFields) * sizeof (UINT64) == sizeof (HOST_VALUES), "one field for each member");

/**
  Put the VMCS revision identifier back into a region of the executive monitor's
  that has lost it.

  The executive monitor could do that itself: the region is memory that it owns.
  Where a write from SMM could do more than its own, in SMRAM and among the
  registers and the flash memory below 4 GB, the STM does not write.

  @param[in] Processor  This processor, on the STM's own page tables.
  @param[in] Region     Physical address of the region.

  @retval TRUE   The identifier is there, as far as a write can tell.
  @retval FALSE  The region is in SMRAM, between TSEG and 4 GB, or beyond the
                 physical width: nothing was written.
**/
BOOLEAN
StmRestoreRevision (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Region
  )
{
  volatile UINT32  *First;
  UINT32           Revision;

  if (((Region & (SIZE_4KB - 1)) != 0) || !StmPageIsExecutives (Processor->Shared, Region)) {
    return FALSE;
  }

  Revision = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  First    = StmOpenWindow (Processor, Region, TRUE);
  if (*First != Revision) {
    *First = Revision;
  }

  StmCloseWindow (Processor);
  return TRUE;
}

/**
  Read the host state of the executive VMCS, and write the exit reason to it, if it
  is not in SMRAM.

  @param[in]  Processor  This processor, the SMM-transfer VMCS current, before and
                         afterwards.
  @param[in]  Executive  Executive-VMCS pointer.
  @param[out] Host       The host state.
  @param[out] Marked     The exit reason is written.

  @retval TRUE   Host is filled.
  @retval FALSE  The processor cannot read the VMCS.
**/
STATIC
BOOLEAN
ReadHostState (
  IN  CONST STM_PROCESSOR  *Processor,
  IN  UINT64               Executive,
  OUT HOST_VALUES          *Host,
  OUT BOOLEAN              *Marked
  )
{
  if (AsmVmPtrLoad (Executive) != VmxSucceed) {
    return FALSE;
  }

  AsmVmReadList (mHostFields, (UINT64 *)Host, ARRAY_SIZE (mHostFields));
  *Marked = (BOOLEAN)(!StmPageInSmram (Processor->Shared, Executive) &&
                      VmWrite (VMCS_EXIT_REASON, VMX_REASON_ENTRY_FAILURE | VMX_REASON_ENTRY_GUEST_STATE) &&
                      VmWrite (VMCS_EXIT_QUALIFICATION, 0));
  StmMakeCurrent (Processor, Processor->TransferVmcs);
  return TRUE;
}

/**
  Write a segment register of the interrupted side as a VM exit loads it.

  @param[in] Index     0 to 5 for ES to GS.
  @param[in] Selector  The selector; with 0 all but CS are unusable.
  @param[in] Base      The base.
  @param[in] Access    Access rights of a usable one.
**/
STATIC
VOID
WriteSegment (
  IN UINTN   Index,
  IN UINT64  Selector,
  IN UINT64  Base,
  IN UINT64  Access
  )
{
  VmWrite (VMCS_GUEST_ES_SELECTOR + 2 * Index, Selector);
  VmWrite (VMCS_GUEST_ES_BASE + 2 * Index, Base);
  VmWrite (VMCS_GUEST_ES_LIMIT + 2 * Index, MAX_UINT32);
  VmWrite (VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * Index, Access);
}

/**
  Make a linear address canonical.

  @param[in,out] Address  The address.
  @param[in]     Bits     Linear-address width of the processor.
**/
STATIC
VOID
MakeCanonical (
  IN OUT UINT64  *Address,
  IN     UINT32  Bits
  )
{
  *Address = (UINT64)ARShiftU64 (LShiftU64 (*Address, 64 - Bits), 64 - Bits);
}

/**
  Does the processor take a value for IA32_PAT?

  @param[in] Pat  The value.

  @retval TRUE   It does.
  @retval FALSE  An entry is no memory type.
**/
STATIC
BOOLEAN
IsPatLegal (
  IN UINT64  Pat
  )
{
  UINTN  Index;
  UINT8  Type;

  for (Index = 0; Index < PAT_ENTRIES; Index++) {
    Type = (UINT8)RShiftU64 (Pat, 8 * Index);
    if ((Type >= 8) || ((PAT_LEGAL & (1 << Type)) == 0)) {
      return FALSE;
    }
  }

  return TRUE;
}

/**
  Make host state such that VM entry takes it for guest state ("Checks on the Guest
  State Area", 26.3.1 [27.3.1]): what a VM entry of the executive monitor has checked
  does not change.

  @param[in]     Processor  This processor.
  @param[in,out] Host       The host state.
**/
STATIC
VOID
MakeHostStateLegal (
  IN     CONST STM_PROCESSOR  *Processor,
  IN OUT HOST_VALUES          *Host
  )
{
  CPUID_VIR_PHY_ADDRESS_SIZE_EAX  Size;
  UINTN                           Index;
  UINT64                          *Base;

  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Size.Uint32, NULL, NULL, NULL);
  for (Index = 0; Index < ARRAY_SIZE (Host->Selectors); Index++) {
    Host->Selectors[Index] &= SELECTOR_BITS;
  }

  for (Base = &Host->FsBase; Base <= &Host->IdtrBase; Base++) {
    MakeCanonical (Base, Size.Bits.LinearAddressBits);
  }

  MakeCanonical (&Host->SysenterEsp, Size.Bits.LinearAddressBits);
  MakeCanonical (&Host->SysenterEip, Size.Bits.LinearAddressBits);
  MakeCanonical (&Host->Rip, Size.Bits.LinearAddressBits);
  if ((Host->ExitControls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE) == 0) {
    Host->Rip &= MAX_UINT32;
  }

  Host->TrSelector &= SELECTOR_BITS;
  Host->Cr0         = (Host->Cr0 & ~(UINT64)CR0_KEPT) | (VmRead (VMCS_GUEST_CR0) & CR0_KEPT);
  Host->Cr0         = (Host->Cr0 & AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED1)) | AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0);
  Host->Cr4         = (Host->Cr4 & AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED1)) | AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0);
  Host->Cr3        &= LShiftU64 (1, Processor->Shared->PhysicalBits) - 1;
  Host->Efer       &= EFER_DEFINED;
  if (!IsPatLegal (Host->Pat)) {
    Host->Pat = VmRead (VMCS_GUEST_IA32_PAT);
  }
}

/**
  Write host state to the guest-state area of the SMM-transfer VMCS, as a VM exit
  would load it ("Loading Host State", 27.5 [28.5]).

  @param[in] Host  The host state.
**/
STATIC
VOID
WriteInterruptedState (
  IN CONST HOST_VALUES  *Host
  )
{
  BOOLEAN  Long;
  UINT64   Cr4;
  UINT64   Efer;
  UINTN    Index;

  Long = (BOOLEAN)((Host->ExitControls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE) != 0);
  Cr4  = Long ? (Host->Cr4 | CR4_PAE) : (Host->Cr4 & ~(UINT64)CR4_PCIDE);
  Efer = ((Host->ExitControls & VMX_EXIT_LOAD_EFER) != 0) ? Host->Efer : VmRead (VMCS_GUEST_IA32_EFER);
  Efer = Long ? (Efer | EFER_LME | EFER_LMA) : (Efer & ~(UINT64)(EFER_LME | EFER_LMA));

  for (Index = 0; Index < ARRAY_SIZE (Host->Selectors); Index++) {
    WriteSegment (Index, Host->Selectors[Index], 0, (Host->Selectors[Index] == 0) ? VMX_ACCESS_UNUSABLE : VMX_ACCESS_DATA);
  }

  VmWrite (VMCS_GUEST_CS_ACCESS_RIGHTS, Long ? VMX_ACCESS_CODE64 : ACCESS_CODE32);
  VmWrite (VMCS_GUEST_FS_BASE, Host->FsBase);
  VmWrite (VMCS_GUEST_GS_BASE, Host->GsBase);

  VMX_FIELD_VALUE  List[] = {
    { VMCS_GUEST_LDTR_SELECTOR,            0                                                                },
    { VMCS_GUEST_LDTR_ACCESS_RIGHTS,       VMX_ACCESS_UNUSABLE                                              },
    { VMCS_GUEST_TR_SELECTOR,              Host->TrSelector                                                 },
    { VMCS_GUEST_TR_BASE,                  Host->TrBase                                                     },
    { VMCS_GUEST_TR_LIMIT,                 TR_LIMIT                                                         },
    { VMCS_GUEST_TR_ACCESS_RIGHTS,         VMX_ACCESS_TSS64_BUSY                                            },
    { VMCS_GUEST_GDTR_BASE,                Host->GdtrBase                                                   },
    { VMCS_GUEST_GDTR_LIMIT,               MAX_UINT16                                                       },
    { VMCS_GUEST_IDTR_BASE,                Host->IdtrBase                                                   },
    { VMCS_GUEST_IDTR_LIMIT,               MAX_UINT16                                                       },
    { VMCS_GUEST_CR0,                      Host->Cr0                                                        },
    { VMCS_GUEST_CR3,                      Host->Cr3                                                        },
    { VMCS_GUEST_CR4,                      Cr4                                                              },
    { VMCS_GUEST_DR7,                      0x400                                                            },
    { VMCS_GUEST_IA32_DEBUGCTL,            0                                                                },
    { VMCS_GUEST_IA32_EFER,                Efer                                                             },
    { VMCS_GUEST_IA32_SYSENTER_CS,         Host->SysenterCs                                                 },
    { VMCS_GUEST_IA32_SYSENTER_ESP,        Host->SysenterEsp                                                },
    { VMCS_GUEST_IA32_SYSENTER_EIP,        Host->SysenterEip                                                },
    { VMCS_GUEST_RSP,                      Host->Rsp                                                        },
    { VMCS_GUEST_RIP,                      Host->Rip                                                        },
    { VMCS_GUEST_RFLAGS,                   2                                                                },
    { VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0                                                                },
    { VMCS_GUEST_ACTIVITY_STATE,           VMX_ACTIVITY_ACTIVE                                              },
    { VMCS_ENTRY_INTERRUPTION_INFO,        0                                                                },
    { VMCS_GUEST_INTERRUPTIBILITY_STATE,   VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & VMX_BLOCKING_BY_NMI },
    {
      VMCS_ENTRY_CONTROLS,
      (VmRead (VMCS_ENTRY_CONTROLS) & ~(UINT64)VMX_ENTRY_IA32E_GUEST) | (Long ? VMX_ENTRY_IA32E_GUEST : 0)
    }
  };

  AsmVmWriteList (List, ARRAY_SIZE (List));
  if ((Host->ExitControls & VMX_EXIT_LOAD_PAT) != 0) {
    VmWrite (VMCS_GUEST_IA32_PAT, Host->Pat);
  }
}

/**
  Make the executive monitor the interrupted side, at the VM exit of a VM entry
  that failed. For a guest that cannot be entered again because of its VMCS.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current, before
                            and afterwards.

  @retval TRUE   Done.
  @retval FALSE  The executive monitor itself was interrupted, or its VMCS cannot
                 be read: nothing has changed.
**/
BOOLEAN
StmReflectEntryFailure (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  HOST_VALUES  Host;
  UINT64       Executive;
  BOOLEAN      Marked;

  Executive = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
  if ((Executive == Processor->VmxonPointer) || !ReadHostState (Processor, Executive, &Host, &Marked)) {
    return FALSE;
  }

  MakeHostStateLegal (Processor, &Host);
  WriteInterruptedState (&Host);
  VmWrite (VMCS_EXECUTIVE_VMCS_POINTER, Processor->VmxonPointer);
  VmWrite (VMCS_LINK_POINTER, Marked ? Executive : VMCS_POINTER_NONE);
  return TRUE;
}
