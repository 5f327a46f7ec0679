/** @file
  Changes of what is protected: a call of the executive monitor, from its list in
  memory to EPT and bitmaps.

  One processor at a time makes a change, on a draft of the profile. EPT and bitmaps
  follow only when nothing can fail any more, so a call that fails changes nothing.
  Other processors run the SMI handler meanwhile: ShootDown.c.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"
#include "Bitmap.h"
#include "Ept.h"
#include "Pci.h"
#include "Snapshot.h"
#include <Library/SynchronizationLib.h>
#include "Event/Event.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Session/Session.h"
#include "State/State.h"

/**
  Wait until no other processor changes what is protected, and keep others from it.

  @param[in,out] Shared  Shared state.
**/
STATIC
VOID
LockProfile (
  IN OUT STM_SHARED  *Shared
  )
{
  while (InterlockedCompareExchange32 (&Shared->ProfileLock, 0, 1) != 0) {
    CpuPause ();
  }
}

/**
  Let others change what is protected.

  @param[in,out] Shared  Shared state.
**/
STATIC
VOID
UnlockProfile (
  IN OUT STM_SHARED  *Shared
  )
{
  *(volatile UINT32 *) &Shared->ProfileLock = 0;
}

/**
  What protection must respect.

  @param[in]  Processor  This processor.
  @param[in]  Ecam       STM_ECAM.
  @param[out] Reader     What reads configuration space for Limits.
  @param[out] Limits     It.
**/
STATIC
VOID
GetLimits (
  IN  CONST STM_PROCESSOR  *Processor,
  IN  UINT64               Ecam,
  OUT STM_PCI_READER       *Reader,
  OUT STM_LIMITS           *Limits
  )
{
  CONST STM_SHARED  *Shared;

  Shared               = Processor->Shared;
  Limits->PhysicalBits = Shared->PhysicalBits;
  Limits->TsegBase     = Shared->TsegBase;
  Limits->TsegEnd      = Shared->TsegEnd;
  Limits->MsegBase     = Shared->MsegBase;
  Limits->MsegEnd      = Shared->MsegEnd;
  Limits->BiosPages    = Shared->BiosPages;
  Limits->BiosList     = (CONST UINT8 *)(UINTN)Shared->BiosList;
  Limits->EcamBase     = STM_ECAM_BASE (Ecam);
  Limits->EcamSize     = STM_ECAM_SIZE (Ecam);
  Limits->ReadPci      = StmReadPciByte;
  Limits->PciContext   = Reader;
  Reader->Processor    = Processor;
  Reader->Ecam         = Ecam;
}

/**
  Read the firmware's list of resources, and ACPI's tables for where PCI configuration space
  is, unless that is done.

  @param[in,out] Processor  This processor; its PSD names both.

  @retval STM_SUCCESS              It is there.
  @retval ERROR_STM_UNPROTECTABLE  It claims what the STM needs for itself.
  @retval ERROR_STM_UNSPECIFIED    It is malformed or too long, or ACPI contradicts the
                                   chipset: the record tells.
**/
UINT32
StmLoadBiosList (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SHARED      *Shared;
  STM_LIMITS      Limits;
  STM_PCI_READER  Reader;
  UINT64          List;
  UINT64          Rsdp;
  UINT32          Count;
  UINT32          Status;

  Shared = Processor->Shared;
  Status = STM_SUCCESS;
  LockProfile (Shared);
  StmPsdTables (Processor->Saved.Smbase, &List, &Rsdp);
  if ((Shared->BiosPages == 0) && !StmCheckEcam (Processor, Rsdp)) {
    Status = (UINT32)ERROR_STM_UNSPECIFIED;
  } else if (Shared->BiosPages == 0) {
    GetLimits (Processor, Shared->Ecam, &Reader, &Limits);
    Count  = Shared->BiosRoom;
    Status = StmBiosListCopy (&Limits, List, (UINT8 *)(UINTN)Shared->BiosList, &Count);
    STM_RECORD (
      Processor,
      "bios-resources",
      "cpu=%u list=0x%lx status=0x%x pages=%u",
      Processor->Slot,
      List,
      Status,
      Count
      );
    Shared->BiosPages = Count;
  }

  UnlockProfile (Shared);
  return ((Status == STM_SUCCESS) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE)) ? Status : (UINT32)ERROR_STM_UNSPECIFIED;
}

