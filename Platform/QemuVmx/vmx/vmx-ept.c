/*
 * VMX: extended page tables
 *
 * Intel SDM volume 3, "VMX Support for Address Translation", sections "The
 * Extended Page Table Mechanism (EPT)" and "Caching Translation Information".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/page-protection.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

/* EPT pointer */
#define EPTP_MEMTYPE_MASK       0x7ULL
#define EPTP_WALK_SHIFT         3
#define EPTP_WALK_MASK          (0x7ULL << EPTP_WALK_SHIFT)
#define EPTP_WALK_4LEVEL        (3ULL << EPTP_WALK_SHIFT)
#define EPTP_RESERVED_LOW       (0x1fULL << 7)

/* EPT entries */
#define EPTE_READ               (1ULL << 0)
#define EPTE_WRITE              (1ULL << 1)
#define EPTE_EXEC               (1ULL << 2)
#define EPTE_RWX                (EPTE_READ | EPTE_WRITE | EPTE_EXEC)
#define EPTE_MEMTYPE_SHIFT      3
#define EPTE_MEMTYPE_MASK       (0x7ULL << EPTE_MEMTYPE_SHIFT)
#define EPTE_IPAT               (1ULL << 6)
#define EPTE_LARGE              (1ULL << 7)
#define EPTE_ACCESSED           (1ULL << 8)
#define EPTE_DIRTY              (1ULL << 9)
#define EPTE_ADDR_MASK          0x000ffffffffff000ULL

#define EPT_TOP_LEVEL           4
#define EPT_LEVEL_SHIFT(level)  (12 + 9 * ((level) - 1))

/* Exit qualification for EPT violations, SDM "Basic VM-Exit Information" */
#define EPT_QUAL_READ           (1u << 0)
#define EPT_QUAL_WRITE          (1u << 1)
#define EPT_QUAL_FETCH          (1u << 2)
#define EPT_QUAL_PERM_SHIFT     3
#define EPT_QUAL_LINEAR_VALID   (1u << 7)
#define EPT_QUAL_TRANSLATION    (1u << 8)

/* Host view of one 8-byte EPT entry. */
typedef struct EPTEntryRef {
    hwaddr addr;
    void *haddr;
    uint64_t value;
} EPTEntryRef;

static bool ept_memtype_valid(unsigned type)
{
    /* UC, WC, WT, WP and WB; 2, 3 and 7 are reserved. */
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

/*
 * EPTP check of VM entry ("VM-Execution Control Fields"): memory type and
 * walk length as reported in IA32_VMX_EPT_VPID_CAP, reserved bits zero.
 */
bool vmx_eptp_valid(CPUX86State *env, uint64_t eptp)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    unsigned type = eptp & EPTP_MEMTYPE_MASK;

    if (type != 6 && type != 0) {
        return false;
    }
    if ((eptp & EPTP_WALK_MASK) != EPTP_WALK_4LEVEL) {
        return false;
    }
    if ((eptp & EPTP_AD_ENABLE) && !(caps & MSR_VMX_EPT_AD_BITS)) {
        return false;
    }
    if (eptp & EPTP_RESERVED_LOW) {
        return false;
    }
    return !(eptp >> env_archcpu(env)->phys_bits);
}

/*
 * Tables in device memory.  With icount a walk in the middle of a block must
 * not look at the clock; the time of the block's end does for that.
 */
static uint64_t ept_device_ldq(CPUX86State *env, hwaddr addr)
{
    CPUState *cs = env_cpu(env);
    bool can_do_io = cs->neg.can_do_io;
    uint64_t value;

    cs->neg.can_do_io = true;
    value = x86_ldq_phys(cs, addr);
    cs->neg.can_do_io = can_do_io;
    return value;
}

static void ept_device_stl(CPUX86State *env, hwaddr addr, uint32_t value)
{
    CPUState *cs = env_cpu(env);
    bool can_do_io = cs->neg.can_do_io;

    cs->neg.can_do_io = true;
    x86_stl_phys(cs, addr, value);
    cs->neg.can_do_io = can_do_io;
}

