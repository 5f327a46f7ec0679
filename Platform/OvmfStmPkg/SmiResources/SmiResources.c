/** @file
  Tells which resources the SMI handlers of this platform need, so that an executive
  monitor that has an STM protect resources does not take these from them.

  OVMF's SMM drivers cannot say so themselves, since they know of no STM. So this
  driver speaks for them. What is in the list is what they touch outside SMRAM, and
  "run resources" of the lab compares it with what they were seen to touch. What only
  the way into SMM uses on another processor, IA32_MISC_ENABLE, is not in it: under an
  STM nobody goes that way.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiSmm.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/PcdLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Protocol/LoadedImage.h>
#include <Protocol/SmMonitorInit.h>
#include <Protocol/SmmBase2.h>
#include <Protocol/SmmEndOfDxe.h>
#include <Protocol/StmResourcesIncomplete.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <StmRecord.h>

///
/// The ACPI PM timer of Q35, by which the handlers measure time: PMBASE is what OVMF
/// sets (OvmfPkg/Include/IndustryStandard/Q35MchIch9.h, PcdAcpiPmBaseAddress).
///
#define PM_TIMER_PORT   0x608
#define PM_TIMER_PORTS  4

///
/// Whole registers: a handler that reads one reads all its bits, and the command register of
/// the local APIC is written as a whole.
///
#define ALL_BITS  MAX_UINT64

///
/// Registers of the local APIC in x2APIC mode: identifier and interrupt command.
///
#define MSR_X2APIC_ID       0x802
#define MSR_X2APIC_COMMAND  0x830

STATIC EFI_SM_MONITOR_INIT_PROTOCOL  *mMonitor;

/**
  Add one resource. If the list does not take it, the loader of the STM is told by whoever
  keeps the list, and refuses the STM.

  @param[in] Resource  The descriptor.
**/
STATIC
VOID
Claim (
  IN STM_RSC  *Resource
  )
{
  EFI_STATUS  Status;

  Status = mMonitor->AddPiResource (Resource, 1);
  if (EFI_ERROR (Status)) {
    //
    // Of each type the first member behind the header says where the resource is.
    //
    DEBUG ((
      DEBUG_ERROR,
      "%a: a resource of type %u at 0x%lx: %r\n",
      gEfiCallerBaseName,
      Resource->Header.RscType,
      Resource->Mem.Base,
      Status
      ));
  }
}

/**
  Claim memory or registers in memory, to read and to write, in whole pages.

  @param[in] Type    MEM_RANGE or MMIO_RANGE.
  @param[in] Base    Physical address.
  @param[in] Length  Bytes.
**/
STATIC
VOID
ClaimMemory (
  IN UINT32  Type,
  IN UINT64  Base,
  IN UINT64  Length
  )
{
  STM_RSC  Resource;

  ZeroMem (&Resource, sizeof (Resource));
  Resource.Header.RscType    = Type;
  Resource.Header.Length     = sizeof (Resource.Mem);
  Resource.Mem.Base          = Base & ~(UINT64)EFI_PAGE_MASK;
  Resource.Mem.Length        = ALIGN_VALUE (Base + Length, EFI_PAGE_SIZE) - Resource.Mem.Base;
  Resource.Mem.RWXAttributes = STM_RSC_MEM_R | STM_RSC_MEM_W;
  Claim (&Resource);
}

/**
  Claim ports.

  @param[in] Base    First port.
  @param[in] Length  How many.
**/
STATIC
VOID
ClaimPorts (
  IN UINT16  Base,
  IN UINT16  Length
  )
{
  STM_RSC  Resource;

  ZeroMem (&Resource, sizeof (Resource));
  Resource.Header.RscType = IO_RANGE;
  Resource.Header.Length  = sizeof (Resource.Io);
  Resource.Io.Base        = Base;
  Resource.Io.Length      = Length;
  Claim (&Resource);
}

/**
  Claim an MSR.

  @param[in] Index  Which.
  @param[in] Write  FALSE to read it, TRUE to write it.
**/
STATIC
VOID
ClaimMsr (
  IN UINT32   Index,
  IN BOOLEAN  Write
  )
{
  STM_RSC  Resource;

  ZeroMem (&Resource, sizeof (Resource));
  Resource.Header.RscType = MACHINE_SPECIFIC_REG;
  Resource.Header.Length  = sizeof (Resource.Msr);
  Resource.Msr.MsrIndex   = Index;
  Resource.Msr.ReadMask   = Write ? 0 : ALL_BITS;
  Resource.Msr.WriteMask  = Write ? ALL_BITS : 0;
  Claim (&Resource);
}

