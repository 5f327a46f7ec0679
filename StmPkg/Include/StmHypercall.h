/** @file
  Hypercalls of the executive monitor: VMCALL in its guest, CPL 0, number in
  EAX. They lie outside the number space of the STM API, so that a guest that
  calls the STM by mistake is refused and not misunderstood. The executive
  monitor never forwards a guest's VMCALL to the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_HYPERCALL_H_
#define STM_HYPERCALL_H_

///
/// Is the executive monitor there? RAX: EXEC_HYPERCALL_SIGNATURE.
///
#define EXEC_HYPERCALL_PRESENT  0x4C000001

///
/// Stop the STM, leave VMX operation, continue natively after the VMCALL: on the
/// processor that calls, in 64-bit mode, with page tables that map the executive
/// monitor at its physical address, as the firmware's do.
/// RAX: EXEC_HYPERCALL_SUCCESS, or an error and nothing changed.
///
#define EXEC_HYPERCALL_LEAVE  0x4C000002

///
/// Exit statistics. RBX in: basic exit reason; RBX out: how often it occurred
/// since the launch, on all processors.
///
#define EXEC_HYPERCALL_STATISTICS  0x4C000003

///
/// Let the STM keep its SMI handler from a page of memory, and let it be reached
/// again. RBX in: physical address of the page, aligned to 4 KB. RAX:
/// EXEC_HYPERCALL_SUCCESS, or an error and nothing changed; RBX out: the STM's status,
/// 0 if it was not asked.
///
#define EXEC_HYPERCALL_PROTECT    0x4C000004
#define EXEC_HYPERCALL_UNPROTECT  0x4C000005

///
/// Get a page of the list of resources that the firmware's SMI handlers need. RBX in:
/// index of the page; RAX: EXEC_HYPERCALL_SUCCESS or an error; RBX out: index of the
/// next page, 0 after the last one, or the STM's status. The page stays with the
/// processor that called.
///
#define EXEC_HYPERCALL_RESOURCES  0x4C000006

///
/// Read eight bytes of that page. RBX in: offset, a multiple of 8; RBX out: the bytes.
///
#define EXEC_HYPERCALL_RESOURCE_BYTES  0x4C000007

///
/// MANAGE_EVENT_LOG. RBX in: the sub-function in bits 31:0, in bits 63:32 the number of
/// pages (NEW_LOG, at most EXEC_LOG_PAGES) or the bitmap of events (CONFIGURE_LOG). RAX:
/// EXEC_HYPERCALL_SUCCESS, or an error and nothing changed; RBX out: the STM's status, 0
/// if it was not asked. The pages are the executive monitor's: its guest reads them by the
/// next two calls.
///
#define EXEC_HYPERCALL_LOG  0x4C000008

///
/// Take a copy of an entry of the event log and mark the entry as read. RBX in: its
/// place, from 0. RAX: EXEC_HYPERCALL_SUCCESS; EXEC_HYPERCALL_BAD_INPUT if there is no
/// such place; EXEC_HYPERCALL_BUSY if the STM writes there. RBX out: the entry's first
/// eight bytes, its header, as it was before. The copy stays with the processor that
/// called.
///
#define EXEC_HYPERCALL_LOG_ENTRY  0x4C000009

///
/// Read eight bytes of that copy. RBX in: offset, a multiple of 8; RBX out: the bytes.
///
#define EXEC_HYPERCALL_LOG_BYTES  0x4C00000A

///
/// MANAGE_VMCS_DATABASE for the guest VMCS of every processor. RBX in: EXEC_DOMAIN. RAX:
/// EXEC_HYPERCALL_SUCCESS, or an error and nothing changed; RBX out: the STM's status, 0
/// if it was not asked.
///
#define EXEC_HYPERCALL_DOMAIN  0x4C00000B

///
/// What to say of a domain: fields of STM_VMCS_DATABASE_REQUEST, and whether to add.
///
#define EXEC_DOMAIN(Type, XState, Degradation)  ((UINT64)(Type) | ((UINT64)(XState) << 4) | ((UINT64)(Degradation) << 6))
#define EXEC_DOMAIN_TYPE(Rbx)                   ((UINT32)(Rbx) & 0xF)
#define EXEC_DOMAIN_XSTATE(Rbx)                 ((UINT32)((Rbx) >> 4) & 3)
#define EXEC_DOMAIN_DEGRADATION(Rbx)            ((UINT32)((Rbx) >> 6) & 0xF)
#define EXEC_DOMAIN_ADD  BIT32

///
/// The most pages of an event log.
///
#define EXEC_LOG_PAGES  4

#define EXEC_HYPERCALL_SIGNATURE    0x45584543
#define EXEC_HYPERCALL_SUCCESS      0
#define EXEC_HYPERCALL_UNKNOWN      0x80000001
#define EXEC_HYPERCALL_BAD_INPUT    0x80000002
#define EXEC_HYPERCALL_STM_REFUSED  0x80000003
#define EXEC_HYPERCALL_BUSY         0x80000004

#endif