/*
 * Entries are accessed through the physical MMU index, like the tables of
 * nested paging: its softmmu TLB entries carry the memory attributes of the
 * current SMM state, and SMM has a bank of the TLB of its own.
 *
 * What is not RAM is accessed without the TLB: the slow path of cpu_ld*() may
 * want to run the instruction again (-icount), which needs a return address,
 * and walks started by probes have none.
 */
static void ept_load(CPUX86State *env, EPTEntryRef *ref)
{
    probe_access_full_mmu(env, ref->addr, 0, MMU_DATA_LOAD, MMU_PHYS_IDX,
                          &ref->haddr, NULL);
    if (likely(ref->haddr)) {
        ref->value = ldq_le_p(ref->haddr);
    } else {
        ref->value = ept_device_ldq(env, ref->addr);
    }
}

/*
 * Set the accessed or dirty flag.  Both are in the low half of the entry, so
 * that a 32-bit compare-and-swap does on every host.  Returns false if the
 * entry changed under our feet and the walk has to start again.
 */
static bool ept_set_flags(CPUX86State *env, EPTEntryRef *ref, uint32_t flags)
{
    uint32_t old = ref->value;
    uint32_t new = old | flags;

    if (old == new) {
        return true;
    }
    probe_access_full_mmu(env, ref->addr, 0, MMU_DATA_STORE, MMU_PHYS_IDX,
                          &ref->haddr, NULL);
    if (likely(ref->haddr)) {
        uint32_t cmp = cpu_to_le32(old);

        return qatomic_cmpxchg((uint32_t *)ref->haddr, cmp,
                               cpu_to_le32(new)) == cmp;
    }
    /* Tables in ROM or device memory: flags cannot be expected to stick. */
    ept_device_stl(env, ref->addr, new);
    return true;
}

/* Section "EPT Misconfigurations", for an entry with any of bits 2:0 set. */
static bool ept_entry_misconfigured(CPUX86State *env, uint64_t entry,
                                    int level, bool leaf)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    uint64_t reserved;

    if ((entry & (EPTE_READ | EPTE_WRITE)) == EPTE_WRITE) {
        return true;
    }
    if ((entry & EPTE_RWX) == EPTE_EXEC && !(caps & MSR_VMX_EPT_EXECONLY)) {
        return true;
    }

    reserved = EPTE_ADDR_MASK &
               ~MAKE_64BIT_MASK(0, env_archcpu(env)->phys_bits);
    if (!leaf) {
        reserved |= EPTE_MEMTYPE_MASK | EPTE_IPAT | EPTE_LARGE;
    } else {
        if (level > 1) {
            reserved |= MAKE_64BIT_MASK(12, EPT_LEVEL_SHIFT(level) - 12);
        }
        if (!ept_memtype_valid((entry & EPTE_MEMTYPE_MASK) >>
                               EPTE_MEMTYPE_SHIFT)) {
            return true;
        }
    }
    return entry & reserved;
}

static bool ept_entry_is_leaf(CPUX86State *env, uint64_t entry, int level)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];

    switch (level) {
    case 1:
        return true;
    case 2:
        return (entry & EPTE_LARGE) && (caps & MSR_VMX_EPT_2MB);
    case 3:
        return (entry & EPTE_LARGE) && (caps & MSR_VMX_EPT_1GB);
    default:
        return false;
    }
}

static uint32_t ept_access_qualification(MMUAccessType access_type)
{
    switch (access_type) {
    case MMU_DATA_STORE:
        return EPT_QUAL_WRITE;
    case MMU_INST_FETCH:
        return EPT_QUAL_FETCH;
    default:
        return EPT_QUAL_READ;
    }
}