/**
  Claim the memory in which SMI handlers take requests: the communication buffers, and
  the caches of variables that VariableSmm writes for the runtime. Drivers and
  operating system allocate it as runtime-services data; handlers accept no other
  memory that came later than the end of DXE (SmmMemLib), and SMM's page tables map
  no other.

  @retval EFI_SUCCESS  Done.
  @retval others       There is no memory map.
**/
STATIC
EFI_STATUS
ClaimRuntimeData (
  VOID
  )
{
  EFI_STATUS             Status;
  EFI_MEMORY_DESCRIPTOR  *Map;
  EFI_MEMORY_DESCRIPTOR  *Entry;
  UINTN                  Size;
  UINTN                  Key;
  UINTN                  EntrySize;
  UINTN                  Offset;
  UINT32                 Version;

  Size   = 0;
  Map    = NULL;
  Status = gBS->GetMemoryMap (&Size, Map, &Key, &EntrySize, &Version);
  if (Status != EFI_BUFFER_TOO_SMALL) {
    return EFI_DEVICE_ERROR;
  }

  //
  // The allocation itself may split an entry.
  //
  Size  += 2 * EntrySize;
  Status = gBS->AllocatePool (EfiBootServicesData, Size, (VOID **)&Map);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  Status = gBS->GetMemoryMap (&Size, Map, &Key, &EntrySize, &Version);
  for (Offset = 0; !EFI_ERROR (Status) && (Offset < Size); Offset += EntrySize) {
    Entry = (EFI_MEMORY_DESCRIPTOR *)((UINT8 *)Map + Offset);
    if (Entry->Type == EfiRuntimeServicesData) {
      ClaimMemory (MEM_RANGE, Entry->PhysicalStart, EFI_PAGES_TO_SIZE ((UINTN)Entry->NumberOfPages));
    }
  }

  gBS->FreePool (Map);
  return Status;
}

/**
  Claim the image of PiSmmIpl: by variables of that driver the SMM core is told where
  the communication buffer is, and answers. It is the image that the SMM base protocol
  lies in.

  @retval EFI_SUCCESS    Done.
  @retval EFI_NOT_FOUND  No image holds the protocol.
  @retval others         The protocol database has failed.
**/
STATIC
EFI_STATUS
ClaimSmmIpl (
  VOID
  )
{
  EFI_STATUS                 Status;
  EFI_SMM_BASE2_PROTOCOL     *Base;
  EFI_LOADED_IMAGE_PROTOCOL  *Image;
  EFI_HANDLE                 *Handles;
  UINTN                      Count;
  UINTN                      Index;

  Status = gBS->LocateProtocol (&gEfiSmmBase2ProtocolGuid, NULL, (VOID **)&Base);
  if (!EFI_ERROR (Status)) {
    Status = gBS->LocateHandleBuffer (ByProtocol, &gEfiLoadedImageProtocolGuid, NULL, &Count, &Handles);
  }

  if (EFI_ERROR (Status)) {
    return Status;
  }

  Status = EFI_NOT_FOUND;
  for (Index = 0; (Index < Count) && (Status == EFI_NOT_FOUND); Index++) {
    if (!EFI_ERROR (gBS->HandleProtocol (Handles[Index], &gEfiLoadedImageProtocolGuid, (VOID **)&Image)) &&
        ((UINTN)Base >= (UINTN)Image->ImageBase) && ((UINTN)Base - (UINTN)Image->ImageBase < Image->ImageSize))
    {
      ClaimMemory (MEM_RANGE, (UINTN)Image->ImageBase, Image->ImageSize);
      Status = EFI_SUCCESS;
    }
  }

  gBS->FreePool (Handles);
  return Status;
}

/**
  Claim the MSRs by which PiSmmCpuDxeSmm finds out whether a machine check is local to
  a processor (LMCE). Where the processors have none it reads the first one only, and
  IA32_FEATURE_CONTROL is left to the executive monitor.
**/
STATIC
VOID
ClaimMachineCheck (
  VOID
  )
{
  CPUID_VERSION_INFO_EDX     Edx;
  MSR_IA32_MCG_CAP_REGISTER  Capability;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, NULL, &Edx.Uint32);
  if (Edx.Bits.MCA == 0) {
    return;
  }

  ClaimMsr (MSR_IA32_MCG_CAP, FALSE);
  Capability.Uint64 = AsmReadMsr64 (MSR_IA32_MCG_CAP);
  if (Capability.Bits.MCG_LMCE_P != 0) {
    ClaimMsr (MSR_IA32_FEATURE_CONTROL, FALSE);
    ClaimMsr (MSR_IA32_MCG_EXT_CTL, FALSE);
    ClaimMsr (MSR_IA32_MCG_STATUS, FALSE);
  }
}

