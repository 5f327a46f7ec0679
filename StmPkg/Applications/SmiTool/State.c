/** @file
  Fills the processor's registers with patterns, takes an SMI, and compares.

  What a program can see of an SMI must be nothing but time. Some registers hold
  patterns that do not occur by themselves; those that the firmware needs keep
  their values and are compared all the same.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Register/Intel/ArchitecturalMsr.h>

#define CR0_AM         BIT18
#define CR4_TSD        BIT2
#define EFER_SCE       BIT0
#define TASK_PRIORITY  9
#define KEEP           0                    ///< no pattern: leave the register as it is
#define CR2_PATTERN    0x5A5A12345678F001ULL
#define DR6_PATTERN    0xFFFF4FF9ULL        ///< B0, B3, BS
#define DR7_PATTERN    0x30D00455ULL        ///< L0 to L3: execute, write 4 bytes, execute, access 1 byte
#define DR_ADDRESS     0x00005A1100000000ULL
#define DR_STRIDE      0x0000000111111110ULL
#define GPR_PATTERN    0x1122334455667700ULL
#define GPR_STRIDE     0x0101010101010101ULL

//
// ID, AC, IOPL = 1, OF, DF, SF, AF, CF, and bit 1, which is always 1.
//
#define RFLAGS_PATTERN  (BIT21 | BIT18 | BIT12 | BIT11 | BIT10 | BIT7 | BIT4 | BIT1 | BIT0)

STATIC_ASSERT (OFFSET_OF (STATE_PROBE, Rflags) == 0x80, "X64/Probe.nasm");
STATIC_ASSERT (OFFSET_OF (STATE_PROBE, Original) == 0x98, "X64/Probe.nasm");
STATIC_ASSERT (OFFSET_OF (STATE_PROBE, AfterGpr) == 0xB8, "X64/Probe.nasm");
STATIC_ASSERT (sizeof (STATE_PROBE) == 0x140, "X64/Probe.nasm");

///
/// MSRs compared, and what they hold meanwhile.
///
typedef struct {
  CONST CHAR8    *Name;
  UINT32         Index;
  UINT64         Pattern;           ///< or KEEP
} STATE_MSR;

STATIC CONST STATE_MSR  mMsrs[] = {
  { "efer",           MSR_IA32_EFER,           KEEP                  },
  { "sysenter-cs",    MSR_IA32_SYSENTER_CS,    0x5A5B                },
  { "sysenter-esp",   MSR_IA32_SYSENTER_ESP,   0x00005A0102030405ULL },
  { "sysenter-eip",   MSR_IA32_SYSENTER_EIP,   0xFFFFA50102030405ULL },
  { "star",           MSR_IA32_STAR,           0x5A01020304050607ULL },
  { "lstar",          MSR_IA32_LSTAR,          0x00005A1112131415ULL },
  { "cstar",          MSR_IA32_CSTAR,          0xFFFFA51112131415ULL },
  { "fmask",          MSR_IA32_FMASK,          0x5A5B5C5D            },
  { "fs-base",        MSR_IA32_FS_BASE,        0x00005A2122232425ULL },
  { "gs-base",        MSR_IA32_GS_BASE,        0xFFFFA52122232425ULL },
  { "kernel-gs-base", MSR_IA32_KERNEL_GS_BASE, 0x00005A3132333435ULL },
  { "tsc-aux",        MSR_IA32_TSC_AUX,        0x5A5B5C5D            },
  //
  // Entries 0 to 3 as they are, since page tables refer to them.
  //
  { "pat",            MSR_IA32_PAT,            0x0104050600070406ULL },
  { "debugctl",       MSR_IA32_DEBUGCTL,       KEEP                  },
  { "misc-enable",    MSR_IA32_MISC_ENABLE,    KEEP                  },
  { "apic-base",      MSR_IA32_APIC_BASE,      KEEP                  },
  { "mtrr-def-type",  MSR_IA32_MTRR_DEF_TYPE,  KEEP                  },
  { "mtrr-base0",     MSR_IA32_MTRR_PHYSBASE0, KEEP                  },
  { "mtrr-mask0",     MSR_IA32_MTRR_PHYSMASK0, KEEP                  }
};

STATIC CONST CHAR8  *mGprs[STATE_GPRS] = {
  "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"
};

///
/// Names of what StateRead() reads, in its order.
///
STATIC CONST CHAR8  *mFields[] = {
  "cs",         "ss",        "ds",         "es",        "fs",  "gs",  "ldtr", "tr",
  "gdtr-limit", "gdtr-base", "idtr-limit", "idtr-base",
  "cr0",        "cr2",       "cr3",        "cr4",       "cr8",
  "dr0",        "dr1",       "dr2",        "dr3",       "dr6", "dr7", "xcr0"
};

typedef struct {
  UINT64    Field[ARRAY_SIZE (mFields)];
  UINT64    Msr[ARRAY_SIZE (mMsrs)];
} STATE;

/**
  Read everything but what AsmStateProbe() handles.

  @param[out] State  Contents.
**/
STATIC
VOID
StateRead (
  OUT STATE  *State
  )
{
  IA32_DESCRIPTOR  Gdtr;
  IA32_DESCRIPTOR  Idtr;
  UINT64           *Field;
  UINTN            Index;

  AsmReadGdtr (&Gdtr);
  AsmReadIdtr (&Idtr);

  Field    = State->Field;
  *Field++ = AsmReadCs ();
  *Field++ = AsmReadSs ();
  *Field++ = AsmReadDs ();
  *Field++ = AsmReadEs ();
  *Field++ = AsmReadFs ();
  *Field++ = AsmReadGs ();
  *Field++ = AsmReadLdtr ();
  *Field++ = AsmReadTr ();
  *Field++ = Gdtr.Limit;
  *Field++ = Gdtr.Base;
  *Field++ = Idtr.Limit;
  *Field++ = Idtr.Base;
  *Field++ = AsmReadCr0 ();
  *Field++ = AsmReadCr2 ();
  *Field++ = AsmReadCr3 ();
  *Field++ = AsmReadCr4 ();
  *Field++ = AsmReadCr8 ();
  *Field++ = AsmReadDr0 ();
  *Field++ = AsmReadDr1 ();
  *Field++ = AsmReadDr2 ();
  *Field++ = AsmReadDr3 ();
  *Field++ = AsmReadDr6 ();
  *Field++ = AsmReadDr7 ();
  *Field++ = (gStateProbe.Mask != 0) ? AsmXGetBv (0) : 0;
  ASSERT (Field == State->Field + ARRAY_SIZE (State->Field));

  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    State->Msr[Index] = AsmReadMsr64 (mMsrs[Index].Index);
  }
}

