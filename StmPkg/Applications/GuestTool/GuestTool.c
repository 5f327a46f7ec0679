/** @file
  Shell application: what the executive monitor lets its guest see and do.

  As its guest a program must find a processor without VMX: CPUID and CR4 do not
  show it, its instructions and MSRs fault, and everything else works as on the
  bare processor. Each row is one observation.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "GuestTool.h"
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Intel/StmApi.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmCommandLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#define CPUID_ECX_VMX      BIT5
#define CPUID_ECX_XSAVE    BIT26
#define CPUID_ECX_OSXSAVE  BIT27
#define CPUID_EDX_RDTSCP   BIT27
#define CR0_NE             BIT5
#define CR0_PG             BIT31
#define CR4_VMXE           BIT13
#define CR4_OSXSAVE        BIT18
#define XCR0_SSE           BIT1
#define XCR0_AVX           BIT2
#define MAXIMUM_CHECKS     64

///
/// An observation, logged when interrupts are on again.
///
typedef struct {
  CONST CHAR8    *Name;
  UINT64         Expected;
  UINT64         Got;
} GUEST_CHECK;

///
/// An MSR and how a read of it ends.
///
typedef struct {
  CONST CHAR8    *Name;
  UINT32         Index;
  UINTN          Vector;
} GUEST_MSR;

STATIC CONST CHAR8  *mInstructions[TryInstructionCount] = {
  "vmxon",    "vmxoff",   "vmclear", "vmptrld", "vmptrst", "vmread", "vmwrite",
  "vmlaunch", "vmresume", "invept",  "invvpid", "getsec",  "invd",   "rdtscp"
};

STATIC CONST GUEST_MSR  mMsrs[] = {
  { "rdmsr-feature-control",  MSR_IA32_FEATURE_CONTROL,    EXCEPT_IA32_GP_FAULT },
  { "rdmsr-smm-monitor-ctl",  MSR_IA32_SMM_MONITOR_CTL,    EXCEPT_IA32_GP_FAULT },
  { "rdmsr-vmx-basic",        MSR_IA32_VMX_BASIC,          EXCEPT_IA32_GP_FAULT },
  { "rdmsr-vmx-vmfunc",       MSR_IA32_VMX_VMFUNC,         EXCEPT_IA32_GP_FAULT },
  { "rdmsr-above-low-range",  0x2000,                      EXCEPT_IA32_GP_FAULT },
  { "rdmsr-between-ranges",   0x40000000,                  EXCEPT_IA32_GP_FAULT },
  { "rdmsr-above-high-range", 0xC0002000,                  EXCEPT_IA32_GP_FAULT },
  { "rdmsr-tsc",              MSR_IA32_TIME_STAMP_COUNTER, STM_TRY_DONE         },
  { "rdmsr-efer",             MSR_IA32_EFER,               STM_TRY_DONE         }
};

STATIC GUEST_CHECK  mChecks[MAXIMUM_CHECKS];
STATIC UINTN        mCount;

/**
  Note an observation.

  @param[in] Name      What was looked at.
  @param[in] Expected  What it must be.
  @param[in] Got       What it is.
**/
STATIC
VOID
GuestCheck (
  IN CONST CHAR8  *Name,
  IN UINT64       Expected,
  IN UINT64       Got
  )
{
  if (mCount < MAXIMUM_CHECKS) {
    mChecks[mCount].Name     = Name;
    mChecks[mCount].Expected = Expected;
    mChecks[mCount].Got      = Got;
  }

  mCount++;
}

/**
  VMX and SMX instructions do not exist; INVD and RDTSCP do.
**/
STATIC
VOID
GuestCheckInstructions (
  VOID
  )
{
  TRY_INSTRUCTION  Instruction;
  UINT32           Edx;

  AsmCpuid (CPUID_EXTENDED_CPU_SIG, NULL, NULL, NULL, &Edx);
  for (Instruction = TryVmxon; Instruction < TryInstructionCount; Instruction++) {
    if ((Instruction == TryRdtscp) && ((Edx & CPUID_EDX_RDTSCP) == 0)) {
      continue;
    }

    GuestCheck (
      mInstructions[Instruction],
      (Instruction < TryInvd) ? EXCEPT_IA32_INVALID_OPCODE : STM_TRY_DONE,
      TryInstruction (Instruction)
      );
  }

  GuestCheck ("step-over-cpuid", EXCEPT_IA32_DEBUG, TryStep ());
  GuestCheck ("step-over-cpuid-rip", gTryStepExpected, gTryStepRip);
}