/**
  Copy a page of the firmware's list to the executive monitor.

  @param[in] Processor  This processor.
  @param[in] Index      Which page.
  @param[in] Page       Where to; a page that the executive monitor may name.

  @return The index of the next page, 0 after the last one.
**/
UINT32
StmCopyBiosPage (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Index,
  IN UINT64               Page
  )
{
  CONST STM_SHARED  *Shared;
  CONST UINT8       *List;
  CONST STM_RSC     *Resource;
  UINTN             Length;

  Shared = Processor->Shared;
  List   = (CONST UINT8 *)(UINTN)(Shared->BiosList + (UINT64)Index * SIZE_4KB);
  Length = 0;
  do {
    Resource = (CONST STM_RSC *)(List + Length);
    Length  += Resource->Header.Length;
  } while (Resource->Header.RscType != END_OF_RESOURCES);

  CopyMem (StmOpenWindow (Processor, Page, TRUE), List, Length);
  StmCloseWindow (Processor);
  return (Index + 1 < Shared->BiosPages) ? Index + 1 : 0;
}

/**
  Write ReturnStatus of all descriptors of a list, up to the end or the first
  malformed one, to the executive monitor's page.

  @param[in]  Shared  Shared state.
  @param[in]  List    The STM's copy.
  @param[out] Page    The page, in a window.
**/
STATIC
VOID
ReturnStatus (
  IN  CONST STM_SHARED  *Shared,
  IN  CONST UINT8       *List,
  OUT UINT8             *Page
  )
{
  STM_LIST_READER  Reader;
  UINTN            Offset;

  ZeroMem (&Reader, sizeof (Reader));
  Reader.List         = List;
  Reader.PhysicalBits = Shared->PhysicalBits;
  for (Offset = 0; StmListRead (&Reader); Offset = Reader.Next) {
    //
    // The other bits of the byte are reserved, and 0 in a well-formed descriptor.
    //
    ((STM_RSC *)(Page + Offset))->Header.ReturnStatus = Reader.Resource->Header.ReturnStatus;
  }
}

/**
  Write an entry to the event log for each descriptor of a list that a call has served,
  or has refused as a whole.

  @param[in] Processor  This processor; its window is closed.
  @param[in] List       The STM's copy, with ReturnStatus.
  @param[in] Protect    TRUE for PROTECT_RESOURCE.
**/
STATIC
VOID
LogList (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST UINT8          *List,
  IN BOOLEAN              Protect
  )
{
  CONST STM_RSC  *Resource;
  UINT32         Granted;
  UINT32         Denied;

  Granted = Protect ? EvtMleResourceProtectionGranted : EvtMleResourceUnprotect;
  Denied  = Protect ? EvtMleResourceProtectionDenied : EvtMleResourceUnprotectError;
  for (Resource = (CONST STM_RSC *)List;
       Resource->Header.RscType != END_OF_RESOURCES;
       Resource = (CONST STM_RSC *)((CONST UINT8 *)Resource + Resource->Header.Length))
  {
    if (Resource->Header.IgnoreResource == 0) {
      StmEventResource (Processor, (Resource->Header.ReturnStatus != 0) ? Granted : Denied, Resource);
    }
  }
}

/**
  PROTECT_RESOURCE or UNPROTECT_RESOURCE.

  @param[in,out] Processor  This processor.
  @param[in]     Page       Where the list is; a page that the executive monitor may name.
  @param[in]     Protect    TRUE for PROTECT_RESOURCE.

  @return The status of the call.
**/
UINT32
StmChangeProtection (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page,
  IN     BOOLEAN        Protect
  )
{
  STM_SHARED      *Shared;
  STM_PROFILE     *Profile;
  STM_PROFILE     *Draft;
  STM_LIMITS      Limits;
  STM_PCI_READER  Reader;
  UINT8           *List;
  UINT8           *Window;
  UINT64          Before;
  UINT64          Ecam;
  UINT32          Status;
  BOOLEAN         Found;

  Shared  = Processor->Shared;
  Profile = (STM_PROFILE *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_PROFILE);
  Draft   = (STM_PROFILE *)(UINTN)Shared->Draft;
  List    = (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_LIST);
  LockProfile (Shared);
  //
  // The copy of the list is where activations have their stack.
  //
  StmLockActivations (Shared);
  StmReclaimEpt (Processor);
  CopyMem (List, StmOpenWindow (Processor, Page, FALSE), SIZE_4KB);
  StmCloseWindow (Processor);
  CopyMem (Draft, Profile, sizeof (*Draft));
  Before = Shared->Ecam;
  //
  // What the firmware claims of a PCI function is its page of ECAM, too. The guard itself
  // stays as it is, unless PCI is what the call is about. Handlers of other processors look
  // where it is meanwhile: it moves with the profile, by one store.
  //
  Found = StmFindEcam (Processor, &Ecam);
  GetLimits (Processor, Found ? Ecam : Before, &Reader, &Limits);
  if (!StmNamesPci (List, Shared->PhysicalBits)) {
    Ecam = Before;
  }

  Status = StmProfileApply (Draft, &Limits, List, Protect);
  if ((Status == STM_SUCCESS) || (Status == (UINT32)ERROR_STM_UNPROTECTABLE_RESOURCE)) {
    if (Found && StmEptHasRoom (Shared, Draft, Ecam)) {
      *(volatile UINT64 *) &Shared->Ecam = Ecam;
      StmApplyList (Shared, Draft, List);
      StmApplyPci (Shared, Draft, Before);
      CopyMem (Profile, Draft, sizeof (*Profile));
      InterlockedIncrement (&Shared->Generation);
    } else {
      StmProfileDeny (List);
      Status = (Found && Protect) ? (UINT32)ERROR_STM_OUT_OF_RESOURCES : (UINT32)ERROR_STM_UNSPECIFIED;
    }
  }

  Window = StmOpenWindow (Processor, Page, TRUE);
  ReturnStatus (Shared, List, Window);
  StmCloseWindow (Processor);
  if (Status != (UINT32)ERROR_STM_MALFORMED_RESOURCE_LIST) {
    LogList (Processor, List, Protect);
  }

  StmUnlockActivations (Shared);
  UnlockProfile (Shared);
  StmShootDown (Processor);
  return Status;
}