/**
  Write what StateRead() read, as far as patterns replaced it.

  @param[in] State  Contents.
**/
STATIC
VOID
StateRestore (
  IN CONST STATE  *State
  )
{
  UINTN  Index;

  AsmWriteDr7 (0x400);
  AsmWriteDataSelectors ((UINT16)State->Field[3], (UINT16)State->Field[4], (UINT16)State->Field[5]);
  AsmWriteCr0 ((UINTN)State->Field[12]);
  AsmWriteCr2 ((UINTN)State->Field[13]);
  AsmWriteCr4 ((UINTN)State->Field[15]);
  AsmWriteCr8 (State->Field[16]);
  AsmWriteDr0 ((UINTN)State->Field[17]);
  AsmWriteDr1 ((UINTN)State->Field[18]);
  AsmWriteDr2 ((UINTN)State->Field[19]);
  AsmWriteDr3 ((UINTN)State->Field[20]);
  AsmWriteDr6 ((UINTN)State->Field[21]);
  AsmWriteDr7 ((UINTN)State->Field[22]);
  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    if (mMsrs[Index].Pattern != KEEP) {
      AsmWriteMsr64 (mMsrs[Index].Index, State->Msr[Index]);
    }
  }

  AsmWriteMsr64 (MSR_IA32_EFER, State->Msr[0]);
}

/**
  Find data segments other than the current one and load them into ES, FS, GS.
**/
STATIC
VOID
StateLoadSelectors (
  VOID
  )
{
  IA32_DESCRIPTOR                Gdtr;
  CONST IA32_SEGMENT_DESCRIPTOR  *Entry;
  UINT16                         Selectors[3];
  UINTN                          Found;
  UINTN                          Index;

  AsmReadGdtr (&Gdtr);
  Entry = (CONST IA32_SEGMENT_DESCRIPTOR *)Gdtr.Base;
  for (Found = 0; Found < ARRAY_SIZE (Selectors); Found++) {
    Selectors[Found] = AsmReadDs ();
  }

  Found = 0;
  for (Index = 1; (Index < (Gdtr.Limit + 1U) / sizeof (*Entry)) && (Found < ARRAY_SIZE (Selectors)); Index++) {
    if ((Entry[Index].Bits.P != 0) && (Entry[Index].Bits.S != 0) &&
        ((Entry[Index].Bits.Type & (BIT3 | BIT1)) == BIT1) && (Entry[Index].Bits.DPL == 0) &&
        (Index * sizeof (*Entry) != AsmReadDs ()))
    {
      Selectors[Found++] = (UINT16)(Index * sizeof (*Entry));
    }
  }

  AsmWriteDataSelectors (Selectors[0], Selectors[1], Selectors[2]);
}

