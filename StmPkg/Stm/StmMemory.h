/** @file
  Dynamic area of the STM: everything in MSEG that changes.

  Offsets are from the start of the dynamic area, which follows the
  activation tables (StmMsegLayout.h). The Python converter takes
  STM_DYNAMIC_SHARED_SIZE into the software header; test_layout.py compares both.

    0x00000  STM_LOADER_DATA
    0x00080  STM_SHARED: lock, counters, IDT
    0x00800  STM_PROCESSOR of the spare block
    0x01000  entry stack, and the list of resources of a call: both are used under the
             lock of activations
    0x02000  MSR bitmap
    0x03000  I/O bitmap, of both halves of the ports
    0x04000  protection profile
    0x05000  processor blocks, STM_BLOCK_SIZE each:
               0x0000  SMM-transfer VMCS
               0x0500  crash stack, and behind it the stack
               0x1000  SMM-guest VMCS
               0x1600  short ring
               0x1800  STM_PROCESSOR, and what a domain hides
             Where a VMCS takes more than STM_VMCS_ROOM, both are in two pages of their own,
             behind all blocks, and a block is STM_LARGE_BLOCK_SIZE, what is left of the first
             three quarters moved together.

  Of the six activation tables, which are in front of the dynamic area, three are in use,
  since MSEG lies within one GB. The STM makes them its own page tables (Init/HostState.c):

    0       PML4; at 0x800 the VMCS database, whose words are no entries that are present
    1       page of pointers; at 0xF80 the registers that an activation has to move out of the way
    2 to 5  the page directory of the GB of MSEG, 2 for the first GB, and in the others, in
            this order:
              the profile as a call is about to change it
              the firmware's list of resources, where MSEG has no room for a longer one
              the first page of the spare block: SMM-transfer VMCS, crash stack, stack

  A processor that can only be refused has the spare block. It needs no SMM-guest VMCS, so
  the second page of that block is the first one of the dynamic area. In the fourth GB the
  page in front of that is the page directory, and there is no spare block.

  At the end of MSEG is what may be larger where there is more than the needed size
  (Init/Divide.c): the firmware's list of resources, the ring of records, and a pool of
  pages for the STM's own page tables and the EPT of the SMI handler. Behind them, if there
  is the snapshot policy, top tables for each block, what the policy's pages are used for, and
  the pages.

  The first processor inside zeroes the shared part, but for the first words. A block is
  zeroed by its own processor when it comes in.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_MEMORY_H_
#define STM_MEMORY_H_

#include <StmMsegLayout.h>

#define STM_DYNAMIC_SHARED       STM_LOADER_DATA_SIZE
#define STM_DYNAMIC_ENTRY_STACK  0x01000
#define STM_DYNAMIC_MSR_BITMAP   0x02000
#define STM_DYNAMIC_IO_BITMAP    0x03000
#define STM_DYNAMIC_PROFILE      0x04000
#define STM_DYNAMIC_LIST         STM_DYNAMIC_ENTRY_STACK
#define STM_DYNAMIC_SHARED_SIZE  0x05000

///
/// A processor's block in the dynamic area. A VMCS region begins a page, and processors
/// take 1 KB of it (IA32_VMX_BASIC[44:32]): the rest of both pages is for what else a
/// processor has.
///
#define STM_BLOCK_SIZE  0x2000
#define STM_VMCS_ROOM   STM_MSEG_VMCS_ROOM

///
/// PerProcDynamicMemorySize of the software header, to which the firmware adds two VMCS
/// regions: with those of 1 KB it is a block.
///
#define STM_PER_PROCESSOR_MEMORY  0x1800

///
/// A block whose VMCSs are elsewhere. With two pages for them that is what the formula sets
/// aside where a region takes 4 KB.
///
#define STM_LARGE_BLOCK_SIZE  0x1800
#define STM_LARGE_VMCSS_SIZE  (2 * SIZE_4KB)

///
/// The spare block: without one of its own a processor cannot even be refused. In front of
/// the dynamic area begins its first page, and at 800H of it is its STM_PROCESSOR.
///
#define STM_SPARE_PROCESSOR  0x0800

///
/// Pages for tables, at the end of MSEG, that its needed size has room for. The STM's own
/// are two besides those of the activation; the EPT's are four before anything is protected.
/// One more is needed where MSEG crosses a boundary of 2 MB, by the EPT, and by the STM's own
/// as well if that lies in front of the dynamic area. Without leaves of 1 GB the EPT's four
/// map the GB of TSEG, and the first GB and the fourth take one each, if they are others.
/// An activation for which they are too few is refused.
///
#define STM_RESERVE_PAGES  7

///
/// Where a region takes 4 KB, an odd number of processors loses half a page. There is no
/// spare block then, but where MSEG is larger there are blocks to spare.
///
#define STM_LARGE_RESERVE_PAGES  (STM_RESERVE_PAGES - 1)

///
/// How much of a larger MSEG is used.
///
#define STM_RING_MOST_PAGES  16
#define STM_POOL_MOST_PAGES  392
#define STM_RECORDS_A_PAGE   (SIZE_4KB / 64)

///
/// Distance from the activation page tables, where CR3 points on entry, to the
/// dynamic area, and what else the STM has in these tables.
///
#define STM_DYNAMIC_FROM_TABLES  STM_MSEG_ACTIVATION_TABLES_SIZE
#define STM_TABLES_DOMAINS       0x0800
#define STM_TABLES_POINTERS      0x1000
#define STM_TABLES_SPARE         0x5000

///
/// Those that depend on the GB of MSEG, 0 to 3.
///
#define STM_TABLES_DIRECTORY(Own)  (0x2000 + (Own) * SIZE_4KB)
#define STM_TABLES_DRAFT(Own)      (((Own) == 0) ? 0x3000 : 0x2000)
#define STM_TABLES_BIOS_LIST(Own)  (((Own) <= 1) ? 0x4000 : 0x3000)

///
/// Parts of a processor block.
///
#define STM_BLOCK_TRANSFER_VMCS    0x0000
#define STM_BLOCK_CRASH_STACK_TOP  0x0800
#define STM_BLOCK_STACK_TOP        0x1000
#define STM_BLOCK_SMM_GUEST_VMCS   0x1000
#define STM_BLOCK_RING             0x1600
#define STM_BLOCK_RING_RECORDS     8
#define STM_BLOCK_PROCESSOR        0x1800
#define STM_BLOCK_HIDDEN           0x1F80

///
/// The same in a block of STM_LARGE_BLOCK_SIZE, where they are elsewhere. The rest is at the
/// same distances from STM_PROCESSOR, so that such a block begins at 800H of what would be
/// one of the others.
///
#define STM_LARGE_BLOCK_START            0x0800
#define STM_LARGE_BLOCK_CRASH_STACK_TOP  0x1300
#define STM_LARGE_BLOCK_RING             0x1300

#endif
