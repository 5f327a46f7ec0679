/** @file
  Shell application: a VMM of one's own, the smallest that launches the STM. It
  activates the STM on every processor, protects a page of its own, takes SMIs and stops
  (docs/guide/launching.rst).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiDxe.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/SynchronizationLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiApplicationEntryPoint.h>
#include <Library/UefiLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include <Protocol/MpService.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Register/Intel/StmApi.h>

#define PORT_APM_COMMAND   0xB2
#define COMMAND_OF_NOBODY  0x55           ///< no SMI handler claims it
#define MSR_SMI_COUNT      0x34
#define CPUID_ECX_VMX      BIT5

///
/// What all processors share.
///
typedef struct {
  EFI_MP_SERVICES_PROTOCOL    *Mp;
  EFI_EVENT                   Finished;   ///< the others have come back
  UINTN                       Processors;
  UINTN                       Others;     ///< enabled processors but the one that runs the Shell
  UINT8                       *Pages;     ///< two for each: VMXON region, activating VMCS
  VOID                        *List;      ///< a page for the list of resources
  UINT64                      Smis;       ///< taken under the STM on the one that runs the Shell
  BOOLEAN                     Called;     ///< the others run
  volatile BOOLEAN            Stop;       ///< they shall call STOP
  volatile UINT32             Started;    ///< how many of them are under the STM
  volatile UINT32             Stopped;    ///< how many were, and have left VMX operation
  volatile UINT32             Failed;     ///< how many could not do one or the other
} OWN_VMM;

/**
  What a processor does in VMX root operation.

  @param[in,out] Vmm   What all processors share.
  @param[in]     Vmcs  The processor's activating VMCS.

  @retval TRUE   The STM was active on it, and is so no longer.
  @retval FALSE  It was not, or still is.
**/
typedef
BOOLEAN
(*OWN_VMM_ROOT)(
  IN OUT OWN_VMM  *Vmm,
  IN     VOID     *Vmcs
  );

/**
  Call the STM.

  @param[in,out] Eax   In: STM_API_*. Out: the status.
  @param[in]     Page  The list of resources, or NULL.

  @retval TRUE   The STM did it.
  @retval FALSE  It refused, or none answered: the page on launching has the table.
**/
STATIC
BOOLEAN
CallStm (
  IN OUT UINT32  *Eax,
  IN     VOID    *Page
  )
{
  UINT32  Ebx;
  UINT32  Edx;
  UINT64  Flags;

  Ebx = (UINT32)(UINTN)Page;
  Edx = 0;
  AsmStmVmCall (Eax, &Ebx, (UINT32)RShiftU64 ((UINTN)Page, 32), &Edx, &Flags);
  return (BOOLEAN)((Flags & (BIT0 | BIT6)) == 0);
}

/**
  Call the STM on the processor that runs the Shell, and print what it answers.

  @param[in] Api   STM_API_*.
  @param[in] Page  The list of resources, or NULL.

  @retval TRUE   The STM did it.
  @retval FALSE  It refused, or none answered.
**/
STATIC
BOOLEAN
CallAndTell (
  IN UINT32  Api,
  IN VOID    *Page
  )
{
  UINT32   Eax;
  BOOLEAN  Done;

  Eax  = Api;
  Done = CallStm (&Eax, Page);
  Print (L"OwnVmm: call 0x%05x: EAX 0x%08x\n", Api, Eax);
  return Done;
}

/**
  Write a list of one page of memory, without access for SMI handlers.

  @param[out] List  A zeroed page. It is what is protected, for want of anything better.
**/
STATIC
VOID
ListItself (
  OUT VOID  *List
  )
{
  STM_RSC_MEM_DESC  *Memory;
  STM_RSC_END       *End;

  Memory                = List;
  Memory->Hdr.RscType   = MEM_RANGE;
  Memory->Hdr.Length    = sizeof (*Memory);
  Memory->Base          = (UINTN)List;
  Memory->Length        = SIZE_4KB;
  Memory->RWXAttributes = STM_RSC_MEM_R | STM_RSC_MEM_W | STM_RSC_MEM_X;
  End                   = (STM_RSC_END *)(Memory + 1);
  End->Hdr.RscType      = END_OF_RESOURCES;
  End->Hdr.Length       = sizeof (*End);
}

