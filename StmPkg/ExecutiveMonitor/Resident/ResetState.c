/** @file
  The guest state that INIT leaves, and that a processor has at a wake
  ("IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", table
  9-1 [table 10-1]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define INIT_CR0       0x60000010
#define CR0_KEPT       0x60000000        ///< CD and NW
#define INIT_CS        0xF000
#define INIT_CS_BASE   0xFFFF0000ULL
#define INIT_RIP       0xFFF0
#define INIT_LIMIT     0xFFFF
#define INIT_RFLAGS    BIT1
#define INIT_DR6       0xFFFF0FF0
#define INIT_DR7       0x400
#define ACCESS_CODE16  0x009B            ///< execute/read, accessed, present
#define ACCESS_DATA16  0x0093            ///< read/write, accessed, present
#define ACCESS_LDT     0x0082
#define ACCESS_TSS     0x008B            ///< busy 32-bit TSS

/**
  Write the general-purpose and debug registers that INIT leaves.

  @param[out] Registers  The guest's.
**/
STATIC
VOID
ExecResetRegisters (
  OUT VMX_REGISTERS  *Registers
  )
{
  UINT32  Signature;

  AsmCpuid (CPUID_VERSION_INFO, &Signature, NULL, NULL, NULL);
  ZeroMem (Registers, sizeof (*Registers));
  Registers->Rdx = Signature;

  AsmWriteCr2 (0);
  AsmWriteDr0 (0);
  AsmWriteDr1 (0);
  AsmWriteDr2 (0);
  AsmWriteDr3 (0);
  AsmWriteDr6 (INIT_DR6);
}

/**
  Write the control registers that INIT leaves: no paging, real mode. CD and NW
  stay as they are, and the bits that VMX operation fixes stay ours.
**/
STATIC
VOID
ExecResetControlRegisters (
  VOID
  )
{
  UINT64  Cr0;

  Cr0 = (INIT_CR0 & ~(UINT64)CR0_KEPT) | (VmRead (VMCS_GUEST_CR0) & CR0_KEPT);
  VmWrite (VMCS_CR0_READ_SHADOW, Cr0);
  VmWrite (VMCS_GUEST_CR0, Cr0 | VmRead (VMCS_CR0_GUEST_HOST_MASK));
  VmWrite (VMCS_GUEST_CR3, 0);
  VmWrite (VMCS_CR4_READ_SHADOW, 0);
  VmWrite (VMCS_GUEST_CR4, VmRead (VMCS_CR4_GUEST_HOST_MASK));
  VmWrite (VMCS_GUEST_IA32_EFER, 0);
  VmWrite (VMCS_ENTRY_CONTROLS, VmRead (VMCS_ENTRY_CONTROLS) & ~(UINT64)VMX_ENTRY_IA32E_GUEST);
}

/**
  Write the state that INIT leaves to the current VMCS and to the registers that it
  does not hold.

  @param[out] Registers  The guest's.
**/
VOID
ExecWriteResetState (
  OUT VMX_REGISTERS  *Registers
  )
{
  STATIC CONST VMX_FIELD_VALUE  State[] = {
    { VMCS_GUEST_ES_SELECTOR,              0             },
    { VMCS_GUEST_ES_BASE,                  0             },
    { VMCS_GUEST_ES_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_ES_ACCESS_RIGHTS,         ACCESS_DATA16 },
    { VMCS_GUEST_CS_SELECTOR,              INIT_CS       },
    { VMCS_GUEST_CS_BASE,                  INIT_CS_BASE  },
    { VMCS_GUEST_CS_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_CS_ACCESS_RIGHTS,         ACCESS_CODE16 },
    { VMCS_GUEST_SS_SELECTOR,              0             },
    { VMCS_GUEST_SS_BASE,                  0             },
    { VMCS_GUEST_SS_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_SS_ACCESS_RIGHTS,         ACCESS_DATA16 },
    { VMCS_GUEST_DS_SELECTOR,              0             },
    { VMCS_GUEST_DS_BASE,                  0             },
    { VMCS_GUEST_DS_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_DS_ACCESS_RIGHTS,         ACCESS_DATA16 },
    { VMCS_GUEST_FS_SELECTOR,              0             },
    { VMCS_GUEST_FS_BASE,                  0             },
    { VMCS_GUEST_FS_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_FS_ACCESS_RIGHTS,         ACCESS_DATA16 },
    { VMCS_GUEST_GS_SELECTOR,              0             },
    { VMCS_GUEST_GS_BASE,                  0             },
    { VMCS_GUEST_GS_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_GS_ACCESS_RIGHTS,         ACCESS_DATA16 },
    { VMCS_GUEST_LDTR_SELECTOR,            0             },
    { VMCS_GUEST_LDTR_BASE,                0             },
    { VMCS_GUEST_LDTR_LIMIT,               INIT_LIMIT    },
    { VMCS_GUEST_LDTR_ACCESS_RIGHTS,       ACCESS_LDT    },
    { VMCS_GUEST_TR_SELECTOR,              0             },
    { VMCS_GUEST_TR_BASE,                  0             },
    { VMCS_GUEST_TR_LIMIT,                 INIT_LIMIT    },
    { VMCS_GUEST_TR_ACCESS_RIGHTS,         ACCESS_TSS    },
    { VMCS_GUEST_GDTR_BASE,                0             },
    { VMCS_GUEST_GDTR_LIMIT,               INIT_LIMIT    },
    { VMCS_GUEST_IDTR_BASE,                0             },
    { VMCS_GUEST_IDTR_LIMIT,               INIT_LIMIT    },
    { VMCS_GUEST_RIP,                      INIT_RIP      },
    { VMCS_GUEST_RSP,                      0             },
    { VMCS_GUEST_RFLAGS,                   INIT_RFLAGS   },
    { VMCS_GUEST_DR7,                      INIT_DR7      },
    { VMCS_GUEST_IA32_DEBUGCTL,            0             },
    { VMCS_GUEST_INTERRUPTIBILITY_STATE,   0             },
    { VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0             },
    { VMCS_ENTRY_INTERRUPTION_INFO,        0             }
  };

  AsmVmWriteList (State, ARRAY_SIZE (State));
  ExecResetControlRegisters ();
  ExecResetRegisters (Registers);
}
