/** @file
  PCI configuration space: how the STM reaches it, and where it is in memory.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PCI_H_
#define STM_PCI_H_

#include "StmState.h"

///
/// The address at port CF8H: it is one of configuration space; bus, device, function and
/// register, as Intel's chipsets take them.
///
#define STM_PCI_ENABLE   BIT31
#define STM_PCI_ADDRESS  0x00FFFFFC

///
/// Is anything of configuration space protected now?
///
#define STM_PCI_IS_GUARDED(Processor)                                          \
  (StmProtectedAt ((Processor), StmSpacePci, 0, StmSpaceSize (StmSpacePci, 0)) != 0)

///
/// Who reads configuration space for descriptors, and where.
///
typedef struct {
  CONST STM_PROCESSOR    *Processor;
  UINT64                 Ecam;     ///< STM_ECAM
} STM_PCI_READER;

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

  @retval TRUE   Done.
  @retval FALSE  Another processor has written to CF8H meanwhile: the access may have been one
                 of any register. What it has written stays.
**/
BOOLEAN
StmAccessPciPort (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Address,
  IN     UINTN       Port,
  IN     UINT32      Size,
  IN     BOOLEAN     Write,
  IN OUT UINT32      *Value
  );

/**
  Access configuration space in memory.

  @param[in]     Processor  This processor.
  @param[in]     Ecam       STM_ECAM.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessEcam (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Ecam,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  );

/**
  Access PCI configuration space.

  @param[in]     Processor  This processor.
  @param[in]     Ecam       STM_ECAM.
  @param[in]     Place      STM_PCI_PLACE.
  @param[in]     Size       1, 2, 4 or 8 bytes; 8, and registers from 100H on, only where
                            Ecam is not 0.
  @param[in]     Write      TRUE to write.
  @param[in,out] Value      What to write, or gets what was read.
**/
VOID
StmAccessPci (
  IN     CONST STM_PROCESSOR  *Processor,
  IN     UINT64               Ecam,
  IN     UINT64               Place,
  IN     UINT32               Size,
  IN     BOOLEAN              Write,
  IN OUT UINT64               *Value
  );

/**
  Read a byte of PCI configuration space: STM_READ_PCI.

  @param[in] Context  STM_PCI_READER.
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

  @param[in,out] Processor  This processor; nobody else looks for it.
  @param[out]    Ecam       STM_ECAM.

  @retval TRUE   It is there.
  @retval FALSE  Nobody can say, and the record tells why.
**/
BOOLEAN
StmFindEcam (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    UINT64         *Ecam
  );

/**
  At INITIALIZE_PROTECTION: read where ACPI's tables have ECAM, and compare that with the
  chipset.

  @param[in,out] Processor  This processor; nobody else uses the draft of the profile.
  @param[in]     Rsdp       Where ACPI's root pointer is, 0 for no ACPI.

  @retval TRUE   Shared->McfgEcam is set, 0 for no table.
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

  @param[in,out] Shared   Shared state, with STM_ECAM that is guarded from now on.
  @param[in]     Profile  The profile; there is room for it in the EPT.
  @param[in]     Before   STM_ECAM that was.
**/
VOID
StmApplyPci (
  IN OUT STM_SHARED         *Shared,
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Before
  );

#endif
