/** @file
  Dynamic area of the STM: everything in MSEG that changes.

  Offsets are from the start of the dynamic area, which follows the
  activation tables and STM_LOADER_DATA (StmMsegLayout.h). The Python converter
  takes STM_DYNAMIC_SHARED_SIZE into the software header; test_layout.py
  compares both.

    0x00000  STM_SHARED: lock, counters, IDT
    0x01000  entry stack, used under the lock during activation
    0x02000  MSR bitmap
    0x03000  I/O bitmaps A and B
    0x05000  the STM's own page tables
    0x11000  protection profile
    0x13000  the same as a call is about to change it
    0x15000  list of resources of a call
    0x16000  the firmware's list of resources
    0x1A000  ring of records
    0x2A000  processor blocks, STM_PER_PROCESSOR_SIZE each:
               0x0000  SMM-transfer VMCS
               0x1000  SMM-guest VMCS
               0x2000  crash stack, short ring, what a domain hides,
                       stack, STM_PROCESSOR at the top

  At the end of MSEG, EPT of the SMI handler: STM_EPT_LEAST_PAGES, and what MSEG has
  beyond its needed size, up to STM_EPT_MOST_PAGES.

  The first processor inside zeroes the shared part, but for the first words and
  the ring. A block is zeroed by its own processor when it comes in.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_MEMORY_H_
#define STM_MEMORY_H_

#include <StmMsegLayout.h>

#define STM_DYNAMIC_SHARED       0x00000
#define STM_DYNAMIC_ENTRY_STACK  0x01000
#define STM_DYNAMIC_MSR_BITMAP   0x02000
#define STM_DYNAMIC_IO_BITMAP_A  0x03000
#define STM_DYNAMIC_IO_BITMAP_B  0x04000
#define STM_DYNAMIC_PAGE_TABLES  0x05000
#define STM_DYNAMIC_PROFILE      0x11000
#define STM_DYNAMIC_DRAFT        0x13000
#define STM_DYNAMIC_LIST         0x15000
#define STM_DYNAMIC_BIOS_LIST    0x16000
#define STM_DYNAMIC_RING         0x1A000
#define STM_DYNAMIC_SHARED_SIZE  0x2A000

#define STM_PAGE_TABLE_PAGES  ((STM_DYNAMIC_PROFILE - STM_DYNAMIC_PAGE_TABLES) / SIZE_4KB)
#define STM_EPT_MOST_PAGES    384
#define STM_RING_RECORDS      ((STM_DYNAMIC_SHARED_SIZE - STM_DYNAMIC_RING) / 64)

///
/// Distance from the activation page tables, where CR3 points on entry, to the
/// dynamic area.
///
#define STM_DYNAMIC_FROM_TABLES  (STM_MSEG_ACTIVATION_TABLES_SIZE + STM_LOADER_DATA_SIZE)

///
/// Parts of a processor block.
///
#define STM_BLOCK_TRANSFER_VMCS     0x0000
#define STM_BLOCK_SMM_GUEST_VMCS    0x1000
#define STM_BLOCK_STACK             0x2000
#define STM_BLOCK_CRASH_STACK_SIZE  0x600
#define STM_BLOCK_RING              (STM_BLOCK_STACK + STM_BLOCK_CRASH_STACK_SIZE)
#define STM_BLOCK_RING_RECORDS      8
#define STM_BLOCK_HIDDEN            (STM_BLOCK_RING + STM_BLOCK_RING_RECORDS * 64)
#define STM_BLOCK_STACK_END         (STM_BLOCK_HIDDEN + 0x280)

#endif
