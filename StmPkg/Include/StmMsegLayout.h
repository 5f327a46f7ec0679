/** @file
  Layout of the STM image in its file and in MSEG.

  One definition for the converter (Python, build_scripts/stm_image), the
  loader (SMM) and the STM. tests/host/test_layout.py compares the Python
  constants with this header.

    offset in MSEG                      contents
    0x00000                             MSEG header (processor, 2 KB)
    STM_MSEG_SOFTWARE_HEADER_OFFSET     SOFTWARE_STM_HEADER (StmApi.h)
    STM_MSEG_LAB_HEADER_OFFSET          STM_LAB_HEADER
    STM_MSEG_GDT_OFFSET                 GDT in force after activation
    STM_MSEG_IMAGE_OFFSET               image: text (RX), read-only data (R), linked
                                        at their offsets
    StaticImageSize                     activation page tables (6 pages)
    + STM_MSEG_ACTIVATION_TABLES_SIZE   dynamic area of the STM, beginning with
                                        STM_LOADER_DATA

  Everything below StaticImageSize is never written after the load and is what
  the MSEG hash covers.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_MSEG_LAYOUT_H_
#define STM_MSEG_LAYOUT_H_

#include <Register/Intel/StmApi.h>

#define STM_MSEG_SOFTWARE_HEADER_OFFSET  0x0800
#define STM_MSEG_LAB_HEADER_OFFSET       0x0A00
#define STM_MSEG_GDT_OFFSET              0x0C00
#define STM_MSEG_IMAGE_OFFSET            0x1000

///
/// Selectors of the activation GDT. The processor derives every data selector
/// from the header's CS selector plus 8 (SDM "Loading Host State", 34.15.6.6
/// [32.15.6.6]).
///
#define STM_MSEG_CS_SELECTOR  0x38
#define STM_MSEG_DS_SELECTOR  0x40
#define STM_MSEG_GDT_LIMIT    0x47

///
/// PML4, PDPT and four page directories: 4 GB identity in 2-MB pages. No XD
/// bit, since the executive monitor may run with EFER.NXE = 0, which makes it a
/// reserved one (DM-ACT-62).
///
#define STM_MSEG_ACTIVATION_TABLES_PAGES  6
#define STM_MSEG_ACTIVATION_TABLES_SIZE   (STM_MSEG_ACTIVATION_TABLES_PAGES * SIZE_4KB)

#define STM_LOADER_DATA_SIZE  0x80

///
/// Where a VMCS region takes more bytes than this, an STM of ours uses a page for each.
///
#define STM_MSEG_VMCS_ROOM  0x500

///
/// What the snapshot policy takes of MSEG beyond that, for a number of pages: the pages,
/// 16 bytes of state for each, a top table of the EPT for each processor, and one to spare.
///
#define STM_SNAPSHOT_MOST_PAGES  0x10000
#define STM_SNAPSHOT_USES_SIZE(Pages)  (((UINT64)(Pages) * 16 + SIZE_4KB - 1) & ~(UINT64)(SIZE_4KB - 1))
#define STM_SNAPSHOT_SIZE(Pages, Processors)                                   \
  (((Pages) == 0) ? 0 :                                                        \
   ((UINT64)(Pages) + (Processors) + 1) * SIZE_4KB + STM_SNAPSHOT_USES_SIZE (Pages))

///
/// The save-state map that the STM composes, announced in the software header
/// and required by PSD.RequiredStmSmmRevId: QEMU's AMD64 map.
///
#define STM_SMM_REVISION_ID  0x00020064

#define STM_LAB_HEADER_SIGNATURE   SIGNATURE_64 ('S', 'T', 'M', 'L', 'A', 'B', 'H', 'D')
#define STM_LAB_HEADER_VERSION     2
#define STM_LOADER_DATA_SIGNATURE  SIGNATURE_64 ('S', 'T', 'M', 'L', 'O', 'A', 'D', 'R')

#pragma pack(1)

///
/// What the loader needs and the architectural headers do not say. All offsets
/// are from the start of the file (equal to the offset in MSEG below
/// StaticImageSize). Written by the converter, constant afterwards.
///
typedef struct {
  UINT64    Signature;           ///< STM_LAB_HEADER_SIGNATURE
  UINT32    Version;             ///< STM_LAB_HEADER_VERSION
  UINT32    HeaderSize;          ///< sizeof (STM_LAB_HEADER)
  UINT32    ImageOffset;         ///< STM_MSEG_IMAGE_OFFSET
  UINT32    ImageSize;           ///< bytes, multiple of 4 KB
  UINT32    TextOffset;          ///< first byte of executable code, 4-KB aligned
  UINT32    TextSize;            ///< bytes, multiple of 4 KB
  UINT32    RodataOffset;        ///< first byte of read-only data, 4-KB aligned
  UINT32    RodataSize;          ///< bytes, multiple of 4 KB
} STM_LAB_HEADER;

///
/// What the loader tells the STM. Follows the activation tables, outside
/// the hashed range; the STM preserves it when it zeroes its dynamic area.
///
typedef struct {
  UINT64    Signature;           ///< STM_LOADER_DATA_SIGNATURE
  UINT64    MsegBase;            ///< physical address
  UINT64    MsegSize;            ///< bytes
  UINT64    TsegBase;            ///< physical address of TSEG, MSEG included
  UINT64    TsegSize;            ///< bytes
  UINT32    NumberOfProcessors;  ///< blocks the dynamic area has room for
  UINT32    PhysicalAddressBits; ///< CPUID.80000008H:EAX[7:0]
  UINT8     MsegSha256[32];      ///< of MSEG [0, StaticImageSize)
  UINT64    RendezvousTicks;     ///< how long an SMI waits for other processors, in ticks of the TSC; 0: it does not
  UINT64    SnapshotPages;       ///< pages for copies of what SMI handlers read outside SMRAM; 0: they read it as it is
} STM_LOADER_DATA;

#pragma pack()

#endif
