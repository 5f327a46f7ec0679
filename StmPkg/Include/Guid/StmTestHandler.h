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

typedef enum {
  StmTestReadMseg    = 1,       ///< read a byte of MSEG
  StmTestWriteMseg   = 2,       ///< write a byte of MSEG
  StmTestCpuid       = 3,       ///< an instruction that always exits
  StmTestTripleFault = 4        ///< an exception without an IDT
} STM_TEST_COMMAND;

typedef enum {
  StmTestPending  = 0,          ///< no handler saw the request
  StmTestDone     = 1,
  StmTestFaulted  = 2,          ///< the access raised #GP
  StmTestRejected = 3           ///< unknown command, offset outside MSEG, or another exception
} STM_TEST_RESULT;

///
/// Data of the communication buffer. Inputs are Command, Offset and, to write, Value.
///
typedef struct {
  UINT32    Command;            ///< STM_TEST_COMMAND
  UINT32    Result;             ///< STM_TEST_RESULT
  UINT32    Offset;             ///< from the start of MSEG
  UINT32    Value;              ///< a byte
} STM_TEST_REQUEST;

#endif