static const char *ept_access_name(MMUAccessType access_type)
{
    switch (access_type) {
    case MMU_DATA_STORE:
        return "w";
    case MMU_INST_FETCH:
        return "x";
    default:
        return "r";
    }
}

/*
 * Record a violation; @perm are the permissions found, none if the walk did
 * not get to the end.  Only failures write the record, so that one survives
 * the successful translations of a nested walk.  Returns false.
 */
static bool ept_violation(CPUX86State *env, hwaddr gpa,
                          MMUAccessType access_type, uint64_t perm)
{
    env->vmx.ept_fault = (X86VMXEptFault) {
        .gpa = gpa,
        .qualification = ept_access_qualification(access_type) |
                         perm << EPT_QUAL_PERM_SHIFT,
    };
    return false;
}

/*
 * With accessed and dirty flags for EPT, accesses to guest paging structures
 * count as writes; without them they are reads until a flag has to be set.
 * Also false if the nested translation is not EPT.
 */
bool vmx_ept_walk_is_load(CPUX86State *env)
{
    return (env->hflags2 & HF2_EPT_MASK) &&
           !(env->vmx.ctl.eptp & EPTP_AD_ENABLE);
}

/*
 * Translate the guest-physical address @gpa with the EPT in force.
 *
 * On success fills @out_paddr (with the offset inside the page) and @out_prot
 * (PAGE_READ, PAGE_WRITE, PAGE_EXEC).  PAGE_WRITE is withheld from clean pages
 * if dirty flags are in use, so that the first store comes back here; all that
 * was not asked for is withheld while the accesses of an SMI handler are
 * traced.
 *
 * On failure records cause and qualification in env->vmx.ept_fault, for
 * vmx_ept_fault() to complete, and returns false.
 */
bool vmx_ept_translate(CPUX86State *env, hwaddr gpa, MMUAccessType access_type,
                       hwaddr *out_paddr, int *out_prot)
{
    const uint64_t eptp = env->vmx.ctl.eptp;
    const bool ad_enabled = eptp & EPTP_AD_ENABLE;
    const bool observed = vmx_observes_handler(env);
    const uint64_t wanted = access_type == MMU_DATA_STORE ? EPTE_WRITE :
                            access_type == MMU_INST_FETCH ? EPTE_EXEC :
                            EPTE_READ;
    EPTEntryRef ref;
    uint64_t perm;
    hwaddr table;
    int level;
    int prot;

    if (unlikely(observed)) {
        vmx_trace_access(env, "memory", ept_access_name(access_type),
                         gpa & TARGET_PAGE_MASK, TARGET_PAGE_SIZE);
    }

 restart:
    perm = EPTE_RWX;
    table = eptp & EPTE_ADDR_MASK;

    /* A 4-level walk translates 48 bits; more cannot be mapped. */
    if (gpa >> 48) {
        return ept_violation(env, gpa, access_type, 0);
    }

    for (level = EPT_TOP_LEVEL; ; level--) {
        bool leaf;

        ref.addr = table + ((gpa >> EPT_LEVEL_SHIFT(level)) & 0x1ff) * 8;
        ept_load(env, &ref);

        if (!(ref.value & EPTE_RWX)) {
            return ept_violation(env, gpa, access_type, 0);
        }
        leaf = ept_entry_is_leaf(env, ref.value, level);
        if (ept_entry_misconfigured(env, ref.value, level, leaf)) {
            env->vmx.ept_fault = (X86VMXEptFault) {
                .gpa = gpa,
                .misconfiguration = true,
            };
            return false;
        }
        perm &= ref.value;
        if (leaf) {
            break;
        }
        if (ad_enabled && !ept_set_flags(env, &ref, EPTE_ACCESSED)) {
            goto restart;
        }
        table = ref.value & EPTE_ADDR_MASK;
    }

    if (!(perm & wanted)) {
        return ept_violation(env, gpa, access_type, perm);
    }

    prot = 0;
    if (perm & EPTE_READ) {
        prot |= PAGE_READ;
    }
    if (perm & EPTE_WRITE) {
        prot |= PAGE_WRITE;
    }
    if (perm & EPTE_EXEC) {
        prot |= PAGE_EXEC;
    }

    if (unlikely(observed)) {
        /* An instruction that reads and writes needs both at once. */
        prot &= access_type == MMU_DATA_STORE ? PAGE_READ | PAGE_WRITE :
                access_type == MMU_INST_FETCH ? PAGE_EXEC : PAGE_READ;
    }

    if (ad_enabled) {
        uint32_t flags = EPTE_ACCESSED;

        if (access_type == MMU_DATA_STORE) {
            flags |= EPTE_DIRTY;
        } else if (!(ref.value & EPTE_DIRTY)) {
            prot &= ~PAGE_WRITE;
        }
        if (!ept_set_flags(env, &ref, flags)) {
            goto restart;
        }
    }

    {
        hwaddr mask = MAKE_64BIT_MASK(0, EPT_LEVEL_SHIFT(level));

        *out_paddr = (ref.value & EPTE_ADDR_MASK & ~mask) | (gpa & mask);
    }
    *out_prot = prot;
    return true;
}

