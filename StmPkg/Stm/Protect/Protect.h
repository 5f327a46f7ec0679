/** @file
  Protect/: what the SMI handler can reach.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PROTECT_H_
#define STM_PROTECT_H_

#include "StmState.h"
#include "State/State.h"

/**
  Forget translations that this processor has from the EPT.
**/
VOID
StmFlushEpt (
  VOID
  );

/**
  Build the EPT of the SMI handler.

  @param[in,out] Shared  Shared state with the memory map filled in.

  @retval TRUE   Done; Shared->EptPointer is set.
  @retval FALSE  The EPT does not fit into its pages, or the processor lacks
                 what it needs.
**/
BOOLEAN
StmBuildEpt (
  IN OUT STM_SHARED  *Shared
  );

/**
  Are there enough pages for the tables that a profile takes?

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.

  @retval TRUE   There are: StmApplyEpt cannot fail.
  @retval FALSE  There are not.
**/
BOOLEAN
StmEptHasRoom (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile
  );

/**
  Bring the EPT of the SMI handler in line with a profile, within a range. Tables that
  it takes no more are retired.

  @param[in,out] Shared     Shared state.
  @param[in]     Profile    The profile; StmEptHasRoom has said that there is room.
  @param[in]     Range      Memory that the profile may have changed in.
**/
VOID
StmApplyEpt (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST STM_RANGE    *Range
  );

/**
  Map 1 GB of memory above 4 GB that the SMI handler has touched, where the processor has
  no leaves of 1 GB.

  @param[in,out] Shared   Shared state.
  @param[in]     Profile  The profile.
  @param[in]     Address  Guest-physical address of an EPT violation.

  @retval TRUE   Mapped, as the profile says.
  @retval FALSE  It is mapped already, is none that the processor has, or there is no
                 room.
**/
BOOLEAN
StmMapOnDemand (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Address
  );