/**
  MSRs of VMX, and numbers that no MSR has, fault.
**/
STATIC
VOID
GuestCheckMsrs (
  VOID
  )
{
  UINTN  Index;

  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    GuestCheck (mMsrs[Index].Name, mMsrs[Index].Vector, TryReadMsr (mMsrs[Index].Index, NULL));
  }

  GuestCheck ("wrmsr-feature-control", EXCEPT_IA32_GP_FAULT, TryWriteMsr (MSR_IA32_FEATURE_CONTROL, 0));
  GuestCheck ("wrmsr-smm-monitor-ctl", EXCEPT_IA32_GP_FAULT, TryWriteMsr (MSR_IA32_SMM_MONITOR_CTL, 0));
  GuestCheck ("wrmsr-between-ranges", EXCEPT_IA32_GP_FAULT, TryWriteMsr (0x40000000, 0));
}

/**
  CR0 and CR4 read as written; VMXE cannot be set, paging cannot be left.
**/
STATIC
VOID
GuestCheckControlRegisters (
  VOID
  )
{
  UINT64  Cr0;
  UINT64  Cr4;

  Cr0 = AsmReadCr0 ();
  Cr4 = AsmReadCr4 ();
  GuestCheck ("cr4-vmxe", 0, Cr4 & CR4_VMXE);
  GuestCheck ("set-cr4-vmxe", EXCEPT_IA32_GP_FAULT, TryWriteCr4 (Cr4 | CR4_VMXE));
  GuestCheck ("cr4-unchanged", Cr4, AsmReadCr4 ());
  GuestCheck ("clear-cr0-pg", EXCEPT_IA32_GP_FAULT, TryWriteCr0 (Cr0 & ~(UINT64)CR0_PG));
  GuestCheck ("cr0-unchanged", Cr0, AsmReadCr0 ());
  GuestCheck ("clear-cr0-ne", STM_TRY_DONE, TryWriteCr0 (Cr0 & ~(UINT64)CR0_NE));
  GuestCheck ("cr0-without-ne", Cr0 & ~(UINT64)CR0_NE, AsmReadCr0 ());
  GuestCheck ("restore-cr0", STM_TRY_DONE, TryWriteCr0 (Cr0));
  GuestCheck ("cr0-restored", Cr0, AsmReadCr0 ());
}

/**
  CPUID hides VMX and mirrors our CR4; XSETBV checks its operands.
**/
STATIC
VOID
GuestCheckFeatures (
  VOID
  )
{
  UINT64  Cr4;
  UINT64  Xcr0;
  UINT32  Ecx;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  GuestCheck ("cpuid-vmx", 0, Ecx & CPUID_ECX_VMX);
  if ((Ecx & CPUID_ECX_XSAVE) == 0) {
    return;
  }

  Cr4 = AsmReadCr4 ();
  AsmWriteCr4 (Cr4 & ~(UINTN)CR4_OSXSAVE);
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  GuestCheck ("cpuid-osxsave-off", 0, Ecx & CPUID_ECX_OSXSAVE);
  AsmWriteCr4 (Cr4 | CR4_OSXSAVE);
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  GuestCheck ("cpuid-osxsave-on", CPUID_ECX_OSXSAVE, Ecx & CPUID_ECX_OSXSAVE);

  Xcr0 = AsmXGetBv (0);
  GuestCheck ("xsetbv-same", STM_TRY_DONE, TryXsetbv (0, Xcr0));
  GuestCheck ("xsetbv-other-register", EXCEPT_IA32_GP_FAULT, TryXsetbv (1, Xcr0));
  GuestCheck ("xsetbv-without-x87", EXCEPT_IA32_GP_FAULT, TryXsetbv (0, XCR0_SSE));
  GuestCheck ("xsetbv-avx-alone", EXCEPT_IA32_GP_FAULT, TryXsetbv (0, BIT0 | XCR0_AVX));
  GuestCheck ("xsetbv-reserved", EXCEPT_IA32_GP_FAULT, TryXsetbv (0, BIT0 | BIT62));
  GuestCheck ("xcr0-unchanged", Xcr0, AsmXGetBv (0));
  AsmWriteCr4 ((UINTN)Cr4);
}

/**
  Hypercalls: the monitor answers its own and refuses others, among them the
  numbers of the STM's API.
**/
STATIC
VOID
GuestCheckHypercalls (
  VOID
  )
{
  UINT64  Rax;

  TryVmcall (EXEC_HYPERCALL_STATISTICS, MAX_UINT64, &Rax);
  GuestCheck ("hypercall-bad-input", EXEC_HYPERCALL_BAD_INPUT, Rax);
  TryVmcall (EXEC_HYPERCALL_PRESENT + 0x100, 0, &Rax);
  GuestCheck ("hypercall-unknown", EXEC_HYPERCALL_UNKNOWN, Rax);
  TryVmcall (STM_API_STOP, 0, &Rax);
  GuestCheck ("hypercall-stm-stop", EXEC_HYPERCALL_UNKNOWN, Rax);
  TryVmcall (STM_API_INITIALIZE_PROTECTION, 0, &Rax);
  GuestCheck ("hypercall-stm-initialize", EXEC_HYPERCALL_UNKNOWN, Rax);
}