/*
 * Side-effect-free variant for the debugger: no flags are set and nothing is
 * recorded.  Returns false if @gpa is not mapped.
 */
bool vmx_ept_translate_debug(CPUX86State *env, hwaddr gpa, hwaddr *out_paddr)
{
    CPUState *cs = env_cpu(env);
    hwaddr table = env->vmx.ctl.eptp & EPTE_ADDR_MASK;
    int level;

    if (gpa >> 48) {
        return false;
    }
    for (level = EPT_TOP_LEVEL; ; level--) {
        uint64_t entry = x86_ldq_phys(cs, table +
                             ((gpa >> EPT_LEVEL_SHIFT(level)) & 0x1ff) * 8);

        if (!(entry & EPTE_RWX)) {
            return false;
        }
        if (ept_entry_is_leaf(env, entry, level)) {
            hwaddr mask = MAKE_64BIT_MASK(0, EPT_LEVEL_SHIFT(level));

            *out_paddr = (entry & EPTE_ADDR_MASK & ~mask) | (gpa & mask);
            return true;
        }
        table = entry & EPTE_ADDR_MASK;
    }
}

/*
 * VM exit for the failure that vmx_ept_translate() recorded.
 *
 * @walk: the failing access was one to a guest paging structure
 * @linear: linear address whose translation failed
 */
G_NORETURN void vmx_ept_fault(CPUX86State *env, bool walk, vaddr linear,
                              uintptr_t retaddr)
{
    X86VMXEptFault *fault = &env->vmx.ept_fault;
    uint64_t qual;

    if (fault->misconfiguration) {
        vmx_vmexit_ept(env, VMX_REASON_EPT_MISCONFIGURATION, 0, fault->gpa, 0,
                       retaddr);
    }

    qual = fault->qualification | EPT_QUAL_LINEAR_VALID;
    if (!walk) {
        qual |= EPT_QUAL_TRANSLATION;
    } else if (!vmx_ept_walk_is_load(env) || (qual & EPT_QUAL_WRITE)) {
        /* Setting a flag reads and writes. */
        qual |= EPT_QUAL_READ | EPT_QUAL_WRITE;
    }
    vmx_vmexit_ept(env, VMX_REASON_EPT_VIOLATION, qual, fault->gpa, linear,
                   retaddr);
}

G_NORETURN void vmx_ept_fault_pdpte(CPUX86State *env, uintptr_t retaddr)
{
    const X86VMXEptFault *fault = &env->vmx.ept_fault;
    uint32_t reason = fault->misconfiguration ?
                      VMX_REASON_EPT_MISCONFIGURATION :
                      VMX_REASON_EPT_VIOLATION;

    vmx_vmexit_ept(env, reason, fault->qualification, fault->gpa, 0, retaddr);
}
