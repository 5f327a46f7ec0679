/** @file
  Shell application: a VMM of one's own, the smallest that launches the STM. It
  activates the STM, protects a page of its own, takes SMIs and stops.

  It is for one processor: with several each of them does the same, but that the others
  begin with START (docs/guide/launching.rst).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/UefiApplicationEntryPoint.h>
#include <Library/UefiLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Intel/StmApi.h>

#define PORT_APM_COMMAND   0xB2
#define COMMAND_OF_NOBODY  0x55           ///< no SMI handler claims it
#define MSR_SMI_COUNT      0x34
#define CPUID_ECX_VMX      BIT5

/**
  Call the STM.

  @param[in] Api   STM_API_*.
  @param[in] Page  The list of resources, or NULL.

  @retval TRUE   The STM did it.
  @retval FALSE  It refused, or none answered: the page on launching has the table.
**/
STATIC
BOOLEAN
CallStm (
  IN UINT32  Api,
  IN VOID    *Page
  )
{
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Edx;
  UINT64  Flags;

  Eax = Api;
  Ebx = (UINT32)(UINTN)Page;
  Edx = 0;
  AsmStmVmCall (&Eax, &Ebx, (UINT32)RShiftU64 ((UINTN)Page, 32), &Edx, &Flags);
  Print (L"OwnVmm: call 0x%05x: EAX 0x%08x, RFLAGS 0x%lx\n", Api, Eax, Flags);
  return (BOOLEAN)((Flags & (BIT0 | BIT6)) == 0);
}

/**
  In VMX root operation: launch the STM, take SMIs, stop it.

  @param[in] Vmcs  The activating VMCS: a zeroed page with the revision.
  @param[in] List  A zeroed page for the list of resources.

  @return How many SMIs the processor has taken in between; 0 if the STM was not started.
**/
STATIC
UINT64
LaunchStm (
  IN VOID  *Vmcs,
  IN VOID  *List
  )
{
  STM_RSC_MEM_DESC  *Memory;
  STM_RSC_END       *End;
  UINT64            Before;
  UINT64            Smis;

  AsmVmClear ((UINTN)Vmcs);
  AsmVmPtrLoad ((UINTN)Vmcs);
  VmWrite (VMCS_EXIT_CONTROLS, VmxLegalControls (VMX_EXIT_HOST_ADDRESS_SPACE_SIZE, MSR_IA32_VMX_EXIT_CTLS));
  if (!CallStm (STM_API_INITIALIZE_PROTECTION, NULL)) {
    return 0;
  }

  //
  // From here to START SMIs are blocked: who gives up calls STOP. What is protected is
  // the page of the list itself, for want of anything better.
  //
  Memory                = List;
  Memory->Hdr.RscType   = MEM_RANGE;
  Memory->Hdr.Length    = sizeof (*Memory);
  Memory->Base          = (UINTN)List;
  Memory->Length        = SIZE_4KB;
  Memory->RWXAttributes = STM_RSC_MEM_R | STM_RSC_MEM_W | STM_RSC_MEM_X;
  End                   = (STM_RSC_END *)(Memory + 1);
  End->Hdr.RscType      = END_OF_RESOURCES;
  End->Hdr.Length       = sizeof (*End);
  Smis                  = 0;
  if (CallStm (STM_API_PROTECT_RESOURCE, List) && CallStm (STM_API_START, NULL)) {
    Before = AsmReadMsr64 (MSR_SMI_COUNT);
    IoWrite8 (PORT_APM_COMMAND, COMMAND_OF_NOBODY);
    IoWrite8 (PORT_APM_COMMAND, COMMAND_OF_NOBODY);
    Smis = AsmReadMsr64 (MSR_SMI_COUNT) - Before;
  }

  CallStm (STM_API_STOP, NULL);
  AsmVmClear ((UINTN)Vmcs);
  return Smis;
}

/**
  Entry point.

  @param[in] ImageHandle  Not used.
  @param[in] SystemTable  Not used.

  @retval EFI_SUCCESS           The STM was started, took both SMIs, and was stopped.
  @retval EFI_UNSUPPORTED       The processor has no STM to launch.
  @retval EFI_OUT_OF_RESOURCES  No memory.
  @retval EFI_ABORTED           What was printed failed.
**/
EFI_STATUS
EFIAPI
UefiMain (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  UINT8   *Pages;
  UINT32  Ecx;
  UINT32  Revision;
  UINTN   Cr0;
  UINTN   Cr4;
  UINT64  Smis;

  //
  // The processor is asked, and not a table that anybody can write.
  //
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  if (((Ecx & CPUID_ECX_VMX) == 0) ||
      ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_DUAL_MONITOR) == 0) ||
      ((AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) & BIT0) == 0))
  {
    Print (L"OwnVmm: this processor has no STM to launch\n");
    return EFI_UNSUPPORTED;
  }

  //
  // VMXON region, activating VMCS, list. What the STM is to protect must not be memory that
  // the firmware claims for its SMI handlers, as runtime-services data is.
  //
  Pages = AllocateReservedPages (3);
  if (Pages == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  ZeroMem (Pages, 3 * SIZE_4KB);
  Revision                      = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  *(UINT32 *)Pages              = Revision;
  *(UINT32 *)(Pages + SIZE_4KB) = Revision;
  Cr0                           = AsmReadCr0 ();
  Cr4                           = AsmReadCr4 ();
  Smis                          = 0;
  AsmWriteCr0 (Cr0 | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0));
  AsmWriteCr4 (Cr4 | (UINTN)AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
  if (AsmVmxOn ((UINTN)Pages) == VmxSucceed) {
    Smis = LaunchStm (Pages + SIZE_4KB, Pages + 2 * SIZE_4KB);
    if (AsmVmxOff () != VmxSucceed) {
      Print (L"OwnVmm: VMXOFF failed: the STM is still active\n");
      return EFI_ABORTED;
    }
  }

  AsmWriteCr4 (Cr4);
  AsmWriteCr0 (Cr0);
  Print (L"OwnVmm: %ld SMIs under the STM\n", Smis);
  return (Smis == 2) ? EFI_SUCCESS : EFI_ABORTED;
}
