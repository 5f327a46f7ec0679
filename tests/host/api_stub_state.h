/** @file
  The processors of the API on the host: what their stubs share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef API_STUB_STATE_H_
#define API_STUB_STATE_H_

#include "api_stub.h"

extern UINT32  gTestRunning;                          ///< the processor whose code runs
extern UINT8   gTestInside[TEST_PROCESSORS];          ///< it is a member of the STM's session
extern UINT64  gTestMonitorCtl[TEST_PROCESSORS];      ///< IA32_SMM_MONITOR_CTL
extern UINT64  gTestMsrMisc;                          ///< IA32_VMX_MISC
extern UINT64  gTestEptCapability;                    ///< IA32_VMX_EPT_VPID_CAP

#endif