/**
  Give tables of the EPT back that no processor uses any more.

  @param[in,out] Processor  This processor, which is not in the SMI handler; nobody else
                            changes what is protected meanwhile.
**/
VOID
StmReclaimEpt (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Wait until every processor that is in the SMI handler knows what is protected now.

  @param[in] Processor  This processor, which is not in the SMI handler.
**/
VOID
StmShootDown (
  IN CONST STM_PROCESSOR  *Processor
  );

///
/// STM_SNAPSHOT_USE.Page of the page that keeps what a copy was before it was written.
///
#define STM_SNAPSHOT_BEFORE  2

///
/// Is a page among what the snapshot policy copies, if there is the policy: memory outside
/// SMRAM. Between SMRAM and 4 GB lie the chipset's registers.
///
#define STM_IS_SNAPSHOT(Shared, Page)                                          \
  (((Shared)->Snapshot.Pages != 0) && (((Page) < (Shared)->TsegBase) || ((Page) >= SIZE_4GB)))

/**
  A page of the policy.

  @param[in] Shared  Shared state.
  @param[in] Number  Its number.

  @return Where it is.
**/
VOID *
StmSnapshotPage (
  IN CONST STM_SHARED  *Shared,
  IN UINT32            Number
  );

/**
  Take a page, until the end of the SMI. Crashes if there is none.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       What it is going to be a copy of, or STM_SNAPSHOT_BEFORE.

  @return Its number.
**/
UINT32
StmSnapshotTake (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  );

/**
  Find a processor's next page.

  @param[in]     Processor  The processor.
  @param[in,out] Number     Page to begin with; gets the one behind it.

  @return What it is used for.
**/
STM_SNAPSHOT_USE *
StmSnapshotNext (
  IN     CONST STM_PROCESSOR  *Processor,
  IN OUT UINT32               *Number
  );

/**
  The entry of a page in tables of a processor's own.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       The page.

  @return It; NULL if the shared tables have none yet.
**/
UINT64 *
StmSnapshotEntry (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  );

/**
  Let a processor's tables be the shared ones again.

  @param[in] Processor  This processor.
**/
VOID
StmSnapshotResetMap (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  What is protected has changed while the handler has copies: it keeps them, but has to
  touch each again to see it.

  @param[in,out] Processor  This processor; the caller flushes its translations.
**/
VOID
StmSnapshotHide (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Give the handler a page of memory outside SMRAM that it is going to access, under the
  snapshot policy.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Address    Guest-physical address.
  @param[in]     Access     STM_ACCESS_READ and so on.
  @param[out]    Physical   Where that is, in the copy. OPTIONAL

  @retval TRUE   The handler can access it.
  @retval FALSE  It is no such memory, it is protected, or the tables have none yet.
**/
BOOLEAN
StmSnapshotTouch (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address,
  IN     UINT32         Access,
  OUT    UINT64         *Physical OPTIONAL
  );

/**
  The handler has ended, and has touched memory outside SMRAM: write what it has changed to
  where it belongs, and forget the copies.

  @param[in,out] Processor  This processor.
**/
VOID
StmSnapshotEnd (
  IN OUT STM_PROCESSOR  *Processor
  );

///
/// Below 4 GB: interrupt controllers and flash memory from here on.
///
#define STM_FIXED_MMIO  0xFEC00000ULL

/**
  Access a port.

  @param[in]     Port   The port.
  @param[in]     Size   1, 2 or 4 bytes.
  @param[in]     Write  TRUE to write.
  @param[in,out] Value  What to write, or gets what was read.
**/
VOID
StmAccessPort (
  IN     UINTN    Port,
  IN     UINT32   Size,
  IN     BOOLEAN  Write,
  IN OUT UINT32   *Value
  );

/**
  Access port CFCH with an address at CF8H that is there for this access only.

  @param[in,out] Shared   Shared state.
  @param[in]     Address  For CF8H.
  @param[in]     Port     CFCH to CFFH.
  @param[in]     Size     1, 2 or 4 bytes.
  @param[in]     Write    TRUE to write.
  @param[in,out] Value    What to write, or gets what was read.
**/
VOID
StmAccessPciPort (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Address,
  IN     UINTN       Port,
  IN     UINT32      Size,
  IN     BOOLEAN     Write,
  IN OUT UINT32      *Value
  );

/**
  Access PCI configuration space.

  @param[in]     Processor  This processor.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes; 8, and registers from 100H on, only where
                            Shared->EcamBase is not 0.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessPci (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  );

/**
  Read a byte of PCI configuration space: STM_READ_PCI.

  @param[in] Context  STM_PROCESSOR.
  @param[in] Place    STM_PCI_PLACE.

  @return The byte.
**/
UINT8
EFIAPI
StmReadPciByte (
  IN CONST VOID  *Context,
  IN UINT64      Place
  );

/**
  Find out where ECAM is.

  @param[in,out] Processor  This processor; Shared->EcamBase and EcamSize are set.
**/
VOID
StmFindEcam (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  At INITIALIZE_PROTECTION: read where ACPI's tables have ECAM, and compare that with the
  chipset.

  @param[in,out] Processor  This processor; nobody else uses the draft of the profile.
  @param[in]     Rsdp       Where ACPI's root pointer is, 0 for no ACPI.

  @retval TRUE   Shared->McfgBase and McfgSize are set, 0 for no table.
  @retval FALSE  Refused, and recorded why.
**/
BOOLEAN
StmCheckEcam (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Rsdp
  );

/**
  Would a write move ECAM away from where the STM guards it?

  @param[in] Place   STM_PCI_PLACE.
  @param[in] Length  Bytes.

  @retval TRUE   It would.
  @retval FALSE  It would not.
**/
BOOLEAN
StmPciIsOwn (
  IN UINT64  Place,
  IN UINT64  Length
  );

/**
  Fill the bitmaps of the SMI handler, which are zeroed.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  );

/**
  Is any of these ports the STM's own?

  @param[in] Port   First port.
  @param[in] Ports  Their number.

  @retval TRUE   One is.
  @retval FALSE  None is.
**/
BOOLEAN
StmPortIsOwn (
  IN UINTN  Port,
  IN UINTN  Ports
  );

/**
  Read 8 bytes of a page table, of the interrupted side or of the SMI handler: what
  the handler could read itself. STM_READ_MEMORY.

  @param[in]  Context  STM_PROCESSOR.
  @param[in]  Address  Physical address, aligned to 8 bytes.
  @param[out] Value    What is there.

  @retval TRUE   Read.
  @retval FALSE  It is neither the handler's SMRAM nor memory that the executive monitor
                 may name, or it is protected.
**/
BOOLEAN
EFIAPI
StmReadTable (
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  );

/**
  Say how linear addresses of the SMI handler are translated now.

  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[out] Space      For StmWalk.
**/
VOID
StmHandlerSpace (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT STM_ADDRESS_SPACE    *Space
  );

/**
  Copy bytes from or to memory of the SMI handler, each one only if the EPT allows the
  handler the access.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Linear     Linear address.
  @param[in,out] Buffer     The bytes.
  @param[in]     Size       Their number.
  @param[in]     Access     STM_ACCESS_WRITE to write them; STM_ACCESS_READ, or
                            STM_ACCESS_EXECUTE for code, to read them.

  @return Bytes that were copied: fewer than Size if the next one is not mapped, or is
          where the handler has no access.
**/
UINTN
StmCopyHandlerMemory (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Linear,
  IN OUT VOID           *Buffer,
  IN     UINTN          Size,
  IN     UINT32         Access
  );

/**
  Bring the bitmaps of the SMI handler in line with a profile, within a range.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Ports or MSRs that the profile may have changed in.
**/
VOID
StmApplyBitmaps (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  );

/**
  Bring EPT and bitmaps in line with a profile where a list of resources names
  something.

  @param[in,out] Shared     Shared state.
  @param[in]     Profile    The profile; there is room for it in the EPT.
  @param[in]     List       The list, well-formed.
**/
VOID
StmApplyList (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     CONST UINT8        *List
  );

/**
  Is PCI configuration space among what a list names?

  @param[in] List          The STM's copy.
  @param[in] PhysicalBits  Width of physical addresses.

  @retval TRUE   It is.
  @retval FALSE  It is not, as far as the list can be parsed.
**/
BOOLEAN
StmNamesPci (
  IN CONST UINT8  *List,
  IN UINT32       PhysicalBits
  );

/**
  Bring EPT and bitmaps in line with what a profile says of PCI configuration space.

  @param[in,out] Shared    Shared state.
  @param[in]     Profile   The profile; there is room for it in the EPT.
  @param[in]     EcamBase  Where ECAM has been.
  @param[in]     EcamSize  Bytes.
**/
VOID
StmApplyPci (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             EcamBase,
  IN     UINT64             EcamSize
  );

/**
  The bits of a register that are protected.

  @param[in] Profile  The profile.
  @param[in] Space    StmSpaceRegister or StmSpaceMsr.
  @param[in] First    Place of its bit 0.
  @param[in] Access   STM_ACCESS_READ or STM_ACCESS_WRITE.

  @return The bits.
**/
UINT64
StmProtectedBits (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Space,
  IN UINT64             First,
  IN UINT32             Access
  );

/**
  Is this MSR one whose writes cause a VM exit whatever is protected?

  @param[in] Msr  The MSR.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMsrIsOwn (
  IN UINT64  Msr
  );

/**
  Bring the SMM-guest VMCS, which is current, in line with what is protected of control
  registers.

  @param[in] Processor  This processor.
  @param[in] Profile    The profile.
**/
VOID
StmApplyRegisters (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST STM_PROFILE    *Profile
  );

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
  );

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
  );

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
  );

/**
  See to it that the next entry to the SMI handler knows what is protected now.

  @param[in,out] Processor  This processor.
**/
VOID
StmSeeProtection (
  IN OUT STM_PROCESSOR  *Processor
  );

///
/// The same, if anything has changed: before each entry to the SMI handler.
///
#define STM_SEE_PROTECTION(Processor)                                          \
  do {                                                                         \
    if ((Processor)->Generation != *(volatile UINT32 *)&(Processor)->Shared->Generation) { \
      StmSeeProtection (Processor);                                            \
    }                                                                          \
  } while (FALSE)

/**
  Is this EPT violation of memory that the SMI handler may touch, and that is only now
  mapped?

  @param[in,out] Processor  This processor.
  @param[in]     Address    Guest-physical address.

  @retval TRUE   It is: the handler tries again.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMapTouched (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address
  );

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
  );

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
  );

#endif
