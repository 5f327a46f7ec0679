/** @file
  Guest state with which the SMI handler starts: long mode, with what the PSD
  says.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

///
/// CR0: PG, WP, NE, ET, MP, PE. CR4: PAE, and PSE as the PSD's entry state has
/// it. The SMI entry code sets what else it wants.
///
#define HANDLER_CR0  0x80010033
#define HANDLER_CR4  0x00000030

#define EFER_LME  BIT8
#define EFER_LMA  BIT10
#define EFER_NXE  BIT11

#define DEFAULT_PAT  0x0007040600070406ULL

#define TSS64_LIMIT  0x67

#define DATA_SEGMENT(Name)                                                     \
  { VMCS_GUEST_##Name##_BASE,   0 },                                           \
  { VMCS_GUEST_##Name##_LIMIT,  MAX_UINT32 },                                  \
  { VMCS_GUEST_##Name##_ACCESS, VMX_ACCESS_DATA }

///
/// Everything that is the same for each entry. The handler may have changed any
/// of it, so it is written each time.
///
STATIC CONST STM_FIELD_VALUE  mHandlerConstants[] = {
  DATA_SEGMENT (ES),
  DATA_SEGMENT (SS),
  DATA_SEGMENT (DS),
  DATA_SEGMENT (FS),
  DATA_SEGMENT (GS),
  { VMCS_GUEST_CS_BASE,          0                                         },
  { VMCS_GUEST_CS_LIMIT,         MAX_UINT32                                },
  { VMCS_GUEST_CS_ACCESS,        VMX_ACCESS_CODE64                         },
  { VMCS_GUEST_LDTR_SELECTOR,    0                                         },
  { VMCS_GUEST_LDTR_BASE,        0                                         },
  { VMCS_GUEST_LDTR_LIMIT,       0                                         },
  { VMCS_GUEST_LDTR_ACCESS,      VMX_ACCESS_UNUSABLE                       },
  { VMCS_GUEST_TR_LIMIT,         TSS64_LIMIT                               },
  { VMCS_GUEST_TR_ACCESS,        VMX_ACCESS_TSS64_BUSY                     },
  { VMCS_GUEST_IDTR_BASE,        0                                         },
  { VMCS_GUEST_IDTR_LIMIT,       0                                         },
  { VMCS_GUEST_DR7,              0x400                                     },
  { VMCS_GUEST_IA32_DEBUGCTL,    0                                         },
  { VMCS_GUEST_RFLAGS,           2                                         },
  { VMCS_GUEST_PENDING_DEBUG,    0                                         },
  { VMCS_GUEST_SYSENTER_CS,      0                                         },
  { VMCS_GUEST_SYSENTER_ESP,     0                                         },
  { VMCS_GUEST_SYSENTER_EIP,     0                                         },
  { VMCS_GUEST_ACTIVITY,         VMX_ACTIVITY_ACTIVE                       },
  { VMCS_GUEST_IA32_PAT,         DEFAULT_PAT                               },
  { VMCS_CR4_READ_SHADOW,        HANDLER_CR4                               },
  { VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI },
  { VMCS_ENTRY_INTERRUPTION,     0                                         }
};

/**
  Copy and check the PSD at SMBASE + TXT_SMM_PSD_OFFSET.

  The PSD lies in SMRAM that the firmware can write at any time, so each member
  is read once, and what the STM itself will dereference is checked.

  @param[in]  Shared  Shared state.
  @param[in]  Smbase  SMBASE of the processor.
  @param[in]  Event   Which entry point to take.
  @param[out] Entry   What an entry to the handler needs.

  @retval TRUE   Usable. Entry->Rip is 0 if the firmware has no code for Event.
  @retval FALSE  SMBASE or PSD are outside the handler's SMRAM or malformed.
**/
BOOLEAN
StmReadDescriptor (
  IN  CONST STM_SHARED   *Shared,
  IN  UINT64             Smbase,
  IN  STM_EVENT          Event,
  OUT STM_HANDLER_ENTRY  *Entry
  )
{
  CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;
  CONST volatile UINT32                        *Tss;

  if (!StmInHandlerSmram (Shared, Smbase + 0x8000, 0x8000)) {
    return FALSE;
  }

  Psd = (CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  if ((Psd->Signature != TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE) ||
      (Psd->RequiredStmSmmRevId != STM_SMM_REVISION_ID))
  {
    return FALSE;
  }

  switch (Event) {
    case StmEventSetup:
      Entry->Rip = Psd->SmmStmSetupRip;
      break;
    case StmEventTeardown:
      Entry->Rip = Psd->SmmStmTeardownRip;
      break;
    default:
      Entry->Rip = Psd->SmmSmiHandlerRip;
      break;
  }

  Entry->Rsp            = Psd->SmmSmiHandlerRsp;
  Entry->Cr3            = Psd->SmmCr3;
  Entry->Cs             = Psd->SmmCs;
  Entry->Ds             = Psd->SmmDs;
  Entry->Ss             = Psd->SmmSs;
  Entry->Other          = Psd->SmmOtherSegment;
  Entry->Tr             = Psd->SmmTr;
  Entry->GdtBase        = Psd->SmmGdtPtr;
  Entry->GdtSize        = Psd->SmmGdtSize;
  Entry->ExecuteDisable = Psd->SmmEntryState.ExecutionDisableOutsideSmrr;
  if ((Entry->GdtSize < sizeof (UINT64)) || (Entry->GdtSize > SIZE_64KB) ||
      ((UINT32)Entry->Tr + 2 * sizeof (UINT64) > Entry->GdtSize) ||
      !StmInHandlerSmram (Shared, Entry->GdtBase, Entry->GdtSize))
  {
    return FALSE;
  }

  //
  // Base of a 64-bit TSS descriptor: "TSS Descriptor in 64-bit mode", 7.2.3.
  //
  Tss           = (CONST volatile UINT32 *)(UINTN)(Entry->GdtBase + (Entry->Tr & 0xFFF8));
  Entry->TrBase = (Tss[0] >> 16) | ((Tss[1] & 0xFF) << 16) | (Tss[1] & 0xFF000000) | LShiftU64 (Tss[2], 32);
  return TRUE;
}

/**
  Write the guest state of the SMI handler to the current VMCS, the handler's.

  @param[in] Processor  This processor.
  @param[in] Entry      From StmReadDescriptor.
**/
VOID
StmWriteHandlerState (
  IN CONST STM_PROCESSOR      *Processor,
  IN CONST STM_HANDLER_ENTRY  *Entry
  )
{
  UINT64  Cr0;
  UINT64  Efer;

  Cr0  = HANDLER_CR0 | Processor->HandlerCr0Fixed0;
  Efer = EFER_LME | EFER_LMA | ((Entry->ExecuteDisable != 0) ? EFER_NXE : 0);

  STM_FIELD_VALUE  List[] = {
    { VMCS_GUEST_CR0,         Cr0                                        },
    { VMCS_CR0_READ_SHADOW,   Cr0                                        },
    { VMCS_GUEST_CR4,         HANDLER_CR4 | Processor->HandlerCr4Fixed0  },
    { VMCS_GUEST_CR3,         Entry->Cr3                                 },
    { VMCS_GUEST_IA32_EFER,   Efer                                       },
    { VMCS_GUEST_RIP,         Entry->Rip                                 },
    { VMCS_GUEST_RSP,         Entry->Rsp                                 },
    { VMCS_GUEST_CS_SELECTOR, Entry->Cs                                  },
    { VMCS_GUEST_SS_SELECTOR, Entry->Ss                                  },
    { VMCS_GUEST_DS_SELECTOR, Entry->Ds                                  },
    { VMCS_GUEST_ES_SELECTOR, Entry->Other                               },
    { VMCS_GUEST_FS_SELECTOR, Entry->Other                               },
    { VMCS_GUEST_GS_SELECTOR, Entry->Other                               },
    { VMCS_GUEST_TR_SELECTOR, Entry->Tr                                  },
    { VMCS_GUEST_TR_BASE,     Entry->TrBase                              },
    { VMCS_GUEST_GDTR_BASE,   Entry->GdtBase                             },
    { VMCS_GUEST_GDTR_LIMIT,  Entry->GdtSize - 1                         }
  };

  AsmVmWriteList (mHandlerConstants, ARRAY_SIZE (mHandlerConstants));
  AsmVmWriteList (List, ARRAY_SIZE (List));
}