/**
  End as a guest that has lost its interrupt table: a triple fault, which the
  executive monitor reports before it resets the platform. Without a monitor the
  processor resets it.
**/
STATIC
VOID
GuestTripleFault (
  VOID
  )
{
  IA32_DESCRIPTOR  Empty;

  Empty.Base  = 0;
  Empty.Limit = 0;
  AsmWriteIdtr (&Empty);
  CpuBreakpoint ();
}

/**
  Make all observations and log them.

  @retval EFI_SUCCESS       All as it must be.
  @retval EFI_NOT_STARTED   We are not the executive monitor's guest.
  @retval EFI_DEVICE_ERROR  Something is not; the records say what.
**/
STATIC
EFI_STATUS
GuestObserve (
  VOID
  )
{
  EFI_TPL  Tpl;
  UINT64   Rax;
  BOOLEAN  Guest;
  UINTN    Index;
  UINTN    Failures;

  Rax = 0;
  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  Guest = (BOOLEAN)((TryVmcall (EXEC_HYPERCALL_PRESENT, 0, &Rax) == STM_TRY_DONE) &&
                    (Rax == EXEC_HYPERCALL_SIGNATURE));
  if (Guest) {
    GuestCheckInstructions ();
    GuestCheckMsrs ();
    GuestCheckControlRegisters ();
    GuestCheckFeatures ();
    GuestCheckHypercalls ();
  }

  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
  if (!Guest) {
    Print (L"GuestTool: not the guest of the executive monitor\n");
    return EFI_NOT_STARTED;
  }

  Failures = (mCount > MAXIMUM_CHECKS) ? 1 : 0;
  for (Index = 0; Index < MIN (mCount, MAXIMUM_CHECKS); Index++) {
    StmRecord (
      STM_RECORD_PORT_FIRMWARE,
      "APP",
      "guest-check",
      "result=%a name=%a expected=0x%lx got=0x%lx",
      (mChecks[Index].Expected == mChecks[Index].Got) ? "pass" : "fail",
      mChecks[Index].Name,
      mChecks[Index].Expected,
      mChecks[Index].Got
      );
    if (mChecks[Index].Expected != mChecks[Index].Got) {
      Print (L"GuestTool: %a is 0x%lx\n", mChecks[Index].Name, mChecks[Index].Got);
      Failures++;
    }
  }

  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "guest-end",
    "checks=%lu failures=%lu",
    (UINT64)mCount,
    (UINT64)Failures
    );
  Print (L"GuestTool: %ld observations, %ld not as they must be\n", (UINT64)mCount, (UINT64)Failures);
  return (Failures == 0) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}

/**
  Without a word: what a guest sees.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See GuestObserve.
**/
STATIC
EFI_STATUS
GuestObserveCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return GuestObserve ();
}

/**
  Command "hidden".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See GuestCheckHidden.
**/
STATIC
EFI_STATUS
GuestHiddenCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return GuestCheckHidden ();
}

/**
  Command "nmi".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS  Done.
  @retval others       See GuestTakeNmis.
**/
STATIC
EFI_STATUS
GuestNmiCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return GuestTakeNmis ();
}

/**
  Command "triple-fault".

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_ABORTED  It did not come.
**/
STATIC
EFI_STATUS
GuestTripleFaultCommand (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  GuestTripleFault ();
  return EFI_ABORTED;
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"",             L"", 0, 0, GuestObserveCommand     },
  { L"answers",      L"", 0, 0, GuestAskProcessor       },
  { L"forge",        L"", 0, 0, GuestForgeRecords       },
  { L"forge-status", L"", 0, 0, GuestForgeStatus        },
  { L"hidden",       L"", 0, 0, GuestHiddenCommand      },
  { L"nmi",          L"", 0, 0, GuestNmiCommand         },
  { L"reset-string", L"", 0, 0, GuestResetByString      },
  { L"tasks",        L"", 0, 0, GuestSwitchTasks        },
  { L"triple-fault", L"", 0, 0, GuestTripleFaultCommand }
};

/**
  Entry point.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval 0      Done.
  @return An EFI_STATUS without its high bit otherwise.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  return StmRunCommand (L"GuestTool", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
