/** @file
  What the processor answers, on the bare machine and as the executive monitor's
  guest: the same list of instructions in both, so that whoever reads the records
  can compare them. Nothing here knows what an answer should be.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "GuestTool.h"
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmHypercall.h>
#include <StmRecord.h>

#define CPUID_ECX_XSAVE    BIT26
#define CPUID_HYPERVISOR   0x40000000
#define CPUID_MORE_LEAVES  0x80000000
#define CR4_PCE            BIT8
#define CR4_OSXSAVE        BIT18

#define PORT_FAST_RESET     0x92
#define PORT_RESET_CONTROL  0xCF9
#define FAST_RESET          BIT0
#define FULL_RESET          0x06

///
/// Addresses that nobody maps: canonical and not.
///
#define ADDRESS_UNMAPPED       0x00007FFF00000000ULL
#define ADDRESS_NOT_CANONICAL  0x8000000000000000ULL

#define MAXIMUM_ANSWERS  128
#define MAXIMUM_LEAVES   32
#define STRING_LENGTH    8

#define TASK_OBSERVATIONS  8

///
/// An answer, logged when interrupts are on again.
///
typedef struct {
  CONST CHAR8    *Name;
  UINT64         Input;
  UINTN          Vector;
  UINT64         First;
  UINT64         Second;
} GUEST_ANSWER;

///
/// INS or OUTS.
///
typedef struct {
  CONST CHAR8        *Name;
  TRY_STRING_KIND    Kind;
  UINT16             Port;
  BOOLEAN            Backward;
  UINT64             Count;
  UINT64             Address;       ///< 0 for the buffer
  UINT8              Fill;          ///< contents of the buffer
} GUEST_STRING;

STATIC CONST UINT64  mXcr0Values[] = {
  0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x7, 0x8, 0x18, 0x1F, 0xE3, 0xE7, 0x103, 0x207, BIT17, BIT62, BIT63
};

STATIC CONST UINT32  mMsrs[] = {
  MSR_IA32_APIC_BASE,    MSR_IA32_MTRRCAP,     MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,
  MSR_IA32_SYSENTER_EIP, MSR_IA32_MISC_ENABLE, MSR_IA32_PAT,         MSR_IA32_EFER,
  MSR_IA32_STAR,         MSR_IA32_LSTAR,       MSR_IA32_FMASK,       MSR_IA32_FS_BASE,
  MSR_IA32_GS_BASE,      MSR_IA32_KERNEL_GS_BASE
};

STATIC CONST UINT32  mCounters[] = {
  0, 1, 0x100, 0x40000000, 0x40000001
};

STATIC CONST GUEST_STRING  mStrings[] = {
  { "insb",                TryInsb,        PORT_FAST_RESET,    FALSE, 7,           0,                     0x55       },
  { "rep-insb",            TryRepInsb,     PORT_FAST_RESET,    FALSE, 4,           0,                     0x55       },
  { "rep-insb-backward",   TryRepInsb,     PORT_FAST_RESET,    TRUE,  4,           0,                     0x55       },
  { "rep-insb-0",          TryRepInsb,     PORT_FAST_RESET,    FALSE, 0,           0,                     0x55       },
  { "insb-page-fault",     TryInsb,        PORT_FAST_RESET,    FALSE, 1,           ADDRESS_UNMAPPED,      0x55       },
  { "insb-not-canonical",  TryInsb,        PORT_RESET_CONTROL, FALSE, 1,           ADDRESS_NOT_CANONICAL, 0x55       },
  { "outsb",               TryOutsb,       PORT_RESET_CONTROL, FALSE, 7,           0,                     0          },
  { "rep-outsb",           TryRepOutsb,    PORT_RESET_CONTROL, FALSE, 4,           0,                     0          },
  { "rep-outsb-backward",  TryRepOutsb,    PORT_RESET_CONTROL, TRUE,  4,           0,                     0          },
  { "rep-outsb-0",         TryRepOutsb,    PORT_RESET_CONTROL, FALSE, 0,           0,                     FULL_RESET },
  { "rep-outsb-0-of-ecx",  TryRepOutsbA32, PORT_RESET_CONTROL, FALSE, 0x500000000, 0,                     FULL_RESET },
  { "outsb-page-fault",    TryOutsb,       PORT_RESET_CONTROL, FALSE, 1,           ADDRESS_UNMAPPED,      FULL_RESET },
  { "outsb-not-canonical", TryOutsb,       PORT_FAST_RESET,    FALSE, 1,           ADDRESS_NOT_CANONICAL, FAST_RESET }
};

///
/// In the order of X64/Task.nasm.
///
STATIC CONST CHAR8  *mTaskNames[TASK_OBSERVATIONS] = {
  "switches-to-b", "eax-of-b", "eflags-of-b", "ebx-of-a", "link-of-b", "task-register", "cr0", "descriptor-types"
};

extern UINT32  gTaskSeen[TASK_OBSERVATIONS];

/**
  Switch tasks: X64/Task.nasm.
**/
VOID
EFIAPI
AsmRunTasks (
  VOID
  );

