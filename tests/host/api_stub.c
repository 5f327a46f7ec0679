/** @file
  Processors, physical memory and firmware around the STM's API, for the host: the
  calls of the executive monitor and of the SMI handler arrive at the real functions
  of Api/, Session/, Protect/ and State/ and change real tables in a real MSEG.

  TSEG and a few pages of the executive monitor's are mapped at their physical
  addresses, so that the STM's pointers are right. What the STM asks of the processor
  (VMCS, MSRs, VM entries) is in api_processor_stub.c, parts of its own that are not
  compiled with it in api_parts_stub.c.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "api_stub_state.h"
#include <sys/mman.h>
#include "Api/Api.h"
#include "Exit/Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Bitmap.h"
#include "Protect/Ept.h"
#include "Protect/Protect.h"
#include "Session/Session.h"

///
/// Tables of an EPT that protects nothing: 512 GB in pages of 1 GB, and one of 2 MB.
///
#define TEST_KEPT_TABLES  8

STATIC UINT64  mPlaces[STM_DOMAIN_PLACES];

STATIC STM_SHARED  *mShared;
STATIC UINT32      mPhysicalBits;
STATIC UINT32      mLimit;
STATIC UINT32      mTablesUsed;        ///< pages of the EPT that may not be zero any more
UINT32             TestFirmwareCode;   ///< TEST_SETUP, TEST_TEARDOWN
UINT32             TestOpenWindows;
UINT32             TestWorstWindow;    ///< a window was opened on a page that is not the executive monitor's

STATIC
VOID
Map (
  IN UINT64  Address,
  IN UINT64  Size
  )
{
  VOID  *Place;

  Place = mmap (
            (VOID *)(UINTN)Address,
            Size,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
            -1,
            0
            );
  if (Place != (VOID *)(UINTN)Address) {
    __builtin_trap ();
  }
}

/**
  Tables by which the handler's addresses are physical ones: 512 GB in pages of 1 GB.
**/
STATIC
VOID
MakeTables (
  VOID
  )
{
  UINT64  *Top;
  UINT64  *Next;
  UINTN   Index;

  Top    = (UINT64 *)(UINTN)TEST_HANDLER_TABLES;
  Next   = Top + 512;
  Top[0] = (UINT64)(UINTN)Next | BIT0;
  for (Index = 0; Index < 512; Index++) {
    Next[Index] = (UINT64)Index << 30 | BIT7 | BIT0;
  }
}

