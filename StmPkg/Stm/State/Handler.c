/** @file
  Guest state with which the SMI handler starts: long mode, with what the PSD
  says.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Log/Log.h"

///
/// CR0: PG, WP, NE, ET, MP, PE. CR4: PAE, and PSE as the PSD's entry state has
/// it. The SMI entry code sets what else it wants.
///
#define HANDLER_CR0  0x80010033
#define HANDLER_CR4  0x00000030

#define EFER_LME  BIT8
#define EFER_LMA  BIT10
#define EFER_NXE  BIT11

#define TSS64_LIMIT  0x67

#define DATA_SEGMENT(Name)                                                     \
  { VMCS_GUEST_##Name##_BASE,          0 },                                    \
  { VMCS_GUEST_##Name##_LIMIT,         MAX_UINT32 },                           \
  { VMCS_GUEST_##Name##_ACCESS_RIGHTS, VMX_ACCESS_DATA }

///
/// Everything that is the same for each entry. The handler may have changed any
/// of it, so it is written each time.
///
STATIC CONST VMX_FIELD_VALUE  mHandlerConstants[] = {
  DATA_SEGMENT (ES),
  DATA_SEGMENT (SS),
  DATA_SEGMENT (DS),
  DATA_SEGMENT (FS),
  DATA_SEGMENT (GS),
  { VMCS_GUEST_CS_BASE,0                                          },
  { VMCS_GUEST_CS_LIMIT,MAX_UINT32                                 },
  { VMCS_GUEST_CS_ACCESS_RIGHTS,VMX_ACCESS_CODE64                          },
  { VMCS_GUEST_LDTR_SELECTOR,0                                          },
  { VMCS_GUEST_LDTR_BASE,0                                          },
  { VMCS_GUEST_LDTR_LIMIT,0                                          },
  { VMCS_GUEST_LDTR_ACCESS_RIGHTS,VMX_ACCESS_UNUSABLE                        },
  { VMCS_GUEST_TR_LIMIT,TSS64_LIMIT                                },
  { VMCS_GUEST_TR_ACCESS_RIGHTS,VMX_ACCESS_TSS64_BUSY                      },
  { VMCS_GUEST_IDTR_BASE,0                                          },
  { VMCS_GUEST_IDTR_LIMIT,0                                          },
  { VMCS_GUEST_DR7, 0x400                                      },
  { VMCS_GUEST_IA32_DEBUGCTL,0                                          },
  { VMCS_GUEST_RFLAGS,2                                          },
  { VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,0                                          },
  { VMCS_GUEST_IA32_SYSENTER_CS,0                                          },
  { VMCS_GUEST_IA32_SYSENTER_ESP,0                                          },
  { VMCS_GUEST_IA32_SYSENTER_EIP,0                                          },
  { VMCS_GUEST_ACTIVITY_STATE,VMX_ACTIVITY_ACTIVE                        },
  { VMCS_GUEST_IA32_PAT,VMX_HOST_PAT                               },
  { VMCS_CR4_READ_SHADOW,HANDLER_CR4                                },
  { VMCS_GUEST_INTERRUPTIBILITY_STATE,VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI  },
  { VMCS_ENTRY_INTERRUPTION_INFO,0                                          }
};

/**
  Write the guest state of the SMI handler to the SMM-guest VMCS, which is current.

  @param[in] Processor  This processor.
  @param[in] Entry      From StmReadPsd.
**/
STATIC
VOID
WriteHandlerState (
  IN CONST STM_PROCESSOR      *Processor,
  IN CONST STM_HANDLER_ENTRY  *Entry
  )
{
  UINT64  Cr0;
  UINT64  Efer;

  Cr0  = HANDLER_CR0 | Processor->HandlerCr0Fixed0;
  Efer = EFER_LME | EFER_LMA | ((Entry->ExecuteDisable != 0) ? EFER_NXE : 0);

  VMX_FIELD_VALUE  List[] = {
    { VMCS_GUEST_CR0,         Cr0                                       },
    { VMCS_CR0_READ_SHADOW,   Cr0                                       },
    { VMCS_GUEST_CR4,         HANDLER_CR4 | Processor->HandlerCr4Fixed0 },
    { VMCS_GUEST_CR3,         Entry->Cr3                                },
    { VMCS_GUEST_IA32_EFER,   Efer                                      },
    { VMCS_GUEST_RIP,         Entry->Rip                                },
    { VMCS_GUEST_RSP,         Entry->Rsp                                },
    { VMCS_GUEST_CS_SELECTOR, Entry->Cs                                 },
    { VMCS_GUEST_SS_SELECTOR, Entry->Ss                                 },
    { VMCS_GUEST_DS_SELECTOR, Entry->Ds                                 },
    { VMCS_GUEST_ES_SELECTOR, Entry->Other                              },
    { VMCS_GUEST_FS_SELECTOR, Entry->Other                              },
    { VMCS_GUEST_GS_SELECTOR, Entry->Other                              },
    { VMCS_GUEST_TR_SELECTOR, Entry->Tr                                 },
    { VMCS_GUEST_TR_BASE,     Entry->TrBase                             },
    { VMCS_GUEST_GDTR_BASE,   Entry->GdtBase                            },
    { VMCS_GUEST_GDTR_LIMIT,  Entry->GdtSize - 1                        }
  };

  AsmVmWriteList (mHandlerConstants, ARRAY_SIZE (mHandlerConstants));
  AsmVmWriteList (List, ARRAY_SIZE (List));
  VmWrite (VMCS_PREEMPTION_TIMER_VALUE, Processor->HandlerLimit);
}