/**
  VMX operation, and what is done in it.

  @param[in,out] Vmm     What all processors share.
  @param[in]     Number  Of this processor.
  @param[in]     Root    What it does in VMX root operation.

  @retval TRUE   It was done, and VMX operation is over.
  @retval FALSE  Something failed.
**/
STATIC
BOOLEAN
InVmxOperation (
  IN OUT OWN_VMM       *Vmm,
  IN     UINTN         Number,
  IN     OWN_VMM_ROOT  Root
  )
{
  UINT8    *Pages;
  UINT64   Cr0;
  UINT64   Cr4;
  BOOLEAN  Done;

  Pages                         = Vmm->Pages + Number * 2 * SIZE_4KB;
  *(UINT32 *)Pages              = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  *(UINT32 *)(Pages + SIZE_4KB) = *(UINT32 *)Pages;
  Cr0                           = AsmReadCr0 ();
  Cr4                           = AsmReadCr4 ();
  AsmWriteCr0 ((UINTN)(Cr0 | AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0)));
  AsmWriteCr4 ((UINTN)(Cr4 | AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0)));
  Done = FALSE;
  if (AsmVmxOn ((UINTN)Pages) == VmxSucceed) {
    Done = Root (Vmm, Pages + SIZE_4KB);
    //
    // Behind VMXOFF the processor must have nothing left to write to this page.
    //
    AsmVmClear ((UINTN)(Pages + SIZE_4KB));
    if (AsmVmxOff () != VmxSucceed) {
      return FALSE;
    }
  }

  AsmWriteCr4 ((UINTN)Cr4);
  AsmWriteCr0 ((UINTN)Cr0);
  return Done;
}

/**
  An activating VMCS: only the VM-exit controls count.

  @param[in] Vmcs  A zeroed page with the revision. It is current afterwards.
**/
STATIC
VOID
LoadActivatingVmcs (
  IN VOID  *Vmcs
  )
{
  AsmVmClear ((UINTN)Vmcs);
  AsmVmPtrLoad ((UINTN)Vmcs);
  VmWrite (VMCS_EXIT_CONTROLS, VmxLegalControls (VMX_EXIT_HOST_ADDRESS_SPACE_SIZE, MSR_IA32_VMX_EXIT_CTLS));
}

/**
  On every other processor: START, which activates the STM there, and STOP when it is time.
  It prints nothing, since boot services are not for these processors. OWN_VMM_ROOT.

  @param[in,out] Vmm   What all processors share.
  @param[in]     Vmcs  This processor's activating VMCS.

  @retval TRUE   The STM was active on it, and is so no longer.
  @retval FALSE  It was not, or still is.
**/
STATIC
BOOLEAN
JoinStm (
  IN OUT OWN_VMM  *Vmm,
  IN     VOID     *Vmcs
  )
{
  UINT32  Eax;

  LoadActivatingVmcs (Vmcs);
  Eax = STM_API_START;
  if (!CallStm (&Eax, NULL)) {
    return FALSE;
  }

  InterlockedIncrement (&Vmm->Started);
  while (!Vmm->Stop) {
    CpuPause ();
  }

  Eax = STM_API_STOP;
  return CallStm (&Eax, NULL);
}

/**
  What MP Services run on every other processor. It does not come back while the STM is
  active: MP Services call a processor by INIT, which is blocked in VMX root operation.

  @param[in,out] Buffer  OWN_VMM.
**/
STATIC
VOID
EFIAPI
RunOther (
  IN OUT VOID  *Buffer
  )
{
  OWN_VMM  *Vmm;
  UINTN    Number;

  Vmm = Buffer;
  Vmm->Mp->WhoAmI (Vmm->Mp, &Number);
  InterlockedIncrement (InVmxOperation (Vmm, Number, JoinStm) ? &Vmm->Stopped : &Vmm->Failed);
}

/**
  Bring the other processors in.

  @param[in,out] Vmm  What all processors share.

  @retval TRUE   The STM is active on all of them.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
BringOthers (
  IN OUT OWN_VMM  *Vmm
  )
{
  if (Vmm->Others == 0) {
    return TRUE;
  }

  if (EFI_ERROR (Vmm->Mp->StartupAllAPs (Vmm->Mp, RunOther, FALSE, Vmm->Finished, 0, Vmm, NULL))) {
    return FALSE;
  }

  Vmm->Called = TRUE;
  while (Vmm->Started + Vmm->Failed < Vmm->Others) {
    CpuPause ();
  }

  return (BOOLEAN)(Vmm->Failed == 0);
}

/**
  On the processor that runs the Shell: launch the STM, bring the others in, take SMIs, stop
  it. OWN_VMM_ROOT.

  @param[in,out] Vmm   What all processors share.
  @param[in]     Vmcs  This processor's activating VMCS.

  @retval TRUE   The STM was active, and is so no longer.
  @retval FALSE  It was not, or still is.
**/
STATIC
BOOLEAN
LaunchStm (
  IN OUT OWN_VMM  *Vmm,
  IN     VOID     *Vmcs
  )
{
  UINT64  Before;

  LoadActivatingVmcs (Vmcs);
  if (!CallAndTell (STM_API_INITIALIZE_PROTECTION, NULL)) {
    return FALSE;
  }

  //
  // From here to START SMIs are blocked: who gives up calls STOP.
  //
  ListItself (Vmm->List);
  if (CallAndTell (STM_API_PROTECT_RESOURCE, Vmm->List) && CallAndTell (STM_API_START, NULL) && BringOthers (Vmm)) {
    Before = AsmReadMsr64 (MSR_SMI_COUNT);
    IoWrite8 (PORT_APM_COMMAND, COMMAND_OF_NOBODY);
    IoWrite8 (PORT_APM_COMMAND, COMMAND_OF_NOBODY);
    Vmm->Smis = AsmReadMsr64 (MSR_SMI_COUNT) - Before;
  }

  Vmm->Stop = TRUE;
  return CallAndTell (STM_API_STOP, NULL);
}