/**
  Is this EPT violation of memory that the SMI handler may touch, and that is only now
  mapped?

  @param[in,out] Processor  This processor.
  @param[in]     Address    Guest-physical address.
  @param[in]     Access     STM_ACCESS_READ and so on, that the handler has tried.

  @retval TRUE   It is: the handler tries again.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMapTouched (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address,
  IN     UINT32         Access
  )
{
  STM_SHARED  *Shared;
  BOOLEAN     Mapped;

  Shared = Processor->Shared;
  LockProfile (Shared);
  Mapped = StmMapOnDemand (Shared, (CONST STM_PROFILE *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_PROFILE), Address, Access);
  UnlockProfile (Shared);
  if (Mapped && (Shared->Snapshot.Pages != 0)) {
    //
    // The processor's own tables are copies from before, the top one also where the handler
    // has no copies yet.
    //
    StmSnapshotHide (Processor);
    StmFlushEpt ();
  }

  return Mapped;
}

/**
  See to it that the next entry to the SMI handler knows what is protected now.

  @param[in,out] Processor  This processor.
**/
VOID
StmSeeProtection (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SHARED  *Shared;

  Shared = Processor->Shared;
  LockProfile (Shared);
  Processor->Generation = *(volatile UINT32 *)&Shared->Generation;
  StmApplyRegisters (Processor, (CONST STM_PROFILE *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_PROFILE));
  //
  // If the handler is in the midst of its work, the shadows of newly owned bits now hold
  // what it has made of them. The next SMI begins with other values.
  //
  Processor->Restore |= STM_RESTORE_MODE;
  UnlockProfile (Shared);
  if (Processor->SnapshotPages != 0) {
    StmSnapshotHide (Processor);
  }

  StmFlushEpt ();
}

/**
  The bits of a register that the executive monitor has protected.

  @param[in] Processor  This processor.
  @param[in] Space      StmSpaceRegister or StmSpaceMsr.
  @param[in] First      Place of its bit 0.
  @param[in] Access     STM_ACCESS_READ or STM_ACCESS_WRITE.

  @return The bits.
**/
UINT64
StmBitProtection (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Space,
  IN UINT64               First,
  IN UINT32               Access
  )
{
  STM_SHARED  *Shared;
  UINT64      Bits;

  Shared = Processor->Shared;
  LockProfile (Shared);
  Bits = StmProtectedBits ((CONST STM_PROFILE *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_PROFILE), Space, First, Access);
  UnlockProfile (Shared);
  return Bits;
}

/**
  The accesses to a place that the executive monitor has protected.

  @param[in] Processor  This processor.
  @param[in] Space      STM_SPACE.
  @param[in] Place      Address, port or MSR.
  @param[in] Length     Places.

  @return STM_ACCESS_READ and so on.
**/
UINT32
StmProtectedAt (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Space,
  IN UINT64               Place,
  IN UINT64               Length
  )
{
  STM_SHARED         *Shared;
  CONST STM_PROFILE  *Profile;
  UINT64             Next;
  UINT64             End;
  UINT32             Access;

  Shared  = Processor->Shared;
  Profile = (CONST STM_PROFILE *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_PROFILE);
  Access  = 0;
  End     = Place + Length;
  LockProfile (Shared);
  for ( ; Place < End; Place = Next) {
    Access |= StmProfileAt (Profile, Space, Place, &Next);
  }

  UnlockProfile (Shared);
  return Access;
}
