/** @file
  Resources of the STM API: what the firmware claims, and what the executive monitor
  has protected.

  Pure code: compiles on the host. A list is in memory of the STM's own, copied
  from where somebody else can write, before any of it is read.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RESOURCE_H_
#define STM_RESOURCE_H_

#include <Library/StmResourceLib.h>

///
/// A range as a profile holds it, in half the bytes. Base and Last are of 40 bits: numbers of
/// pages for memory, places for what is not memory, of which no space has more.
///
typedef struct {
  UINT32    BaseLow;
  UINT32    LastLow;
  UINT8     BaseHigh;
  UINT8     LastHigh;
  UINT8     Space;    ///< STM_SPACE
  UINT8     Access;   ///< STM_ACCESS_READ and so on
} STM_PACKED_RANGE;

///
/// Protected ranges: disjoint, sorted by space and base, as few as can be. One page.
///
#define STM_PROFILE_SIZE    SIZE_4KB
#define STM_PROFILE_RANGES  ((STM_PROFILE_SIZE - sizeof (UINT32)) / sizeof (STM_PACKED_RANGE))

typedef struct {
  UINT32              Count;
  STM_PACKED_RANGE    Ranges[STM_PROFILE_RANGES];
} STM_PROFILE;

///
/// Ports at which nobody listens, next to the one that serves for delays: a double word.
/// INS and OUTS of the SMI handler at an intercepted port run here first (StmStartStep), so
/// nobody can protect these, nor their twins.
///
#define STM_STEP_PORTS_BASE  0xED
#define STM_STEP_PORTS_END   0xF1

///
/// From a port to the one of the other half that has its bit in the bitmap.
///
#define STM_PORT_TWIN  0x8000

///
/// A reader of a list that is in one page.
///
typedef struct {
  CONST UINT8          *List;
  UINT32               PhysicalBits;   ///< width of physical addresses
  UINTN                Next;           ///< offset of the descriptor behind this one; 0 to begin
  CONST STM_RSC        *Resource;      ///< this one
  STM_RESOURCE_KIND    Kind;
  STM_RANGE            Range;          ///< as StmResourceRead says
} STM_LIST_READER;

/**
  Go on to the next descriptor of a list.

  @param[in,out] Reader  List, PhysicalBits and Next are set for the first one.

  @retval TRUE   Here it is.
  @retval FALSE  END is here, or a descriptor that is malformed.
**/
BOOLEAN
EFIAPI
StmListRead (
  IN OUT STM_LIST_READER  *Reader
  );

/**
  How many places a space has.

  @param[in] Space         STM_SPACE.
  @param[in] PhysicalBits  Width of physical addresses.

  @return Places.
**/
UINT64
EFIAPI
StmSpaceSize (
  IN UINT32  Space,
  IN UINT32  PhysicalBits
  );

/**
  The accesses that there are in a space.

  @param[in] Space  STM_SPACE.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmSpaceAccess (
  IN UINT32  Space
  );

/**
  Follow the path of a PCI descriptor through bridges.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, well-formed.
  @param[in]  Node    Which node of its path.
  @param[out] Place   Where the configuration space of that node's function begins.

  @retval TRUE   Found.
  @retval FALSE  A node before it is no bridge to another bus.
**/
BOOLEAN
EFIAPI
StmPciFollow (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN  UINTN                       Node,
  OUT UINT64                      *Place
  );

/**
  What a PCI descriptor names, where its path leads now.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, well-formed.
  @param[out] Range   The range.

  @retval TRUE   Done.
  @retval FALSE  The path leads nowhere.
**/
BOOLEAN
EFIAPI
StmPciResolve (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  OUT STM_RANGE                   *Range
  );

/**
  The bus numbers of a bridge on the path of a descriptor, which must stay.

  @param[in]  Limits  How to read bus numbers.
  @param[in]  Pci     The descriptor, whose path leads somewhere.
  @param[in]  Node    The bridge.
  @param[out] Range   The range.
**/
VOID
EFIAPI
StmPciBusNumbers (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  IN  UINTN                       Node,
  OUT STM_RANGE                   *Range
  );

