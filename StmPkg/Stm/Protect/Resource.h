/** @file
  Resources of the STM API (StmResourceDescriptor.h): lists of them, what the
  firmware claims, and what the executive monitor has protected.

  Pure code: compiles on the host. A list is in memory of the STM's own, copied
  from where somebody else can write, before any of it is read.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RESOURCE_H_
#define STM_RESOURCE_H_

#include <Base.h>
#include <Register/Intel/StmApi.h>

///
/// What an access does. For memory these are STM_RSC_MEM_R, _W and _X, and the
/// permissions of an EPT entry.
///
#define STM_ACCESS_READ     BIT0
#define STM_ACCESS_WRITE    BIT1
#define STM_ACCESS_EXECUTE  BIT2
#define STM_ACCESS_ALL      (STM_ACCESS_READ | STM_ACCESS_WRITE | STM_ACCESS_EXECUTE)

///
/// Where a range lies. Memory and MMIO are one space, since EPT guards both.
///
typedef enum {
  StmSpaceMemory,   ///< physical addresses, whole pages
  StmSpaceIo,       ///< ports
  StmSpaceMsr,      ///< MSRs; there is no protection of single bits
  StmSpacePci       ///< bytes of PCI configuration space: STM_PCI_PLACE
} STM_SPACE;

///
/// A byte of PCI configuration space, as in the enhanced configuration access mechanism.
///
#define STM_PCI_PLACE(Bus, Device, Function, Offset) \
  (((UINT64)(Bus) << 20) | ((UINT64)(Device) << 15) | ((UINT64)(Function) << 12) | (UINT64)(Offset))
#define STM_PCI_FUNCTION_SIZE  SIZE_4KB

///
/// The ports by which the first 256 bytes of a function are reached.
///
#define STM_PCI_PORTS_BASE  0xCF8
#define STM_PCI_PORTS_DATA  0xCFC
#define STM_PCI_PORTS_END   0xD00

/**
  Read a byte of PCI configuration space, for the bus numbers of bridges.

  @param[in] Context  Of the reader.
  @param[in] Place    STM_PCI_PLACE.

  @return The byte.
**/
typedef
UINT8
(EFIAPI *STM_READ_PCI)(
  IN CONST VOID  *Context,
  IN UINT64      Place
  );

typedef struct {
  UINT32    Space;    ///< STM_SPACE
  UINT32    Access;   ///< STM_ACCESS_READ and so on: what is protected, or needed
  UINT64    Base;
  UINT64    End;      ///< first one behind the range
} STM_RANGE;

///
/// Protected ranges: disjoint, sorted by space and base, as few as can be.
///
#define STM_PROFILE_SIZE    (2 * SIZE_4KB)
#define STM_PROFILE_RANGES  ((STM_PROFILE_SIZE - sizeof (UINT64)) / sizeof (STM_RANGE))

typedef struct {
  UINT64       Count;
  STM_RANGE    Ranges[STM_PROFILE_RANGES];
} STM_PROFILE;

///
/// The list of the firmware's resources, ready for GET_BIOS_RESOURCES: each page
/// holds whole descriptors and an END.
///
#define STM_BIOS_PAGES  4

///
/// What protection must respect.
///
typedef struct {
  UINT32          PhysicalBits;
  UINT32          BiosPages;     ///< pages of BiosList that are filled
  UINT64          TsegBase;
  UINT64          TsegEnd;
  UINT64          MsegBase;
  UINT64          MsegEnd;
  CONST UINT8     *BiosList;     ///< BiosPages pages
  UINT64          EcamBase;      ///< where memory accesses reach PCI configuration space; 0 for nowhere
  UINT64          EcamSize;      ///< bytes
  STM_READ_PCI    ReadPci;
  CONST VOID      *PciContext;
} STM_LIMITS;

typedef enum {
  StmResourceMalformed,
  StmResourceEnd,
  StmResourceIgnored,     ///< IgnoreResource is set
  StmResourceRange,       ///< memory, MMIO, I/O, MSR: Range is what it names
  StmResourceTrappedIo,   ///< Range is what it names
  StmResourcePci,         ///< Range is what it names if its path is one node: StmPciResolve
  StmResourceAll,
  StmResourceRegister
} STM_RESOURCE_KIND;

/**
  Check one descriptor and tell what it names.

  @param[in]  Resource      The descriptor.
  @param[in]  Available     Bytes from there to the end of the list's memory.
  @param[in]  PhysicalBits  Width of physical addresses.
  @param[out] Range         What it names, memory in whole pages.

  @return Its kind. StmResourceMalformed if type, length, a reserved field or the
          range it names is not allowed.
**/
STM_RESOURCE_KIND
EFIAPI
StmResourceRead (
  IN  CONST STM_RSC  *Resource,
  IN  UINTN          Available,
  IN  UINT32         PhysicalBits,
  OUT STM_RANGE      *Range
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
  Does the handler need any of what is to be protected? TSEG is the firmware's
  own; everything else it has to claim in its list.

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
  Copy and check the firmware's list.

  Descriptors may be at any address in the handler's SMRAM, and the END of one part
  may name the next. The firmware can write to it at any time, so a descriptor is
  copied first, and the copy is checked.

  @param[in]  Limits  What protection must respect; BiosList is not read.
  @param[in]  Address Physical address of the list, 0 for none.
  @param[out] Pages   STM_BIOS_PAGES pages.
  @param[out] Count   How many of them are filled, at least 1.

  @retval STM_SUCCESS                       Done.
  @retval ERROR_STM_MALFORMED_RESOURCE_LIST A descriptor is malformed or outside the
                                            handler's SMRAM, or the list has no end.
  @retval ERROR_STM_OUT_OF_RESOURCES        It does not fit into Pages.
  @retval ERROR_STM_UNPROTECTABLE           It claims MSEG, or to write
                                            IA32_SMM_MONITOR_CTL.
**/
UINT32
EFIAPI
StmBiosListCopy (
  IN  CONST STM_LIMITS  *Limits,
  IN  UINT64            Address,
  OUT UINT8             *Pages,
  OUT UINT32            *Count
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
