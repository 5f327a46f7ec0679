/** @file
  VM exits on INIT and on start-up IPIs: the guest becomes what the processor would
  have become ("IA-32 and Intel 64 Processor States Following Power-up, Reset, or
  INIT", table 9-1 [table 10-1]; "Typical BSP Initialization Sequence", 8.4.3
  [9.4.3]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"

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
#define SIPI_VECTOR    0xFF

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
  INIT.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitInit (
  IN OUT VMX_CONTEXT  *Context
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

  MSR_IA32_APIC_BASE_REGISTER  ApicBase;

  ExecLeaveIfAsked (Context->Processor);
  AsmVmWriteList (State, ARRAY_SIZE (State));
  ExecResetControlRegisters ();
  ExecResetRegisters (&Context->Registers);

  //
  // The bootstrap processor starts at once, at the firmware's reset vector.
  //
  ApicBase.Uint64 = AsmReadMsr64 (MSR_IA32_APIC_BASE);
  VmWrite (
    VMCS_GUEST_ACTIVITY_STATE,
    (ApicBase.Bits.BSP != 0) ? VMX_ACTIVITY_ACTIVE : VMX_ACTIVITY_WAIT_FOR_SIPI
    );
  return ExecResumeGuest;
}

/**
  Start-up IPI: real mode, at the page that its vector names.

  @param[in,out] Context  The guest's registers, since INIT.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitSipi (
  IN OUT VMX_CONTEXT  *Context
  )
{
  UINT64  Vector;

  ExecLeaveIfAsked (Context->Processor);
  Vector = VmRead (VMCS_EXIT_QUALIFICATION) & SIPI_VECTOR;
  VmWrite (VMCS_GUEST_CS_SELECTOR, LShiftU64 (Vector, 8));
  VmWrite (VMCS_GUEST_CS_BASE, LShiftU64 (Vector, 12));
  VmWrite (VMCS_GUEST_RIP, 0);
  VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
  return ExecResumeGuest;
}
