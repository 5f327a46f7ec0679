/** @file
  The SMRAM save-state map that the STM composes for the SMI handler, and reads
  back when the handler ends in RSM (Stm/State/Interrupted.c).

  Under the dual-monitor treatment the processor writes no save state
  (DM-EXI-05). The map is an agreement between STM and firmware, announced by
  STM_SMM_REVISION_ID: the AMD64 layout as QEMU writes it under the default
  treatment, so firmware meets one layout whatever the treatment.

  Pure code: no instruction beyond loads and stores, compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_SAVE_STATE_LIB_H_
#define STM_SAVE_STATE_LIB_H_

#include <VmxRegisters.h>

///
/// Offset of STM_SAVE_STATE_MAP from SMBASE.
///
#define STM_SAVE_STATE_OFFSET  0xFE00

#pragma pack(1)

///
/// A segment or descriptor-table register in the map. Attributes: access
/// rights of the VMCS without bits 11:8; GDTR and IDTR have neither selector
/// nor attributes.
///
typedef struct {
  UINT16    Selector;
  UINT16    Attributes;
  UINT32    Limit;
  UINT64    Base;
} STM_SAVE_SEGMENT;

///
/// SMBASE + 0xFE00 to SMBASE + 0xFFFF. Comments give the offset from SMBASE.
/// Reserved bytes are never written.
///
typedef struct {
  STM_SAVE_SEGMENT    Es;                ///< FE00
  STM_SAVE_SEGMENT    Cs;                ///< FE10
  STM_SAVE_SEGMENT    Ss;                ///< FE20
  STM_SAVE_SEGMENT    Ds;                ///< FE30
  STM_SAVE_SEGMENT    Fs;                ///< FE40
  STM_SAVE_SEGMENT    Gs;                ///< FE50
  STM_SAVE_SEGMENT    Gdtr;              ///< FE60
  STM_SAVE_SEGMENT    Ldtr;              ///< FE70
  STM_SAVE_SEGMENT    Idtr;              ///< FE80
  STM_SAVE_SEGMENT    Tr;                ///< FE90
  UINT8               Reserved1[0x30];   ///< FEA0
  UINT64              Efer;              ///< FED0
  UINT8               Reserved2[0x24];   ///< FED8
  UINT32              RevisionId;        ///< FEFC, STM_SMM_REVISION_ID
  UINT32              Smbase;            ///< FF00
  UINT8               Reserved3[0x44];   ///< FF04
  UINT32              Cr4;               ///< FF48, VMXE always 0 (DM-DEF-06)
  UINT32              Reserved4;
  UINT64              Cr3;               ///< FF50
  UINT32              Cr0;               ///< FF58
  UINT32              Reserved5;
  UINT32              Dr7;               ///< FF60
  UINT32              Reserved6;
  UINT32              Dr6;               ///< FF68
  UINT32              Reserved7;
  UINT32              Rflags;            ///< FF70
  UINT32              Reserved8;
  UINT64              Rip;               ///< FF78
  UINT64              R15;               ///< FF80
  UINT64              R14;               ///< FF88
  UINT64              R13;               ///< FF90
  UINT64              R12;               ///< FF98
  UINT64              R11;               ///< FFA0
  UINT64              R10;               ///< FFA8
  UINT64              R9;                ///< FFB0
  UINT64              R8;                ///< FFB8
  UINT64              Rdi;               ///< FFC0
  UINT64              Rsi;               ///< FFC8
  UINT64              Rbp;               ///< FFD0
  UINT64              Rsp;               ///< FFD8
  UINT64              Rbx;               ///< FFE0
  UINT64              Rdx;               ///< FFE8
  UINT64              Rcx;               ///< FFF0
  UINT64              Rax;               ///< FFF8
} STM_SAVE_STATE_MAP;

#pragma pack()

///
/// A segment register as VMCS fields hold it.
///
typedef struct {
  UINT64    Selector;
  UINT64    Limit;
  UINT64    Access;
  UINT64    Base;
} STM_SEGMENT_STATE;

///
/// Interrupted state, all members 64 bits wide so that one table of VMREADs
/// fills it from the first member to Smbase.
///
typedef struct {
  STM_SEGMENT_STATE    Es;
  STM_SEGMENT_STATE    Cs;
  STM_SEGMENT_STATE    Ss;
  STM_SEGMENT_STATE    Ds;
  STM_SEGMENT_STATE    Fs;
  STM_SEGMENT_STATE    Gs;
  STM_SEGMENT_STATE    Ldtr;
  STM_SEGMENT_STATE    Tr;
  UINT64               GdtrLimit;
  UINT64               GdtrBase;
  UINT64               IdtrLimit;
  UINT64               IdtrBase;
  UINT64               Cr0;
  UINT64               Cr3;
  UINT64               Cr4;
  UINT64               Dr7;
  UINT64               Efer;
  UINT64               Rsp;
  UINT64               Rip;
  UINT64               Rflags;
  UINT64               Smbase;
  UINT64               Dr6;              ///< not in the VMCS
} STM_INTERRUPTED_STATE;

/**
  Write the map for an interrupted state. Reserved bytes keep their contents.

  @param[out] Map        The map, SMBASE + STM_SAVE_STATE_OFFSET.
  @param[in]  State      Interrupted state.
  @param[in]  Registers  Interrupted general-purpose registers.
**/
VOID
EFIAPI
StmSaveStateCompose (
  OUT STM_SAVE_STATE_MAP           *Map,
  IN  CONST STM_INTERRUPTED_STATE  *State,
  IN  CONST VMX_REGISTERS          *Registers
  );

#endif