/**
  Can the STM be launched? The processor is asked, and not a table that anybody can write.

  @retval TRUE   It has the treatment, and the firmware has put an STM into MSEG.
  @retval FALSE  It has not.
**/
STATIC
BOOLEAN
IsStmThere (
  VOID
  )
{
  UINT32  Ecx;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  return (BOOLEAN)(((Ecx & CPUID_ECX_VMX) != 0) &&
                   ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_DUAL_MONITOR) != 0) &&
                   ((AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) & BIT0) != 0));
}

/**
  Find out what processors there are, and get memory for them.

  @param[out] Vmm  What all processors share.

  @return EFI_SUCCESS or the reason.
**/
STATIC
EFI_STATUS
Prepare (
  OUT OWN_VMM  *Vmm
  )
{
  EFI_STATUS  Status;
  UINTN       Enabled;

  ZeroMem (Vmm, sizeof (*Vmm));
  Status = gBS->LocateProtocol (&gEfiMpServiceProtocolGuid, NULL, (VOID **)&Vmm->Mp);
  if (!EFI_ERROR (Status)) {
    Status = Vmm->Mp->GetNumberOfProcessors (Vmm->Mp, &Vmm->Processors, &Enabled);
  }

  if (!EFI_ERROR (Status)) {
    Vmm->Others = Enabled - 1;
    Status      = gBS->CreateEvent (0, TPL_APPLICATION, NULL, NULL, &Vmm->Finished);
  }

  if (EFI_ERROR (Status)) {
    return Status;
  }

  //
  // What the STM is to protect must not be memory that the firmware claims for its SMI
  // handlers, as runtime-services data is.
  //
  Vmm->Pages = AllocateReservedPages (2 * Vmm->Processors + 1);
  if (Vmm->Pages == NULL) {
    gBS->CloseEvent (Vmm->Finished);
    return EFI_OUT_OF_RESOURCES;
  }

  ZeroMem (Vmm->Pages, (2 * Vmm->Processors + 1) * SIZE_4KB);
  Vmm->List = Vmm->Pages + 2 * Vmm->Processors * SIZE_4KB;
  return EFI_SUCCESS;
}

/**
  Entry point.

  @param[in] ImageHandle  Not used.
  @param[in] SystemTable  Not used.

  @retval EFI_SUCCESS      The STM was started on every processor, took both SMIs, and was
                           stopped.
  @retval EFI_UNSUPPORTED  The processor has no STM to launch.
  @retval EFI_ABORTED      What was printed failed.
  @return Why there are no MP Services or no memory.
**/
EFI_STATUS
EFIAPI
UefiMain (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  OWN_VMM     Vmm;
  EFI_STATUS  Status;
  UINTN       Number;
  BOOLEAN     Done;

  if (!IsStmThere ()) {
    Print (L"OwnVmm: this processor has no STM to launch\n");
    return EFI_UNSUPPORTED;
  }

  Status = Prepare (&Vmm);
  if (EFI_ERROR (Status)) {
    Print (L"OwnVmm: no MP Services or no memory: %r\n", Status);
    return Status;
  }

  Vmm.Mp->WhoAmI (Vmm.Mp, &Number);
  Done = InVmxOperation (&Vmm, Number, LaunchStm);
  if (Vmm.Called) {
    gBS->WaitForEvent (1, &Vmm.Finished, &Number);
  }

  gBS->CloseEvent (Vmm.Finished);
  if (Done && (Vmm.Stopped == Vmm.Others)) {
    FreePages (Vmm.Pages, 2 * Vmm.Processors + 1);
  } else {
    //
    // The pages are not given back: a processor may be in VMX operation still, with its VMXON
    // region and its VMCS, and the STM may still protect the list.
    //
    Print (L"OwnVmm: the STM was not started and stopped on every processor\n");
  }

  Print (L"OwnVmm: %ld SMIs under the STM, on %d other processors\n", Vmm.Smis, Vmm.Stopped);
  return (Done && (Vmm.Smis == 2) && (Vmm.Stopped == Vmm.Others)) ? EFI_SUCCESS : EFI_ABORTED;
}