/**
  Is a write of an MSR one of all its bits? Those that VM entries and VM exits of the handler
  switch the STM does not write for it, so it does not look at bits of them either.

  @param[in] Msr  The MSR.

  @retval TRUE   It is.
  @retval FALSE  Bits that keep their value are not written.
**/
BOOLEAN
EFIAPI
StmMsrIsWhole (
  IN UINT64  Msr
  );

/**
  Does the handler need any of what is to be protected? TSEG is the firmware's
  own, and the ports of StmStartStep stay open; everything else it has to claim in its list.

  @param[in] Limits  What protection must respect.
  @param[in] Range   What is to be protected.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
BOOLEAN
EFIAPI
StmResourceIsClaimed (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Range
  );

/**
  The accesses to a place that the handler needs.

  @param[in]  Limits  What protection must respect.
  @param[in]  Space   STM_SPACE.
  @param[in]  Place   Address, port, MSR or register.
  @param[out] End     First place behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmResourceClaimedAt (
  IN  CONST STM_LIMITS  *Limits,
  IN  UINT32            Space,
  IN  UINT64            Place,
  OUT UINT64            *End
  );

/**
  A range of a profile.

  @param[in]  Profile  The profile.
  @param[in]  Index    Which one, below its Count.
  @param[out] Range    It.
**/
VOID
EFIAPI
StmProfileRange (
  IN  CONST STM_PROFILE  *Profile,
  IN  UINTN              Index,
  OUT STM_RANGE          *Range
  );

/**
  Protect or unprotect a range.

  @param[in,out] Profile  The profile.
  @param[in]     Change   The range, not empty.
  @param[in]     Protect  TRUE to protect the accesses of Change there, too; FALSE
                          to protect them there no longer.

  @retval TRUE   Done.
  @retval FALSE  There is no room. The profile is not usable any more.
**/
BOOLEAN
EFIAPI
StmProfileChange (
  IN OUT STM_PROFILE      *Profile,
  IN     CONST STM_RANGE  *Change,
  IN     BOOLEAN          Protect
  );

/**
  The accesses that are protected at one place.

  @param[in]  Profile  The profile.
  @param[in]  Space    STM_SPACE.
  @param[in]  Place    Address, port or MSR.
  @param[out] End      First place behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmProfileAt (
  IN  CONST STM_PROFILE  *Profile,
  IN  UINT32             Space,
  IN  UINT64             Place,
  OUT UINT64             *End
  );

/**
  Is anything of a space protected?

  @param[in] Profile  The profile.
  @param[in] Space    STM_SPACE.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
BOOLEAN
EFIAPI
StmProfileHas (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Space
  );

/**
  Deny all of a list that StmProfileApply has granted something of.

  @param[in,out] List  The page.
**/
VOID
EFIAPI
StmProfileDeny (
  IN OUT UINT8  *List
  );

/**
  PROTECT_RESOURCE, or UNPROTECT_RESOURCE, on a profile. "StmApi.h": a resource
  that the firmware needs is denied, the others of the list are granted; a list that
  cannot be parsed changes nothing.

  @param[in,out] Profile  The profile; usable only after STM_SUCCESS or
                          ERROR_STM_UNPROTECTABLE_RESOURCE.
  @param[in]     Limits   What protection must respect.
  @param[in,out] List     A page; gets ReturnStatus in the headers of all
                          descriptors up to the end or the first malformed one.
  @param[in]     Protect  TRUE for PROTECT_RESOURCE.

  @retval STM_SUCCESS                       All of the list is done.
  @retval ERROR_STM_UNPROTECTABLE_RESOURCE  The firmware needs at least one resource,
                                            or it is of a kind that is not protected.
  @retval ERROR_STM_MALFORMED_RESOURCE_LIST The list cannot be parsed.
  @retval ERROR_STM_OUT_OF_RESOURCES        PROTECT_RESOURCE: no room.
  @retval ERROR_STM_UNSPECIFIED             UNPROTECT_RESOURCE: no room, or memory of
                                            the STM is named.
**/
UINT32
EFIAPI
StmProfileApply (
  IN OUT STM_PROFILE       *Profile,
  IN     CONST STM_LIMITS  *Limits,
  IN OUT UINT8             *List,
  IN     BOOLEAN           Protect
  );

#endif