/**
  Claim the local APIC, by which PiSmmCpuDxeSmm knows which processor it runs on, and sends
  SMIs to the others. In which mode it will be then the operating system decides, so both
  ways to it are claimed.
**/
STATIC
VOID
ClaimLocalApic (
  VOID
  )
{
  CPUID_VERSION_INFO_ECX  Ecx;

  ClaimMemory (MMIO_RANGE, AsmReadMsr64 (MSR_IA32_APIC_BASE) & ~(UINT64)EFI_PAGE_MASK, EFI_PAGE_SIZE);
  ClaimMsr (MSR_IA32_APIC_BASE, FALSE);
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx.Uint32, NULL);
  if (Ecx.Bits.x2APIC != 0) {
    ClaimMsr (MSR_X2APIC_ID, FALSE);
    ClaimMsr (MSR_X2APIC_COMMAND, TRUE);
  }
}

/**
  Tell the loader of the STM that a claim could not be made.
**/
STATIC
VOID
TellIncomplete (
  VOID
  )
{
  EFI_STATUS  Status;
  EFI_HANDLE  Handle;

  Handle = NULL;
  Status = gSmst->SmmInstallProtocolInterface (
                    &Handle,
                    &gStmResourcesIncompleteProtocolGuid,
                    EFI_NATIVE_INTERFACE,
                    gEfiCallerBaseName
                    );
  ASSERT_EFI_ERROR (Status);
}

/**
  Add everything to the list. At the end of DXE the memory map is the one that the
  handlers go by, and SMRAM is not locked yet.

  @param[in] Protocol   gEfiSmmEndOfDxeProtocolGuid.
  @param[in] Interface  Not used.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS  Done.
  @retval others       Part of the list could not be made.
**/
STATIC
EFI_STATUS
EFIAPI
ClaimAll (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  EFI_STATUS  Status;

  //
  // FvbServicesSmm: variables, and the space in which a write of them is made safe.
  //
  ClaimMemory (
    MMIO_RANGE,
    FixedPcdGet32 (PcdOvmfFlashNvStorageVariableBase),
    FixedPcdGet32 (PcdOvmfFlashNvStorageFtwSpareBase) + FixedPcdGet32 (PcdFlashNvStorageFtwSpareSize) -
    FixedPcdGet32 (PcdOvmfFlashNvStorageVariableBase)
    );

  ClaimLocalApic ();

  //
  // The rendezvous of PiSmmCpuDxeSmm has a time limit, and need not wait for the others if a machine check
  // concerns this processor alone.
  //
  ClaimMachineCheck ();
  ClaimPorts (PM_TIMER_PORT, PM_TIMER_PORTS);

  //
  // The entry of the handler looks at EFER.NXE; and a protection exception is recorded.
  //
  ClaimMsr (MSR_IA32_EFER, FALSE);
  ClaimPorts (STM_RECORD_PORT_FIRMWARE, 1);
  if (DebugPrintEnabled ()) {
    ClaimPorts (FixedPcdGet16 (PcdDebugIoPort), 1);
  }

  Status = ClaimRuntimeData ();
  if (!EFI_ERROR (Status)) {
    Status = ClaimSmmIpl ();
  }

  if (EFI_ERROR (Status)) {
    DEBUG ((DEBUG_ERROR, "%a: memory of SMI handlers: %r\n", gEfiCallerBaseName, Status));
    TellIncomplete ();
  }

  return Status;
}

/**
  Wait for the end of DXE.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  Done.
  @retval others       There is no list to add to.
**/
EFI_STATUS
EFIAPI
SmiResourcesEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  EFI_STATUS  Status;
  VOID        *Registration;

  Status = gSmst->SmmLocateProtocol (&gEfiSmMonitorInitProtocolGuid, NULL, (VOID **)&mMonitor);
  return EFI_ERROR (Status) ? Status : gSmst->SmmRegisterProtocolNotify (
                                                &gEfiSmmEndOfDxeProtocolGuid,
                                                ClaimAll,
                                                &Registration
                                                );
}
