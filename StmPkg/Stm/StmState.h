/** @file
  State of the STM: what its parts work on. The functions of a part are in the
  header of its folder. Folders are layers, and a lower one never calls a higher
  one; from the top:

    Entry    where VM exits arrive, and the tables that send them on
    Init     activation: the STM's own environment and its VMCSs
    Api      calls of the executive monitor and of the SMI handler
    Exit     VM exits of the SMI handler, SMIs and RSM
    Protect  what the handler can reach: EPT and bitmaps
    Event    the event log of the executive monitor
    State    the interrupted side, PSD and save state, the handler's start
    Domain   the VMCS database: what the handler may see of whom
    Guest    the SMM-guest VMCS; make a VMCS current, enter, resume, return
    Session  who is inside MSEG, who is a member of the session; the way out
    Log      records, and the end: crash

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_STATE_H_
#define STM_STATE_H_

#include <Base.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/StmApi.h>
#include <Register/Vmx.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmHashLib.h>
#include <Library/StmSaveStateLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>
#include <StmMsegLayout.h>
#include <StmRecord.h>

#include "StmMemory.h"
#include "Domain/Domain.h"
#include "Protect/PageMap.h"
#include "Protect/Resource.h"

///
/// What the SMI handler, as a guest of the STM, is running for. Setup and
/// teardown are events of their own, not SMIs.
///
typedef enum {
  StmEventNone,
  StmEventSmi,
  StmEventSetup,
  StmEventTeardown
} STM_EVENT;

///
/// Life of a processor under the dual-monitor treatment.
///
typedef enum {
  StmProcessorOff,           ///< not activated, or stopped
  StmProcessorInitialized,   ///< between INITIALIZE_PROTECTION and START: SMIs stay blocked
  StmProcessorStarted        ///< SMIs come to the STM
} STM_PROCESSOR_STATE;

///
/// What the STM keeps of the interrupted side's VMCS fields: all others go from the VMCS
/// to the save state. State/Registers.nasm fills it.
///
typedef struct {
  UINT64    Executive;       ///< executive-VMCS pointer
  UINT64    Link;            ///< VMCS-link pointer
  UINT64    Qualification;   ///< exit qualification
  UINT64    Smbase;
  UINT64    Rip;
  //
  // Of the latest SMI, once its save state is composed.
  //
  UINT64    Rsp;
  UINT64    Rflags;
  UINT64    Cr3;
  //
  // Pointers that are known to be none into SMRAM: most SMIs come with the same ones.
  //
  UINT64    KnownExecutive;
  UINT64    KnownLink;
} STM_INTERRUPTED;

///
/// Parts of a PSD that decide how the SMI handler is entered, as they were read.
///
typedef struct {
  UINT64    Smbase;     ///< of the processor; 0 for no PSD
  UINT64    Words[8];   ///< Signature, entry state and selectors, CR3, RIP, RSP, GDT and its size
  UINT64    Tss;        ///< where the TSS descriptor is
  UINT64    TssLow;     ///< the bits of its first half that hold the base
  UINT64    TssHigh;
} STM_PSD_COPY;

///
/// State with which the SMI handler starts: what State/Registers.nasm writes besides
/// constants.
///
typedef struct {
  UINT64          Rip;
  UINT64          Rsp;
  UINT64          Cr0;
  UINT64          Cr3;
  UINT64          Cr4;
  UINT64          Efer;
  UINT64          GdtBase;
  UINT64          GdtLimit;
  UINT64          TrBase;
  UINT64          Cs;
  UINT64          Ds;
  UINT64          Ss;
  UINT64          Other;       ///< ES, FS and GS
  UINT64          Tr;
  UINT64          TimeLimit;   ///< start value of the VMX-preemption timer
  UINT64          CsAccess;    ///< access rights of CS: 64-bit code, or 32-bit code
  STM_PSD_COPY    Psd;         ///< where this is from
} STM_HANDLER_ENTRY;

///
/// Registers of the interrupted side that no VMCS holds, and that every handler could
/// change without a VM exit. State/Registers.nasm fills it.
///
typedef struct {
  UINT64    Dr[4];
  UINT64    Dr6;
  UINT64    Cr2;
  UINT64    KernelGsBase;   ///< SWAPGS exchanges it
  UINT64    Cr8;            ///< the APIC's task priority, which has other ways to it
  UINT64    Cr0;            ///< of the STM, with CD and NW of the interrupted side
  UINT64    Reserved;
  UINT8     Fx[512];        ///< FXSAVE64
} STM_OTHER_REGISTERS;

///
/// MSRs of the interrupted side that no VMCS holds, and whose writes cause a VM exit
/// (State/Msr.c).
///
#define STM_KEPT_MSRS  22

///
/// What RSM of the handler has to give back because the handler has written it.
///
#define STM_RESTORE_MSR   BIT0       ///< the first of STM_KEPT_MSRS bits
#define STM_RESTORE_MODE  BIT31      ///< read shadows of CR0 and CR4, IA-32e mode, in the SMM-guest VMCS

///
/// A protection exception of the SMI handler while the firmware handles it.
///
typedef struct {
  UINT64               Smi;           ///< SmiCount at the last one
  UINT32               Count;         ///< how many in this SMI
  BOOLEAN              Ia32e;         ///< the mode of the violation, and of the frame
  UINT8                Reserved[3];
  UINT64               Frame;         ///< where its frame is; 0 while none is being handled
  STM_SEGMENT_STATE    Segments[2];   ///< CS and SS of the violation
  STM_RSC              Resource;      ///< what was touched
} STM_EXCEPTION_STATE;

///
/// The event log of the executive monitor (Event/).
///
#define STM_EVENT_PAGES    64
#define STM_EVENT_ENTRIES  (SIZE_4KB / STM_LOG_ENTRY_SIZE)   ///< of a page

typedef struct {
  UINT32    Lock;        ///< of those who write entries or change the log
  UINT32    Enabled;     ///< events that are logged now, a bit each; 0 while the log is stopped
  UINT32    Wanted;      ///< of CONFIGURE_LOG
  UINT32    PageCount;   ///< 0: there is no log
  UINT32    Started;
  UINT32    Serial;      ///< EventSerialNumber of the next event
  UINT64    Next;        ///< number of the entry that it goes to
  UINT64    Pages[STM_EVENT_PAGES];
} STM_EVENT_LOG;

///
/// INS or OUTS of the SMI handler that the processor executes at another port, to find out
/// whether the handler may access the memory (Exit/Step.c).
///
typedef struct {
  BOOLEAN    Active;
  UINT32     Qualification;   ///< of the VM exit for it
  UINT64     Rip;             ///< behind the instruction
  UINT64     Rcx;
  UINT64     Rdx;
  UINT64     Linear;          ///< of its operand in memory
} STM_STEP;

///
/// The address at port CF8H as the SMI handler has written it. The chipset's own stays
/// that of the interrupted side.
///
typedef struct {
  UINT64    Smi;       ///< SmiCount of the SMI that it is of
  UINT64    Address;
} STM_PCI_ADDRESS;

///
/// Where a processor of the session is, under the rendezvous policy (Exit/Rendezvous.c).
///
typedef enum {
  StmPresenceOutside,   ///< outside SMM, or in a call
  StmPresenceCalled,    ///< the same, but the STM has sent it an SMI
  StmPresenceParked,    ///< the same, and it did not come: its SMI is pending
  StmPresenceInside     ///< from its SMM VM exit for an SMI to its return
} STM_PRESENCE;

typedef struct {
  UINT64    Ticks;     ///< how long an SMI waits for other processors; 0: there is no rendezvous
  UINT32    Lock;      ///< of Running, and of Presence of all processors
  UINT32    Running;   ///< processors from their SMM VM exit to the end of their handler
} STM_RENDEZVOUS;

///
/// What a page of the snapshot policy is used for (Protect/Snapshot.c).
///
typedef struct {
  UINT64    Page;     ///< what it is a copy of; no multiple of 4 KB for another use
  UINT32    Owner;    ///< slot + 1 of the processor whose handler it is for; 0: free
  UINT32    Before;   ///< number + 1 of the page with what it was before it was written; 0: not written
} STM_SNAPSHOT_USE;

typedef struct {
  UINT64              Roots;   ///< top tables of the processors' EPT, one a block
  UINT64              Pool;    ///< the pages
  STM_SNAPSHOT_USE    *Uses;   ///< of each page
  UINT32              Pages;   ///< their number; 0: the handler sees memory as it is
  UINT32              Reserved;
} STM_SNAPSHOTS;

///
/// The top table of a processor's EPT under the snapshot policy.
///
#define STM_SNAPSHOT_ROOT(Processor)  ((Processor)->Shared->Snapshot.Roots + (UINT64)(Processor)->Slot * SIZE_4KB)

///
/// State of one processor, at the top of its block. The two register sets come
/// first: VM exits push them, so their place fixes HOST_RSP of both VMCSs
/// (Entry/Exit.nasm).
///
/// Two VMCSs, both in MSEG. The SMM-transfer VMCS holds the interrupted side:
/// SMM VM exits write it, the return from SMM reads it. The SMM-guest VMCS is
/// that of the SMI handler.
///
struct VMX_CONTEXT {
  VMX_REGISTERS              Interrupted;
  VMX_REGISTERS              Handler;
  struct STM_SHARED_STATE    *Shared;
  UINT32                     Slot;
  UINT32                     ApicId;
  STM_PROCESSOR_STATE        State;
  STM_EVENT                  Event;
  UINT64                     TransferVmcs;
  UINT64                     SmmGuestVmcs;   ///< 0 in the spare block
  UINT64                     VmxonPointer;
  BOOLEAN                    TransferLaunched;
  BOOLEAN                    SmmGuestLaunched;
  UINT16                     Reserved2;
  UINT32                     Restore;        ///< STM_RESTORE_MSR and so on
  UINT32                     HandlerCr0Fixed0;
  UINT32                     HandlerCr4Fixed0;
  UINT32                     HandlerLimit;   ///< start value of the VMX-preemption timer
  UINT32                     ExitCost;       ///< what a VM exit of the handler takes from it
  UINT64                     SmmMonitorCtl;  ///< IA32_SMM_MONITOR_CTL before START
  UINT64                     Efer;           ///< at the activation
  UINT64                     SmiCount;
  UINT64                     Msrs[STM_KEPT_MSRS];
  STM_OTHER_REGISTERS        Other;          ///< aligned to 16 bytes, as FXSAVE wants it
  UINT64                     ExitCount;
  UINT32                     Refused;        ///< status for the activating call, STM_SUCCESS if it may be served
  UINT32                     Mended;         ///< returns to the interrupted side that failed since it was left
  STM_RING_RECORD            *Ring;          ///< this processor's part of the ring
  UINT32                     RingMask;       ///< its records - 1; their number is a power of two
  UINT32                     RingSequence;   ///< number of the next record
  UINT32                     RingFlushed;    ///< number of the first one that was not written yet
  UINT32                     Generation;     ///< of protection, when this processor last entered the handler
  UINT32                     Domain;         ///< of this SMI: STM_DOMAIN_POLICY, without degradation; 0 for none
  UINT32                     DomainTaken;    ///< of STM_DOMAIN_SMI
  STM_INTERRUPTED            Saved;
  STM_HANDLER_ENTRY          Entry;          ///< of the handler's latest start
  STM_EXCEPTION_STATE        Exception;
  STM_STEP                   Step;
  STM_PCI_ADDRESS            PciAddress;
  STM_PRESENCE               Presence;       ///< locked by STM_RENDEZVOUS.Lock
  UINT32                     SnapshotPages;  ///< pages that this SMI has taken
  VMX_HOST_TABLES            Host;
};

typedef VMX_CONTEXT STM_PROCESSOR;

///
/// What stands in STM_PROCESSOR otherwise, while the handler runs that must not see it.
///
typedef struct {
  VMX_REGISTERS    Interrupted;
} STM_HIDDEN_STATE;

///
/// Where PCI configuration space is in memory (ECAM), as one word: a processor that reads it
/// while another one changes it has the old place or the new one, and never a base of one with
/// the size of the other. The base is a multiple of 1 MB; below it the size, in units of 1 MB,
/// at most 256. 0 for nowhere.
///
#define STM_ECAM(Base, Size)  ((Base) | ((Size) / SIZE_1MB))
#define STM_ECAM_BASE(Ecam)   ((Ecam) & ~(UINT64)(SIZE_1MB - 1))
#define STM_ECAM_SIZE(Ecam)   (((Ecam) & (SIZE_1MB - 1)) * SIZE_1MB)

///
/// State of all processors, first page of the dynamic area. The first processor
/// inside zeroes it, but for its first words: others read and write them while
/// they wait, and the last instruction of one that leaves is a write to Inside.
///
typedef struct STM_SHARED_STATE {
  UINT32                      Lock;             ///< bit 0, taken by Entry/Activate.nasm: activations, one at a time
  UINT32                      Inside;           ///< processors in MSEG: Session/Session.h
  UINT32                      Session;          ///< phase and members: Session/Session.h
  UINT32                      RecordLock;       ///< slot + 1 of the processor that writes records, 0 for none
  UINT32                      Crashing;         ///< processors that are writing their crash records
  UINT32                      Blocks;           ///< blocks handed out since the image was loaded
  UINT32                      Spare;            ///< not 0: the spare block is, too
  UINT32                      Reserved;
  //
  // Zeroed from here on.
  //
  UINT64                      MsegBase;
  UINT64                      MsegEnd;
  UINT64                      TsegBase;
  UINT64                      TsegEnd;
  UINT64                      Dynamic;
  UINT64                      HostCr3;
  UINT64                      EptPointer;
  UINT64                      SmmExit;          ///< where SMM VM exits arrive: Entry/Exit.nasm
  UINT64                      SmmGuestExit;     ///< where VM exits of the SMI handler arrive
  UINT64                      ActivationTables; ///< activation page tables: the STM's own, too
  UINT64                      *Windows;         ///< page-table entries of the windows, one a block
  UINT64                      WindowBase;       ///< linear address of the first window
  UINT64                      Pool;             ///< pages for tables, at the end of MSEG
  UINT64                      EptPool;          ///< those that the STM's own page tables have left
  UINT64                      Draft;            ///< profile as a call is about to change it
  UINT64                      BiosList;         ///< the firmware's list of resources
  UINT64                      FirstBlock;       ///< block of slot 0
  UINT64                      Vmcss;            ///< VMCS regions, STM_LARGE_VMCSS_SIZE each block; 0: they are in it
  UINT64                      Ring;             ///< the parts of the ring, if there are any
  UINT32                      PoolPages;        ///< pages of Pool
  UINT32                      EptPages;         ///< pages of EptPool
  UINT32                      BiosRoom;         ///< pages that BiosList has room for
  UINT32                      PciLock;          ///< 1 while a processor uses ports CF8H and CFCH
  UINT64                      Ecam;             ///< STM_ECAM that is guarded: STM_ECAM_NOW
  UINT64                      ChipsetEcam;      ///< where the chipset had it last
  UINT64                      McfgEcam;         ///< where ACPI's tables had it at INITIALIZE_PROTECTION
  UINT64                      PciProtected;     ///< not 0: something of configuration space is protected, or was
  UINT32                      VmcsSize;         ///< bytes of a VMCS region
  UINT32                      BlockSize;        ///< STM_BLOCK_SIZE or STM_LARGE_BLOCK_SIZE
  UINT32                      ProcessorLimit;   ///< processors that are served at a time; parts of the ring
  UINT32                      BlockLimit;       ///< blocks there is room for
  UINT32                      RingRecords;      ///< records of a part of the ring; 0: each block has its own
  UINT32                      PhysicalBits;
  UINT32                      NoSmram;          ///< not 0: nothing says where SMRAM is
  UINT32                      KnownChipset;     ///< not 0: the chipset says where ECAM is, not ACPI's tables alone
  UINT32                      ProfileLock;      ///< 1 while a processor changes what is protected
  UINT32                      Generation;       ///< of protection: counts its changes
  UINT32                      BiosPages;        ///< pages of BiosList that are filled, 0 before it is read
  UINT8                       MsegSha256[STM_SHA256_DIGEST_SIZE];
  STM_PAGE_MAP                Ept;
  STM_DOMAINS                 Domains;
  STM_EVENT_LOG               Events;
  STM_RENDEZVOUS              Rendezvous;
  STM_SNAPSHOTS               Snapshot;
  IA32_IDT_GATE_DESCRIPTOR    Idt[VMX_EXCEPTION_VECTORS];
} STM_SHARED;

///
/// ECAM that is guarded now.
///
#define STM_ECAM_NOW(Shared)  (*(CONST volatile UINT64 *)&(Shared)->Ecam)

///
/// State of the processor of a block.
///
#define STM_PROCESSOR_OF(Shared, Slot)                                         \
  ((STM_PROCESSOR *)(UINTN)((Shared)->FirstBlock +                             \
                            (UINT64)(Slot) * (Shared)->BlockSize + STM_BLOCK_PROCESSOR))

///
/// The table of the activation that maps the GB of MSEG.
///
#define STM_DIRECTORY_OF(Shared)  ((Shared)->ActivationTables + STM_TABLES_DIRECTORY ((Shared)->MsegBase / SIZE_1GB))

///
/// Is there a spare block? Not where VMCS regions take more than STM_VMCS_ROOM, and not where
/// a table is in its place.
///
#define STM_HAS_SPARE(Shared)  \
  (((Shared)->Vmcss == 0) && (STM_DIRECTORY_OF (Shared) != (Shared)->ActivationTables + STM_TABLES_SPARE))

///
/// State of the processor of the spare block. That has number BlockLimit.
///
#define STM_SPARE_OF(Shared)  ((STM_PROCESSOR *)(UINTN)((Shared)->Dynamic + STM_SPARE_PROCESSOR))

///
/// A function that few SMIs call: within its caller, each SMI would pay for the registers
/// and the stack that it needs.
///
#if defined (__GNUC__)
#define STM_RARE  __attribute__ ((noinline, cold))
#else
#define STM_RARE
#endif

///
/// What an exit handler returns to the entry code: the register set to load,
/// plus STM_ENTER_RESUME for VMRESUME instead of VMLAUNCH. With STM_ENTER_SAVE_STATE the
/// registers are those of the save-state map there, and VMRESUME enters.
///
typedef UINTN STM_ENTER;

#define STM_ENTER_RESUME      BIT0
#define STM_ENTER_SAVE_STATE  BIT1

#endif