STATIC GUEST_ANSWER  mAnswers[MAXIMUM_ANSWERS];
STATIC UINTN         mCount;

///
/// Below 4 GB or not: with 32-bit addresses nothing is read of it.
///
STATIC UINT8  mBuffer[STRING_LENGTH];

/**
  Note an answer.

  @param[in] Name    The instruction.
  @param[in] Input   What it was given.
  @param[in] Vector  Of its fault, or STM_TRY_DONE.
  @param[in] First   What it left.
  @param[in] Second  Likewise.
**/
STATIC
VOID
GuestAnswer (
  IN CONST CHAR8  *Name,
  IN UINT64       Input,
  IN UINTN        Vector,
  IN UINT64       First,
  IN UINT64       Second
  )
{
  if (mCount < MAXIMUM_ANSWERS) {
    mAnswers[mCount].Name   = Name;
    mAnswers[mCount].Input  = Input;
    mAnswers[mCount].Vector = Vector;
    mAnswers[mCount].First  = First;
    mAnswers[mCount].Second = Second;
  }

  mCount++;
}

/**
  CPUID of a range of leaves, sub-leaf 0.

  @param[in] First  The leaf that tells the last one of the range in EAX.
**/
STATIC
VOID
GuestAnswerCpuid (
  IN UINT32  First
  )
{
  UINT32  Last;
  UINT32  Leaf;
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Ecx;
  UINT32  Edx;

  AsmCpuidEx (First, 0, &Last, NULL, NULL, NULL);
  for (Leaf = First; (Leaf <= Last) && (Leaf - First < MAXIMUM_LEAVES); Leaf++) {
    AsmCpuidEx (Leaf, 0, &Eax, &Ebx, &Ecx, &Edx);
    GuestAnswer ("cpuid", Leaf, STM_TRY_DONE, LShiftU64 (Eax, 32) | Ebx, LShiftU64 (Ecx, 32) | Edx);
  }
}

/**
  RDMSR and RDPMC. Counters run, so that only the fault is the answer.
**/
STATIC
VOID
GuestAnswerReads (
  VOID
  )
{
  UINTN   Index;
  UINTN   Cr4;
  UINT64  Value;
  UINTN   Vector;

  for (Index = 0; Index < ARRAY_SIZE (mMsrs); Index++) {
    Vector = TryReadMsr (mMsrs[Index], &Value);
    GuestAnswer ("rdmsr", mMsrs[Index], Vector, Value, 0);
  }

  Cr4 = AsmReadCr4 ();
  for (Index = 0; Index < ARRAY_SIZE (mCounters); Index++) {
    AsmWriteCr4 (Cr4 & ~(UINTN)CR4_PCE);
    GuestAnswer ("rdpmc", mCounters[Index], TryReadPmc (mCounters[Index]), 0, 0);
    AsmWriteCr4 (Cr4 | CR4_PCE);
    GuestAnswer ("rdpmc-pce", mCounters[Index], TryReadPmc (mCounters[Index]), 0, 0);
  }

  AsmWriteCr4 (Cr4);
}

/**
  XSETBV: with values that the processor takes and values that it does not, of
  registers that exist and do not, and where CR4.OSXSAVE does not allow it.
**/
STATIC
VOID
GuestAnswerXsetbv (
  VOID
  )
{
  UINTN   Cr4;
  UINT64  Xcr0;
  UINTN   Index;
  UINTN   Vector;
  UINT32  Ecx;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  if ((Ecx & CPUID_ECX_XSAVE) == 0) {
    return;
  }

  Cr4 = AsmReadCr4 ();
  AsmWriteCr4 (Cr4 & ~(UINTN)CR4_OSXSAVE);
  GuestAnswer ("xsetbv-osxsave-0", 1, TryXsetbv (0, 1), 0, 0);
  AsmWriteCr4 (Cr4 | CR4_OSXSAVE);
  Xcr0 = AsmXGetBv (0);
  for (Index = 0; Index < ARRAY_SIZE (mXcr0Values); Index++) {
    Vector = TryXsetbv (0, mXcr0Values[Index]);
    GuestAnswer ("xsetbv", mXcr0Values[Index], Vector, AsmXGetBv (0), 0);
    AsmXSetBv (0, Xcr0);
  }

  GuestAnswer ("xsetbv-xcr1", 1, TryXsetbv (1, 1), 0, 0);
  GuestAnswer ("xsetbv-xcr-ffffffff", 1, TryXsetbv (MAX_UINT32, 1), 0, 0);
  AsmWriteCr4 (Cr4);
}