/**
  Take new page tables of the PSD for an entry to the SMI handler.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Cr3        The PSD's.
**/
STATIC
VOID
TakeCr3 (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Cr3
  )
{
  if (!StmIsHandlerCr3 (Processor->Shared, Cr3)) {
    StmCrash (Processor, StmCrashBadState, 0, Processor->Saved.Smbase, Processor->Saved.Rip, StmBadPsd);
  }

  Processor->HandlerCr3 = Cr3;
  VmWrite (VMCS_CR3_TARGET0, Cr3);
}

/**
  Make everything ready for an entry to the SMI handler: its save state, the
  SMM-guest VMCS current, its guest state.

  @param[in,out] Processor  This processor, the interrupted state read.
  @param[in]     Event      What the handler runs for.

  @retval TRUE   Enter it.
  @retval FALSE  The firmware has no setup or teardown code: nothing has changed.
**/
BOOLEAN
StmPrepareHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  )
{
  STM_HANDLER_ENTRY  Entry;
  UINT64             Smbase;

  Smbase = Processor->Saved.Smbase;
  if (!StmReadPsd (Processor->Shared, Smbase, Event, &Entry) || ((Event == StmEventSmi) && (Entry.Rip == 0))) {
    StmCrash (Processor, StmCrashBadState, 0, Smbase, Processor->Saved.Rip, StmBadPsd);
  }

  if (Entry.Rip == 0) {
    return FALSE;
  }

  //
  // Under the default treatment the processor writes the save state; here nobody
  // does it but the STM, and firmware looks for the interrupted registers there.
  // Setup and teardown interrupt nobody.
  //
  if (Event == StmEventSmi) {
    StmSaveStateCompose (
      (STM_SAVE_STATE_MAP *)(UINTN)(Smbase + STM_SAVE_STATE_OFFSET),
      &Processor->Saved,
      &Processor->Interrupted
      );
  }

  //
  // Other processors have to see this before the processor reads the generation of what
  // is protected (Protect/ShootDown.c): a locked instruction keeps that order.
  //
  InterlockedCompareExchange32 ((UINT32 *)&Processor->Event, StmEventNone, Event);
  StmMakeCurrent (Processor, Processor->SmmGuestVmcs);
  if (Entry.Cr3 != Processor->HandlerCr3) {
    TakeCr3 (Processor, Entry.Cr3);
  }

  WriteHandlerState (Processor, &Entry);
  return TRUE;
}
