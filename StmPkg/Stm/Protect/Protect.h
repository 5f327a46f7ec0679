/** @file
  Protect/: what the SMI handler can reach, as other folders ask for it and change it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_PROTECT_H_
#define STM_PROTECT_H_

#include "StmState.h"
#include "State/Walk.h"

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
  @param[in]     Access     STM_ACCESS_READ and so on, that the handler has tried.

  @retval TRUE   It is: the handler tries again.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMapTouched (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address,
  IN     UINT32         Access
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