/**
  INS and OUTS at ports that reset the platform, with values that do not.
**/
STATIC
VOID
GuestAnswerStrings (
  VOID
  )
{
  CONST GUEST_STRING  *String;
  TRY_STRING          Operands;
  UINT64              Start;
  UINTN               Index;
  UINTN               Vector;

  for (Index = 0; Index < ARRAY_SIZE (mStrings); Index++) {
    String = &mStrings[Index];
    SetMem (mBuffer, sizeof (mBuffer), String->Fill);
    Start = (String->Address != 0) ? String->Address :
            (UINT64)(UINTN)mBuffer + (String->Backward ? STRING_LENGTH - 1 : 0);
    Operands.Kind     = String->Kind;
    Operands.Port     = String->Port;
    Operands.Backward = String->Backward ? 1 : 0;
    Operands.Count    = String->Count;
    Operands.Address  = Start;
    Vector            = TryString (&Operands);
    GuestAnswer (String->Name, String->Port, Vector, *(UINT64 *)mBuffer, Operands.Count);
    GuestAnswer (
      String->Name,
      String->Port,
      Vector,
      Operands.Address - Start,
      (Vector == EXCEPT_IA32_PAGE_FAULT) ? AsmReadCr2 () : 0
      );
  }
}

/**
  Ask the processor, and log what it answers.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS           Done.
  @retval EFI_OUT_OF_RESOURCES  There are more answers than room for them.
**/
EFI_STATUS
GuestAskProcessor (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  EFI_TPL       Tpl;
  BOOLEAN       Guest;
  UINT64        Rax;
  UINTN         Index;
  GUEST_ANSWER  *Answer;

  Rax = 0;
  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  Guest = (BOOLEAN)((TryVmcall (EXEC_HYPERCALL_PRESENT, 0, &Rax) == STM_TRY_DONE) &&
                    (Rax == EXEC_HYPERCALL_SIGNATURE));
  GuestAnswerCpuid (0);
  GuestAnswerCpuid (CPUID_HYPERVISOR);
  GuestAnswerCpuid (CPUID_MORE_LEAVES);
  GuestAnswerReads ();
  GuestAnswerXsetbv ();
  GuestAnswerStrings ();
  GuestAnswer ("invd", 0, TryInstruction (TryInvd), 0, 0);
  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
  for (Index = 0; Index < MIN (mCount, MAXIMUM_ANSWERS); Index++) {
    Answer = &mAnswers[Index];
    StmRecord (
      STM_RECORD_PORT_FIRMWARE,
      "APP",
      "guest-answer",
      "guest=%u name=%a input=0x%lx vector=%u first=0x%lx second=0x%lx",
      (UINT32)Guest,
      Answer->Name,
      Answer->Input,
      (UINT32)Answer->Vector,
      Answer->First,
      Answer->Second
      );
  }

  Print (L"GuestTool: %ld answers of %s\n", (UINT64)mCount, Guest ? L"the executive monitor" : L"the processor");
  return (mCount > MAXIMUM_ANSWERS) ? EFI_OUT_OF_RESOURCES : EFI_SUCCESS;
}

/**
  Switch tasks in 32-bit protected mode, and log what they have seen. TR is lost.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_SUCCESS      Done.
  @retval EFI_UNSUPPORTED  Not all of it lies below 4 GB.
**/
EFI_STATUS
GuestSwitchTasks (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  EFI_TPL  Tpl;
  UINTN    Index;

  if (((UINTN)&Tpl >= SIZE_4GB) || ((UINTN)gTaskSeen >= SIZE_4GB) || ((UINTN)AsmRunTasks >= SIZE_4GB)) {
    Print (L"GuestTool: 32-bit code cannot be run above 4 GB\n");
    return EFI_UNSUPPORTED;
  }

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  AsmRunTasks ();
  gBS->RestoreTPL (Tpl);
  for (Index = 0; Index < TASK_OBSERVATIONS; Index++) {
    StmRecord (
      STM_RECORD_PORT_FIRMWARE,
      "APP",
      "guest-task",
      "name=%a seen=0x%x",
      mTaskNames[Index],
      gTaskSeen[Index]
      );
  }

  Print (L"GuestTool: tasks switched %d times\n", gTaskSeen[0]);
  return EFI_SUCCESS;
}

/**
  Reset the platform with OUTS: port CF9H gets 2 and then 6.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval EFI_DEVICE_ERROR  It goes on.
**/
EFI_STATUS
GuestResetByString (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  TRY_STRING  Operands;
  EFI_TPL     Tpl;

  Tpl = gBS->RaiseTPL (TPL_HIGH_LEVEL);
  StmIdtLoad ();
  mBuffer[0]        = FULL_RESET & ~BIT2;
  mBuffer[1]        = FULL_RESET;
  Operands.Kind     = TryRepOutsb;
  Operands.Port     = PORT_RESET_CONTROL;
  Operands.Backward = 0;
  Operands.Count    = 2;
  Operands.Address  = (UINT64)(UINTN)mBuffer;
  TryString (&Operands);
  StmIdtRestore ();
  gBS->RestoreTPL (Tpl);
  Print (L"GuestTool: the platform was not reset\n");
  return EFI_DEVICE_ERROR;
}