/**
  Load the patterns that need no assembly.
**/
STATIC
VOID
StateLoadPatterns (
  VOID
  )
{
  UINTN  Index;

  StateLoadSelectors ();
  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    if (mMsrs[Index].Pattern != KEEP) {
      AsmWriteMsr64 (mMsrs[Index].Index, mMsrs[Index].Pattern);
    }
  }

  AsmWriteMsr64 (MSR_IA32_EFER, AsmReadMsr64 (MSR_IA32_EFER) ^ EFER_SCE);
  AsmWriteCr0 (AsmReadCr0 () ^ CR0_AM);
  AsmWriteCr4 (AsmReadCr4 () ^ CR4_TSD);
  AsmWriteCr8 (TASK_PRIORITY);
  AsmWriteDr0 (DR_ADDRESS);
  AsmWriteDr1 (DR_ADDRESS + DR_STRIDE);
  AsmWriteDr2 (DR_ADDRESS + 2 * DR_STRIDE);
  AsmWriteDr3 (DR_ADDRESS + 3 * DR_STRIDE);
  AsmWriteDr6 (DR6_PATTERN);
  AsmWriteDr7 (DR7_PATTERN);
  AsmWriteCr2 (CR2_PATTERN);

  for (Index = 0; Index < STATE_GPRS; Index++) {
    gStateProbe.Gpr[Index] = GPR_PATTERN + Index * GPR_STRIDE;
  }

  gStateProbe.Gpr[GPR_RAX] = (GPR_PATTERN & ~(UINT64)MAX_UINT8) | SMI_UNCLAIMED_COMMAND;
  gStateProbe.Rflags       = RFLAGS_PATTERN;
}

/**
  Compare two states and what AsmStateProbe() has left.

  @param[in] Before  Before the SMI.
  @param[in] After   Behind it.

  @return Number of fields that differ.
**/
STATIC
UINTN
StateCompare (
  IN CONST STATE  *Before,
  IN CONST STATE  *After
  )
{
  UINTN  Index;
  UINTN  Failures;

  Failures = StateReport ("rflags", gStateProbe.Rflags, gStateProbe.AfterRflags);
  for (Index = 0; Index < STATE_GPRS; Index++) {
    Failures += StateReport (mGprs[Index], gStateProbe.Gpr[Index], gStateProbe.AfterGpr[Index]);
  }

  for (Index = 0; Index < ARRAY_SIZE (mFields); Index++) {
    Failures += StateReport (mFields[Index], Before->Field[Index], After->Field[Index]);
  }

  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    Failures += StateReport (mMsrs[Index].Name, Before->Msr[Index], After->Msr[Index]);
  }

  return Failures + StateVectorCompare ();
}

/**
  Check that an SMI changes no state of the program it interrupts.

  @param[in] Halted  TRUE: the SMI interrupts HLT; FALSE: port B2H raises it.

  @retval EFI_SUCCESS           Nothing has changed.
  @retval EFI_DEVICE_ERROR      Something has, or there was not exactly one SMI.
  @retval EFI_OUT_OF_RESOURCES  No memory.
**/
EFI_STATUS
SmiState (
  IN BOOLEAN  Halted
  )
{
  EFI_STATUS    Status;
  EFI_TPL       Tpl;
  STATE         Original;
  STATE         Before;
  STATE         After;
  HALT_CONTEXT  Halt;
  UINT64        Count;
  UINTN         Failures;

  Status = StateVectorPrepare ();
  if (EFI_ERROR (Status)) {
    return Status;
  }

  SMI_RECORD ("smi-begin", "cause=%a", Halted ? "hlt" : "port-b2");
  Tpl              = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  gStateProbe.Halt = Halted;
  gStateWakes      = 0;
  StateRead (&Original);
  StateLoadPatterns ();
  Count = AsmReadMsr64 (MSR_SMI_COUNT);
  if (Halted) {
    HaltArm (&Halt);
  }

  StateRead (&Before);
  AsmStateProbe ();
  StateRead (&After);
  if (Halted) {
    HaltDisarm (&Halt);
  }

  Count = AsmReadMsr64 (MSR_SMI_COUNT) - Count;
  StateRestore (&Original);
  gBS->RestoreTPL (Tpl);
  SMI_RECORD ("smi-end", "raised=1 counted=%lu wakes=%lu", Count, gStateWakes);
  Failures = StateReport ("smi-count", 1, Count);
  if (Failures == 0) {
    //
    // Without an SMI nothing could differ, and every comparison would pass.
    //
    Failures = StateCompare (&Before, &After);
  }

  StateVectorRelease ();
  SMI_RECORD ("state-end", "failures=%lu halted=%u", (UINT64)Failures, Halted ? 1 : 0);
  Print (L"SmiTool: state behind an SMI: %ld differences\n", (UINT64)Failures);
  return (Failures == 0) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}
