/** @file
  What the parts of the test driver share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef TEST_HANDLER_H_
#define TEST_HANDLER_H_

#include <PiSmm.h>
#include <Guid/StmTestHandler.h>

/**
  Prepare a fault in the list of resources, if the owner of the machine asks for one.

  @retval EFI_SUCCESS  Prepared, or not asked for.
  @retval others       The end of DXE cannot be waited for.
**/
EFI_STATUS
TestResources (
  VOID
  );

#endif
