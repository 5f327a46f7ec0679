/** @file
  Requests to the test SMI handler, by which tests make SMI handlers do what
  they must not do. The handler exists only while the owner of the machine asks
  for it (STM_TEST_HANDLER_FILE).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_TEST_HANDLER_H_
#define STM_TEST_HANDLER_H_

extern EFI_GUID  gStmTestHandlerGuid;

///
/// QEMU's fw_cfg file whose existence arms the handler.
///
#define STM_TEST_HANDLER_FILE  "opt/org.stmlab/test-handler"

///
/// QEMU's fw_cfg file that names a fault in the firmware's list of resources:
/// "malformed", "outside" (of SMRAM), "mseg" or "monitor-ctl" (claimed), or "full".
///
#define STM_TEST_RESOURCES_FILE  "opt/org.stmlab/test-resources"

///
/// QEMU's fw_cfg file whose existence keeps the lock off enhanced SMM feature control.
///
#define STM_TEST_UNLOCKED_FILE  "opt/org.stmlab/test-smm-unlocked"

typedef enum {
  StmTestReadMseg    = 1,       ///< read a byte of MSEG
  StmTestWriteMseg   = 2,       ///< write a byte of MSEG
  StmTestCpuid       = 3,       ///< an instruction that always exits
  StmTestTripleFault = 4,       ///< an exception without an IDT
  StmTestReadMemory  = 5,       ///< read a byte of memory at Address
  StmTestHalt        = 6,       ///< halt for ever, interrupts off
  StmTestLoop        = 7,       ///< go round in a loop for ever
  StmTestRdtsc       = 8        ///< an instruction that exits if a control asks for it
} STM_TEST_COMMAND;

typedef enum {
  StmTestPending  = 0,          ///< no handler saw the request
  StmTestDone     = 1,
  StmTestFaulted  = 2,          ///< the access raised an exception: Vector
  StmTestRejected = 3           ///< unknown command, offset outside MSEG, address above 4 GB, no such processor
} STM_TEST_RESULT;

///
/// Data of the communication buffer. Inputs are Command and, for an access, Offset in
/// MSEG or Address, Processor, OwnTables and the Value to write.
///
typedef struct {
  UINT32    Command;            ///< STM_TEST_COMMAND
  UINT32    Result;             ///< STM_TEST_RESULT
  UINT32    Offset;             ///< from the start of MSEG
  UINT32    Value;              ///< a byte
  UINT32    Processor;          ///< index in the SMM system table
  UINT32    OwnTables;          ///< not 0: on page tables of the handler's own, which map all of SMRAM
  UINT32    Vector;             ///< of the exception
  UINT32    Reserved;
  UINT64    Address;            ///< for an access to memory, below 4 GB
} STM_TEST_REQUEST;

#endif
