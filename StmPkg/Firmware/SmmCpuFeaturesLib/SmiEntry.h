/** @file
  What the SMI entry code and the C code that installs it share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef SMI_ENTRY_H_
#define SMI_ENTRY_H_

#include <PiSmm.h>
#include <Library/SmmCpuFeaturesLib.h>
#include <Register/Intel/StmApi.h>

//
// Selectors of the GDT that PiSmmCpuDxeSmm gives to every processor.
//
#define SMM_CODE32_SELECTOR  0x08
#define SMM_DATA_SELECTOR    0x20
#define SMM_CODE64_SELECTOR  0x38
#define SMM_TSS_SELECTOR     0x40

#define SMI_ENTRY_FLAG_XD           BIT0
#define SMI_ENTRY_FLAG_MISC_ENABLE  BIT1

#pragma pack(1)

///
/// Parameters of the entry code, in the copy that each processor has. The
/// offsets are repeated in X64/SmiEntry.nasm.
///
typedef struct {
  UINT16    GdtLimit;           ///< 0x00: operand of LGDT in 16-bit code
  UINT32    GdtBase;            ///< 0x02
  UINT16    Reserved1;          ///< 0x06
  UINT32    ProtectedRip;       ///< 0x08: far pointer to the 32-bit code
  UINT16    ProtectedCs;        ///< 0x0C
  UINT16    Reserved2;          ///< 0x0E
  UINT32    LongRip;            ///< 0x10: far pointer to the 64-bit code
  UINT16    LongCs;             ///< 0x14
  UINT16    Reserved3;          ///< 0x16
  UINT32    EntryBase;          ///< 0x18: linear address of the copy
  UINT32    Cr3;                ///< 0x1C
  UINT32    Stack;              ///< 0x20: where the processor's index is stored
  UINT32    Flags;              ///< 0x24: SMI_ENTRY_FLAG_*
  UINT16    IdtLimit;           ///< 0x28: operand of LIDT in 64-bit code
  UINT64    IdtBase;            ///< 0x2A
  UINT8     Reserved4[6];       ///< 0x32
  UINT64    CommonHandler;      ///< 0x38: of PiSmmCpuDxeSmm's image, not of the copy
} SMI_ENTRY_PARAMETERS;

#pragma pack()

//
// The template and the offsets of its parts.
//
extern CONST UINT8   gSmiEntryTemplate[];
extern CONST UINT16  gSmiEntrySize;
extern CONST UINT16  gSmiEntryProtectedOffset;
extern CONST UINT16  gSmiEntryLongOffset;
extern CONST UINT16  gSmiEntryStmOffset;
extern CONST UINT16  gSmiEntryParametersOffset;

/**
  Joined by both entries in the processor's own copy of the template: calls
  PiSmmCpuDxeSmm and ends with RSM. It is no function: the stack holds the saved
  half of IA32_MISC_ENABLE and the processor's index.
**/
VOID
SmiEntryCommonHandler (
  VOID
  );

//
// On how many processors the STM is started: counted by SmiEntryStmSetup and
// SmiEntryStmTeardown.
//
extern UINT32  gSmiEntryStmStarted;

/**
  Run by the STM as its guest when the STM has been started, before the first
  SMI. It is no function: it ends with RSM.
**/
VOID
SmiEntryStmSetup (
  VOID
  );

/**
  Run by the STM as its guest before the dual-monitor treatment is deactivated.
  It is no function: it ends with RSM.
**/
VOID
SmiEntryStmTeardown (
  VOID
  );

/**
  The processor's descriptor for the STM (PSD).

  @param[in] SmBase  SMBASE of the processor.

  @return The descriptor in SMRAM.
**/
TXT_PROCESSOR_SMM_DESCRIPTOR *
PsdOf (
  IN UINTN  SmBase
  );

/**
  Fill the descriptor that the STM reads when it starts. The local APIC ID
  follows in SmmCpuFeaturesInitializeProcessor, the ACPI tables at the end of DXE.

  @param[in] SmBase   SMBASE of the processor.
  @param[in] Stack    Where the index of the processor is stored; RSP at the entry.
  @param[in] GdtBase  The processor's GDT in SMM.
  @param[in] GdtSize  Bytes of the GDT.
  @param[in] Cr3      Page tables of SMM.
**/
VOID
PsdFill (
  IN UINTN   SmBase,
  IN UINTN   Stack,
  IN UINTN   GdtBase,
  IN UINTN   GdtSize,
  IN UINT32  Cr3
  );

/**
  Wait for the end of DXE, when the descriptors can be completed.
**/
VOID
PsdInitialize (
  VOID
  );

/**
  Find out whether a test wants enhanced SMM feature control without its lock.
**/
VOID
SmmRegisterInitialize (
  VOID
  );

/**
  Entered by the STM when an SMI handler has touched what the executive monitor
  protects, with RSP pointing to STM_PROTECTION_EXCEPTION_STACK_FRAME_X64. It is no
  function: it ends with RETURN_FROM_PROTECTION_EXCEPTION.
**/
VOID
SmiEntryException (
  VOID
  );

/**
  Tell what was touched, and give up. Called by SmiEntryException on the stack of
  exceptions.

  @param[in] Frame  State of the violation.

  @return EBX of RETURN_FROM_PROTECTION_EXCEPTION: the kind of violation, 1 to 5, or
          15 for one that StmApi.h does not have. Never 0, by which the instruction
          would be executed again.
**/
UINT32
EFIAPI
SmiProtectionException (
  IN CONST STM_PROTECTION_EXCEPTION_STACK_FRAME_X64  *Frame
  );

/**
  Prepare the list of resources, and offer gEfiSmMonitorInitProtocolGuid.

  @param[in] PhysicalBits  Width of physical addresses.
**/
VOID
MonitorInitialize (
  IN UINT32  PhysicalBits
  );

/**
  Where the list of resources is.

  @return Physical address in SMRAM; 0 if there was no memory for it.
**/
UINT64
MonitorResources (
  VOID
  );

#endif
