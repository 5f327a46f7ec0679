/** @file
  A monitor's own environment in VMX root operation: GDT, TSS, IDT, the
  host-state area of its VMCSs, and the end.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>

STATIC_ASSERT (OFFSET_OF (VMX_HOST_GDT, Code) == VMX_HOST_CS, "VMX_HOST_CS");
STATIC_ASSERT (OFFSET_OF (VMX_HOST_GDT, Data) == VMX_HOST_DS, "VMX_HOST_DS");
STATIC_ASSERT (OFFSET_OF (VMX_HOST_GDT, TssDescriptor) == VMX_HOST_TR, "VMX_HOST_TR");

#define GDT_CODE64  0x00AF9B000000FFFFULL
#define GDT_DATA    0x00CF93000000FFFFULL

#define IST_CRASH  1

//
// Reset Control Register of the chipset: system reset, then full reset.
//
#define PORT_RESET_CONTROL  0xCF9
#define RESET_SYSTEM        BIT1
#define RESET_CPU           BIT2
#define RESET_FULL          BIT3

/**
  Fill GDT and TSS. The TSS serves for one thing: exceptions get a stack of their
  own, IST 1.

  @param[out] Tables         GDT and TSS.
  @param[in]  CrashStackTop  End of the stack for exceptions.
**/
VOID
EFIAPI
VmxBuildHostTables (
  OUT VMX_HOST_TABLES  *Tables,
  IN  UINTN            CrashStackTop
  )
{
  IA32_TSS_DESCRIPTOR  *Descriptor;
  UINT64               Base;

  ZeroMem (Tables, sizeof (*Tables));
  Tables->Tss.IST[IST_CRASH - 1] = CrashStackTop;
  Tables->Tss.IOMapBaseAddress   = sizeof (Tables->Tss);

  Tables->Gdt.Code.Uint64 = GDT_CODE64;
  Tables->Gdt.Data.Uint64 = GDT_DATA;

  Base                      = (UINT64)(UINTN)&Tables->Tss;
  Descriptor                = &Tables->Gdt.TssDescriptor;
  Descriptor->Bits.LimitLow = sizeof (Tables->Tss) - 1;
  Descriptor->Bits.BaseLow  = (UINT16)Base;
  Descriptor->Bits.BaseMidl = (UINT8)RShiftU64 (Base, 16);
  Descriptor->Bits.BaseMidh = (UINT8)RShiftU64 (Base, 24);
  Descriptor->Bits.BaseHigh = (UINT32)RShiftU64 (Base, 32);
  Descriptor->Bits.Type     = IA32_GDT_TYPE_TSS;
  Descriptor->Bits.P        = 1;
}

/**
  Fill an IDT with gates to exception stubs.

  @param[out] Idt    VMX_EXCEPTION_VECTORS gates.
  @param[in]  Stubs  First stub (EXCEPTION_STUBS of VmxException.inc).
**/
VOID
EFIAPI
VmxBuildIdt (
  OUT IA32_IDT_GATE_DESCRIPTOR  *Idt,
  IN  UINTN                     Stubs
  )
{
  UINTN  Vector;
  UINTN  Stub;

  for (Vector = 0; Vector < VMX_EXCEPTION_VECTORS; Vector++) {
    Stub                         = Stubs + Vector * VMX_EXCEPTION_STUB_SIZE;
    Idt[Vector].Uint128.Uint64   = 0;
    Idt[Vector].Uint128.Uint64_1 = 0;
    Idt[Vector].Bits.OffsetLow   = (UINT16)Stub;
    Idt[Vector].Bits.OffsetHigh  = (UINT16)(Stub >> 16);
    Idt[Vector].Bits.OffsetUpper = (UINT32)RShiftU64 (Stub, 32);
    Idt[Vector].Bits.Selector    = VMX_HOST_CS;
    Idt[Vector].Bits.Reserved_0  = IST_CRASH;
    Idt[Vector].Bits.GateType    = IA32_IDT_GATE_TYPE_INTERRUPT_32;
  }
}

/**
  Write the host-state area of the current VMCS: CR0, CR4 and EFER as they are
  now, the tables given, SYSENTER unused.

  @param[in] Tables  GDT and TSS.
  @param[in] Idt     IDT.
  @param[in] Cr3     Page tables.
  @param[in] Rip     Where VM exits continue.
  @param[in] Rsp     With what stack pointer.
**/
VOID
EFIAPI
VmxWriteHostState (
  IN CONST VMX_HOST_TABLES           *Tables,
  IN CONST IA32_IDT_GATE_DESCRIPTOR  *Idt,
  IN UINT64                          Cr3,
  IN UINT64                          Rip,
  IN UINT64                          Rsp
  )
{
  VMX_FIELD_VALUE  List[] = {
    { VMCS_HOST_CR0,               AsmReadCr0 ()                },
    { VMCS_HOST_CR3,               Cr3                          },
    { VMCS_HOST_CR4,               AsmReadCr4 ()                },
    { VMCS_HOST_CS_SELECTOR,       VMX_HOST_CS                  },
    { VMCS_HOST_SS_SELECTOR,       VMX_HOST_DS                  },
    { VMCS_HOST_DS_SELECTOR,       VMX_HOST_DS                  },
    { VMCS_HOST_ES_SELECTOR,       VMX_HOST_DS                  },
    { VMCS_HOST_FS_SELECTOR,       VMX_HOST_DS                  },
    { VMCS_HOST_GS_SELECTOR,       VMX_HOST_DS                  },
    { VMCS_HOST_TR_SELECTOR,       VMX_HOST_TR                  },
    { VMCS_HOST_FS_BASE,           0                            },
    { VMCS_HOST_GS_BASE,           0                            },
    { VMCS_HOST_TR_BASE,           (UINT64)(UINTN)&Tables->Tss  },
    { VMCS_HOST_GDTR_BASE,         (UINT64)(UINTN)&Tables->Gdt  },
    { VMCS_HOST_IDTR_BASE,         (UINT64)(UINTN)Idt           },
    { VMCS_HOST_IA32_SYSENTER_CS,  0                            },
    { VMCS_HOST_IA32_SYSENTER_ESP, 0                            },
    { VMCS_HOST_IA32_SYSENTER_EIP, 0                            },
    { VMCS_HOST_IA32_PAT,          VMX_HOST_PAT                 },
    { VMCS_HOST_IA32_EFER,         AsmReadMsr64 (MSR_IA32_EFER) },
    { VMCS_HOST_RIP,               Rip                          },
    { VMCS_HOST_RSP,               Rsp                          }
  };

  AsmVmWriteList (List, ARRAY_SIZE (List));
}

/**
  Reset the platform: port CF9H, then a triple fault in case nothing listens
  there. Does not return.
**/
VOID
EFIAPI
VmxResetPlatform (
  VOID
  )
{
  IA32_DESCRIPTOR  Empty;

  IoWrite8 (PORT_RESET_CONTROL, RESET_SYSTEM);
  IoWrite8 (PORT_RESET_CONTROL, RESET_SYSTEM | RESET_CPU);
  IoWrite8 (PORT_RESET_CONTROL, RESET_SYSTEM | RESET_CPU | RESET_FULL);

  Empty.Base  = 0;
  Empty.Limit = 0;
  AsmWriteIdtr (&Empty);
  CpuBreakpoint ();
}
