/** @file
  What the loader and the resident part of the executive monitor share.

  The resident part is a PE image of its own in reserved memory below 4 GB. The
  loader, a shell application, relocates it there, fills in an
  EXEC_PARAMETERS block in the same reserved range, and calls its entry point.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef EXECUTIVE_MONITOR_H_
#define EXECUTIVE_MONITOR_H_

#define EXEC_PARAMETERS_SIGNATURE  SIGNATURE_64 ('E', 'X', 'E', 'C', 'M', 'O', 'N', '1')

///
/// What the resident part is asked to do.
///
typedef enum {
  ExecCommandLaunch,            ///< VMXON, the STM if it is there, VMLAUNCH: the caller continues as the guest
  ExecCommandEnterRoot,         ///< as before without VMLAUNCH: the caller continues in VMX root operation
  ExecCommandLeaveRoot          ///< from VMX root operation: STOP, VMXOFF
} EXEC_COMMAND;

///
/// Outcome of a command, and of EXEC_HYPERCALL_LEAVE.
///
typedef enum {
  ExecOk = 0,
  ExecVmxonFailed,              ///< VMXON: Detail is the VMX_RESULT
  ExecActivationFailed,         ///< VMCALL INITIALIZE_PROTECTION: Detail is the VM-instruction error
  ExecStmRefused,               ///< the STM answered with an error: Detail is its status
  ExecControlsMissing,          ///< the processor lacks a control: Detail is the capability MSR
  ExecLaunchFailed              ///< VMLAUNCH: Detail is the VM-instruction error
} EXEC_RESULT;

///
/// Where the processor is.
///
typedef enum {
  ExecStateOff,
  ExecStateRoot,
  ExecStateGuest
} EXEC_STATE;

#define EXEC_EXIT_REASONS  65

typedef struct {
  UINT64          Signature;          ///< EXEC_PARAMETERS_SIGNATURE
  EXEC_COMMAND    Command;
  EXEC_STATE      State;
  EXEC_RESULT     Result;
  UINT64          Detail;
  BOOLEAN         UseStm;             ///< the firmware says the dual-monitor treatment is enabled
  BOOLEAN         StmActive;          ///< INITIALIZE_PROTECTION has succeeded, STOP has not
  BOOLEAN         SmiInWindow;        ///< raise an SMI between INITIALIZE_PROTECTION and START
  UINT8           Reserved[5];
  UINT64          SmiCountBefore;     ///< MSR 34H before that SMI
  UINT64          SmiCountWindow;     ///< MSR 34H after it, before START
  UINT64          SmiCountAfter;      ///< MSR 34H after START
  UINT32          PhysicalAddressBits;
  UINT32          TableCount;         ///< page-directory-pointer tables that cover the physical width
  UINT64          VmxonRegion;        ///< 4 KB each, physical = linear address
  UINT64          ActivationVmcs;
  UINT64          GuestVmcs;
  UINT64          MsrBitmap;
  UINT64          HostTables;         ///< PML4, then TableCount tables of 1-GB pages
  UINT64          EptTables;          ///< likewise
  UINT64          StackTop;           ///< of the stack for VM exits
  UINT64          CrashStackTop;
  UINT64          ExitCount[EXEC_EXIT_REASONS];
} EXEC_PARAMETERS;

/**
  Entry point of the resident part. CPL 0, 64-bit mode, interrupts off.

  @param[in,out] Parameters  Command in, result out.

  @return Parameters->Result.
**/
typedef
UINTN
(EFIAPI *EXEC_ENTRY)(
  IN OUT EXEC_PARAMETERS  *Parameters
  );

///
/// Protocol by which a later run of the loader finds the resident part.
///
#define EXECUTIVE_MONITOR_PROTOCOL_GUID \
  { \
    0x7d364b5e, 0xb039, 0x476a, { 0x8a, 0x96, 0x38, 0xcf, 0x62, 0x87, 0x1c, 0x93 } \
  }

typedef struct {
  EXEC_ENTRY         Entry;
  EXEC_PARAMETERS    *Parameters;
} EXECUTIVE_MONITOR_PROTOCOL;

#endif
