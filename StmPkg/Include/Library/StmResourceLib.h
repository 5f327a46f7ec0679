/** @file
  Descriptors of resources (StmResourceDescriptor.h), and the list of them by which
  the firmware says what its SMI handlers need.

  Firmware and STM check that list with the same code: the firmware at boot, when a
  fault in it can still be told, the STM when it starts.

  Pure code, but for the width of physical addresses: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RESOURCE_LIB_H_
#define STM_RESOURCE_LIB_H_

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
  StmSpaceMsr,      ///< bits of MSRs: STM_MSR_PLACE
  StmSpacePci,      ///< bytes of PCI configuration space: STM_PCI_PLACE
  StmSpaceRegister  ///< bits of control registers: STM_REGISTER_PLACE
} STM_SPACE;

///
/// A bit of a control register, by the number that a descriptor has for the register
/// (STM_REGISTER_VIOLATION_TYPE), and of an MSR.
///
#define STM_REGISTER_BITS  64
#define STM_REGISTER_PLACE(Type, Bit)  ((UINT64)(Type) * STM_REGISTER_BITS + (Bit))
#define STM_MSR_PLACE(Msr, Bit)        STM_REGISTER_PLACE (Msr, Bit)

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
/// Most pages of the firmware's list, ready for GET_BIOS_RESOURCES: each page holds whole
/// descriptors and an END. Where MSEG is no larger than needed, the STM has room for one.
///
#define STM_BIOS_PAGES  4

///
/// How many of them the STM has room for, with as many pages of MSEG beyond its needed size.
///
#define STM_BIOS_LIST_PAGES(Spare)  (((Spare) >= STM_BIOS_PAGES) ? STM_BIOS_PAGES : 1)

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
  StmResourceRange,       ///< memory, MMIO, I/O: Range is what it names
  StmResourceMsr,         ///< Range is all of the MSR, with the accesses of which it names some bits
  StmResourceTrappedIo,   ///< Range is what it names
  StmResourcePci,         ///< Range is what it names if its path is one node: StmPciResolve
  StmResourceAll,
  StmResourceRegister
} STM_RESOURCE_KIND;

/**
  The width of physical addresses, by "Enumeration of Paging Features by CPUID", 4.1.4.

  Not every processor has the leaf that tells it: asked for one that it does not have, it
  answers with another, in which the width would be 0. The maximum is therefore asked first.

  @return Bits.
**/
UINT32
EFIAPI
StmPhysicalAddressBits (
  VOID
  );

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
  Copy and check the firmware's list.

  Descriptors may be at any address in the handler's SMRAM, and the END of one part
  may name the next. The firmware can write to it at any time, so a descriptor is
  copied first, and the copy is checked.

  @param[in]     Limits   What protection must respect; BiosList is not read.
  @param[in]     Address  Physical address of the list, 0 for none.
  @param[out]    Pages    As many pages as Count says.
  @param[in,out] Count    Pages; gets how many of them are filled, at least 1, and 0 if
                          the list is refused.

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
  IN     CONST STM_LIMITS  *Limits,
  IN     UINT64            Address,
  OUT    UINT8             *Pages,
  IN OUT UINT32            *Count
  );

#endif