STATIC
VOID
MakePsd (
  IN UINT32  Processor
  )
{
  TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;

  Psd = (TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(TEST_SMBASE (Processor) + TXT_SMM_PSD_OFFSET);
  __builtin_memset (Psd, 0, sizeof (*Psd));
  Psd->Signature                 = TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE;
  Psd->RequiredStmSmmRevId       = STM_SMM_REVISION_ID;
  Psd->SmmEntryState.Intel64Mode = 1;
  Psd->SmmSmiHandlerRip          = TEST_TSEG_BASE + 0x8000;
  Psd->SmmCr3                    = TEST_HANDLER_TABLES;
  Psd->SmmGdtPtr                 = TEST_TSEG_BASE + 0x80000;
  Psd->SmmGdtSize                = 0x80;
  Psd->SmmTr                     = 0x40;
}

/**
  A platform after its reset: nobody is inside.

  @param[in] PhysicalBits  Width of physical addresses.
  @param[in] Limit         Processors that MSEG has room for.
  @param[in] HugePages     The EPT may have pages of 1 GB.
**/
VOID
TestStart (
  IN UINT32   PhysicalBits,
  IN UINT32   Limit,
  IN BOOLEAN  HugePages
  )
{
  STATIC BOOLEAN  Mapped;
  UINT32          Index;

  if (!Mapped) {
    Map (TEST_TSEG_BASE, TEST_TSEG_END - TEST_TSEG_BASE);
    Map (TEST_EXECUTIVE_BASE, TEST_EXECUTIVE_PAGES * SIZE_4KB);
    MakeTables ();
    Mapped = TRUE;
  }

  mShared            = (STM_SHARED *)(UINTN)TEST_DYNAMIC;
  mPhysicalBits      = PhysicalBits;
  mLimit             = Limit;
  gTestMsrMisc       = VMX_MISC_STORE_LMA | VMX_MISC_BLOCK_UNBLOCKING;
  gTestEptCapability = EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES | EPT_CAP_INVEPT_ALL | (HugePages ? EPT_CAP_1GB_PAGES : 0);

  TestChipset (MAX_UINT32, MAX_UINT64);
  TestFirmwareCode = TEST_SETUP | TEST_TEARDOWN;
  TestOpenWindows  = 0;
  TestWorstWindow  = 0;
  mTablesUsed      = MAX (mTablesUsed, mShared->Ept.PoolUsed);
  __builtin_memset (mShared, 0, sizeof (*mShared));
  for (Index = 0; Index < TEST_PROCESSORS; Index++) {
    __builtin_memset (TestProcessor (Index), 0, sizeof (STM_PROCESSOR));
    gTestInside[Index]     = FALSE;
    gTestMonitorCtl[Index] = TEST_MSEG_BASE | BIT0;
    MakePsd (Index);
  }
}

/**
  Where the firmware says that its list of resources is.
**/
VOID
TestGiveList (
  IN UINT64  Address
  )
{
  UINT32  Index;

  for (Index = 0; Index < TEST_PROCESSORS; Index++) {
    ((TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(TEST_SMBASE (Index) + TXT_SMM_PSD_OFFSET))->BiosHwResourceRequirementsPtr = Address;
  }
}

/**
  Where the firmware says that ACPI's root pointer is.
**/
VOID
TestGiveAcpi (
  IN UINT64  Rsdp
  )
{
  UINT32  Index;

  for (Index = 0; Index < TEST_PROCESSORS; Index++) {
    ((TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(TEST_SMBASE (Index) + TXT_SMM_PSD_OFFSET))->AcpiRsdp = Rsdp;
  }
}

VOID
TestCapabilities (
  IN UINT64  VmxMisc
  )
{
  gTestMsrMisc = VmxMisc;
}

STM_PROCESSOR *
TestProcessor (
  IN UINT32  Index
  )
{
  return (STM_PROCESSOR *)(UINTN)(TEST_DYNAMIC + STM_DYNAMIC_SHARED_SIZE + Index * STM_BLOCK_SIZE + STM_BLOCK_PROCESSOR);
}

CONST STM_PROFILE *
TestProfile (
  VOID
  )
{
  return (CONST STM_PROFILE *)(UINTN)(TEST_DYNAMIC + STM_DYNAMIC_PROFILE);
}

VOID
TestEcam (
  OUT UINT64  *Base,
  OUT UINT64  *Size,
  OUT UINT64  *ByPorts
  )
{
  *Base    = STM_ECAM_BASE (mShared->Ecam);
  *Size    = STM_ECAM_SIZE (mShared->Ecam);
  *ByPorts = (mShared->KnownChipset == 0) ? 1 : 0;
}

/**
  What the EPT says of an address.

  @return The leaf, 0 if it is not mapped.
**/
UINT64
TestLeaf (
  IN UINT64  Address
  )
{
  UINT64  Size;

  return StmPageMapLookup (&mShared->Ept, Address, &Size);
}

/**
  From now on the snapshot policy: processors have top tables of their own.
**/
VOID
TestSnapshot (
  VOID
  )
{
  STATIC UINT8             Roots[TEST_PROCESSORS * SIZE_4KB];
  STATIC STM_SNAPSHOT_USE  Uses[1];
  UINT32                   Index;

  mShared->Snapshot.Roots = (UINT64)(UINTN)Roots;
  mShared->Snapshot.Uses  = Uses;
  mShared->Snapshot.Pages = 1;
  for (Index = 0; Index < TEST_PROCESSORS; Index++) {
    __builtin_memcpy (Roots + Index * SIZE_4KB, mShared->Ept.Pool, SIZE_4KB);
  }
}

/**
  An entry of the top table of a processor's own.
**/
UINT64
TestTopEntry (
  IN UINT32  Index,
  IN UINT64  Address
  )
{
  return ((CONST UINT64 *)(UINTN)STM_SNAPSHOT_ROOT (TestProcessor (Index)))[Address >> STM_PAGE_MAP_SHIFT (3)];
}

CONST STM_SHARED *
TestShared (
  VOID
  )
{
  return mShared;
}

/**
  EPT and bitmaps as the STM builds them, on zeroed pages. They are the same for every
  session on the same platform: built once, copied afterwards.
**/
STATIC
VOID
BuildProtection (
  VOID
  )
{
  STATIC UINT8         Bitmaps[2 * SIZE_4KB];
  STATIC UINT8         Tables[TEST_KEPT_TABLES * SIZE_4KB];
  STATIC STM_PAGE_MAP  Map;
  STATIC UINT64        Pointer;
  STATIC UINT64        Platform;
  UINT8                *Dynamic;

  Dynamic = (UINT8 *)mShared;
  if (Platform != ((UINT64)mPhysicalBits | gTestEptCapability << 8)) {
    __builtin_memset (Dynamic + STM_DYNAMIC_MSR_BITMAP, 0, sizeof (Bitmaps));
    __builtin_memset (Dynamic + TEST_EPT, 0, TEST_EPT_PAGES * SIZE_4KB);
    mShared->EptPool  = (UINT64)(UINTN)(Dynamic + TEST_EPT);
    mShared->EptPages = TEST_EPT_PAGES;
    if (!StmBuildEpt (mShared) || (mShared->Ept.PoolUsed > TEST_KEPT_TABLES)) {
      __builtin_trap ();
    }

    StmBuildBitmaps (mShared);
    Map      = mShared->Ept;
    Pointer  = mShared->EptPointer;
    Platform = (UINT64)mPhysicalBits | gTestEptCapability << 8;
    __builtin_memcpy (Bitmaps, Dynamic + STM_DYNAMIC_MSR_BITMAP, sizeof (Bitmaps));
    __builtin_memcpy (Tables, Dynamic + TEST_EPT, Map.PoolUsed * SIZE_4KB);
  }

  mShared->Ept        = Map;
  mShared->EptPointer = Pointer;
  mShared->EptPool    = (UINT64)(UINTN)(Dynamic + TEST_EPT);
  mShared->EptPages   = TEST_EPT_PAGES;
  __builtin_memcpy (Dynamic + STM_DYNAMIC_MSR_BITMAP, Bitmaps, sizeof (Bitmaps));
  __builtin_memcpy (Dynamic + TEST_EPT, Tables, Map.PoolUsed * SIZE_4KB);
  __builtin_memset (Dynamic + TEST_EPT + Map.PoolUsed * SIZE_4KB, 0, (mTablesUsed - MIN (mTablesUsed, Map.PoolUsed)) * SIZE_4KB);
}

/**
  What Init/ does for the first processor inside.
**/
STATIC
VOID
BuildShared (
  VOID
  )
{
  UINTN  Start;

  mTablesUsed = MAX (mTablesUsed, mShared->Ept.PoolUsed);
  Start       = OFFSET_OF (STM_SHARED, MsegBase);
  __builtin_memset ((UINT8 *)mShared + Start, 0, sizeof (*mShared) - Start);
  ((STM_PROFILE *)((UINT8 *)mShared + STM_DYNAMIC_PROFILE))->Count = 0;
  mShared->MsegBase                                                = TEST_MSEG_BASE;
  mShared->MsegEnd                                                 = TEST_TSEG_END;
  mShared->TsegBase                                                = TEST_TSEG_BASE;
  mShared->TsegEnd                                                 = TEST_TSEG_END;
  mShared->Dynamic                                                 = (UINT64)(UINTN)mShared;
  mShared->FirstBlock                                              = mShared->Dynamic + STM_DYNAMIC_SHARED_SIZE;
  mShared->PhysicalBits                                            = mPhysicalBits;
  mShared->ProcessorLimit                                          = mLimit;
  mShared->BlockSize                                               = STM_BLOCK_SIZE;
  mShared->BlockLimit                                              = TEST_PROCESSORS;
  mShared->BiosList                                                = TEST_BIOS_COPY;
  mShared->BiosRoom                                                = STM_BIOS_PAGES;
  mShared->Draft                                                   = TEST_DRAFT;
  mShared->Domains.Places                                          = mPlaces;
  __builtin_memset (mPlaces, 0, sizeof (mPlaces));
  BuildProtection ();
}

STATIC
STM_PROCESSOR *
Activate (
  IN UINT32  Index
  )
{
  STM_PROCESSOR  *Processor;

  if (StmSessionEnter (mShared)) {
    BuildShared ();
    StmSessionReady (mShared);
  }

  Processor = TestProcessor (Index);
  __builtin_memset (Processor, 0, sizeof (*Processor));
  Processor->Shared        = mShared;
  Processor->Slot          = Index;
  Processor->State         = StmProcessorOff;
  Processor->SmmGuestVmcs  = SIZE_4KB;
  Processor->SmmMonitorCtl = gTestMonitorCtl[Index];
  Processor->Saved.Smbase  = TEST_SMBASE (Index);
  mShared->Blocks          = MAX (mShared->Blocks, Index + 1);
  gTestInside[Index]       = TRUE;
  return Processor;
}

/**
  A call of the executive monitor's; the first one of a processor activates the STM.

  @param[in]     Index      Which processor.
  @param[in,out] Registers  RAX, RBX, RCX, RDX.

  @return RFLAGS after it.
**/
UINT64
TestCall (
  IN     UINT32  Index,
  IN OUT UINT64  Registers[4]
  )
{
  STM_PROCESSOR  *Processor;
  STM_EVENT      Event;

  gTestRunning = Index;
  Processor    = gTestInside[Index] ? TestProcessor (Index) : Activate (Index);
  VmWrite (VMCS_GUEST_RFLAGS, 0x8D7);
  Processor->Interrupted.Rax = Registers[0];
  Processor->Interrupted.Rbx = Registers[1];
  Processor->Interrupted.Rcx = Registers[2];
  Processor->Interrupted.Rdx = Registers[3];
  StmApiExecutive (Processor);
  Event            = Processor->Event;
  Processor->Event = StmEventNone;
  if (Event == StmEventSetup) {
    StmApiCompleteStart (Processor);
  } else if (Event == StmEventTeardown) {
    StmApiCompleteStop (Processor);
  }

  Registers[0] = Processor->Interrupted.Rax;
  Registers[1] = Processor->Interrupted.Rbx;
  Registers[2] = Processor->Interrupted.Rcx;
  Registers[3] = Processor->Interrupted.Rdx;
  return VmRead (VMCS_GUEST_RFLAGS);
}

/**
  A call of the SMI handler's, in an SMI that interrupted somebody with a CR3.

  @param[in]     Index      Which processor: it has called START.
  @param[in]     Cr3        Of whom it interrupted.
  @param[in,out] Registers  RAX, RBX, RCX, RDX.

  @return RFLAGS after it.
**/
UINT64
TestHandlerCall (
  IN     UINT32  Index,
  IN     UINT64  Cr3,
  IN OUT UINT64  Registers[4]
  )
{
  STM_PROCESSOR  *Processor;

  gTestRunning         = Index;
  Processor            = TestProcessor (Index);
  Processor->Saved.Cr3 = Cr3;
  Processor->Event     = StmEventSmi;
  STM_SEE_PROTECTION (Processor);
  VmWrite (VMCS_GUEST_RFLAGS, 0x8D7);
  VmWrite (VMCS_GUEST_CR3, TEST_HANDLER_TABLES);
  Processor->Handler.Rax = Registers[0];
  Processor->Handler.Rbx = Registers[1];
  Processor->Handler.Rcx = Registers[2];
  Processor->Handler.Rdx = Registers[3];
  StmApiHandler (Processor);
  Processor->Event = StmEventNone;
  Registers[0]     = Processor->Handler.Rax;
  Registers[1]     = Processor->Handler.Rbx;
  Registers[2]     = Processor->Handler.Rcx;
  Registers[3]     = Processor->Handler.Rdx;
  return VmRead (VMCS_GUEST_RFLAGS);
}

UINT32
TestIsInside (
  IN UINT32  Index
  )
{
  return gTestInside[Index];
}

UINT64
TestMonitorCtl (
  IN UINT32  Index
  )
{
  return gTestMonitorCtl[Index];
}
