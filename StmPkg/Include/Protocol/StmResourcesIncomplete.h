/** @file
  The firmware's list of resources lacks a claim: a driver could not make it, or the list
  did not take it. In the database of SMM, from that moment on; its interface is the name of
  whoever says so, an ASCII string.

  An STM that went by the list would take from an SMI handler what it needs, so the loader
  of the STM refuses it at boot.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_RESOURCES_INCOMPLETE_H_
#define STM_RESOURCES_INCOMPLETE_H_

extern EFI_GUID  gStmResourcesIncompleteProtocolGuid;

#endif
