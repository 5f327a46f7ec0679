/** @file
  Record streams: the debug ports, and the binary record of the STM's ring.

  Text records follow one grammar, a line each:

    SOURCE: ev=NAME t=DECIMAL key=value ...

  SOURCE is FW, STM, EXEC or APP; t is the time-stamp counter without TSC
  offset; values hold no spaces. The parser is build_scripts/observation/events.py.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RECORD_H_
#define STM_RECORD_H_

#define STM_RECORD_PORT_FIRMWARE_DEBUG  0x402
#define STM_RECORD_PORT_STM             0x403
#define STM_RECORD_PORT_EXECUTIVE       0x404
#define STM_RECORD_PORT_FIRMWARE        0x405

///
/// Types of ring records. The plain-SMI path of the STM writes only these, no
/// port: one line of text costs as many instructions as the handler itself.
///
typedef enum {
  StmRingNone        = 0,
  StmRingSmi         = 1,     ///< SMM VM exit: reason, qualification, RIP, executive-VMCS pointer
  StmRingHandlerExit = 2,     ///< exit of the handler other than RSM: reason, qualification, RIP, guest-physical address
  StmRingApi         = 3      ///< STM API call: number, status
} STM_RING_TYPE;

#pragma pack(1)

///
/// One record, 64 bytes; the ring holds a power of two of them and overwrites
/// the oldest.
///
typedef struct {
  UINT64    Time;             ///< time-stamp counter, TSC offset 0
  UINT32    Sequence;         ///< counts from 0 since the processor's activation
  UINT16    Type;             ///< STM_RING_TYPE
  UINT16    Processor;        ///< slot of the processor
  UINT64    Reason;           ///< exit reason field, or API number
  UINT64    Qualification;    ///< exit qualification, or status
  UINT64    Rip;              ///< RIP of the interrupted code
  UINT64    Address;          ///< see STM_RING_TYPE
  UINT64    Reserved[2];
} STM_RING_RECORD;

#pragma pack()

#endif
