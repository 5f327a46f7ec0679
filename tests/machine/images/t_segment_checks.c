/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry on the guest's segment registers: every register, type,
 * privilege level and limit against what the rules say, in every mode. */
#include "entry_check.h"

#define UNUSABLE   0x10000u
#define CODE64     0xA09Bu
#define CODE32     0xC09Bu
#define DATA       0xC093u
#define TSS        0x8Bu
#define LDT        0x82u
#define RFLAGS_VM  (1u << 17)

static bool is_bad(enum mode mode, uint32_t field, uint64_t value)
{
    return entry_is(mode, BAD_GUEST, field, value);
}

static const struct defect rows[] = {
    {"VMX-GST-14", "tr-ti", MODE_64, BAD_GUEST, {{VMCS_GUEST_TR_SELECTOR, SEL_TSS | 4}}},
    {"VMX-GST-14",
     "ldtr-ti",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_LDTR_SELECTOR, 4}, {VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT}}},
    {"VMX-GST-14", "ldtr-ti-unusable", MODE_64, ENTERED, {{VMCS_GUEST_LDTR_SELECTOR, 4}}},
    {"VMX-GST-15", "ss-rpl", MODE_64, BAD_GUEST, {{VMCS_GUEST_SS_SELECTOR, SEL_DATA64 | 3}}},
    {"VMX-GST-15", "ss-rpl-32-bit", MODE_32, BAD_GUEST, {{VMCS_GUEST_SS_SELECTOR, SEL_DATA64 | 1}}},
    {"VMX-GST-19", "fs-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_FS), NON_CANONICAL}}},
    {"VMX-GST-19", "gs-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_GS), NON_CANONICAL}}},
    {"VMX-GST-19", "tr-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_TR), NON_CANONICAL}}},
    {"VMX-GST-19",
     "ldtr-base",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_BASE(SEG_LDTR), NON_CANONICAL},
      {VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT},
      {VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF}}},
    {"VMX-GST-19", "ldtr-base-unusable", MODE_64, ENTERED, {{VMCS_GUEST_BASE(SEG_LDTR), NON_CANONICAL}}},
    {"VMX-GST-19",
     "fs-base-unusable",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_BASE(SEG_FS), NON_CANONICAL}, {VMCS_GUEST_ACCESS_RIGHTS(SEG_FS), UNUSABLE}}},
    {"VMX-GST-20", "cs-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_CS), 1ull << 32}}},
    {"VMX-GST-20", "ss-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_SS), 1ull << 32}}},
    {"VMX-GST-20", "ds-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_DS), 1ull << 63}}},
    {"VMX-GST-20", "es-base", MODE_64, BAD_GUEST, {{VMCS_GUEST_BASE(SEG_ES), 1ull << 40}}},
    {"VMX-GST-20",
     "es-base-unusable",
     MODE_64,
     ENTERED,
     {{VMCS_GUEST_BASE(SEG_ES), 1ull << 40}, {VMCS_GUEST_ACCESS_RIGHTS(SEG_ES), UNUSABLE}}},
    {"VMX-GST-28", "cs-unusable", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), CODE64 | UNUSABLE}}},
    {"VMX-GST-30", "l-and-d", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), CODE64 | 0x4000}}},
    {"VMX-GST-30", "l-and-d-32-bit", MODE_32, ENTERED, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), CODE32 | 0x2000}}},
    {"VMX-GST-33", "tr-unusable", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), TSS | UNUSABLE}}},
    {"VMX-GST-33", "tr-s", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), TSS | 0x10}}},
    {"VMX-GST-33", "tr-not-present", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), 0x0B}}},
    {"VMX-GST-33", "tr-granularity-0", MODE_64, BAD_GUEST, {{VMCS_GUEST_LIMIT(SEG_TR), 0x100067}}},
    {"VMX-GST-33", "tr-granularity-1", MODE_64, BAD_GUEST, {{VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), TSS | 0x8000}}},
    {"VMX-GST-34",
     "ldtr-good",
     MODE_64,
     ENTERED,
     {{VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT}, {VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF}}},
    {"VMX-GST-34",
     "ldtr-s",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT | 0x10}, {VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF}}},
    {"VMX-GST-34",
     "ldtr-not-present",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), 2}, {VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF}}},
    {"VMX-GST-34",
     "ldtr-granularity-0",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT}, {VMCS_GUEST_LIMIT(SEG_LDTR), 0x100FFF}}},
    {"VMX-GST-34",
     "ldtr-granularity-1",
     MODE_64,
     BAD_GUEST,
     {{VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), LDT | 0x8000}, {VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFE}}},
};

/* Types of the access rights, register by register. */
static void test_types(enum mode mode, const char *name)
{
    static const struct {
        const char *id, *name;
        enum segment seg;
        uint32_t good; /* legal types */
    } kinds[] = {
        {"VMX-GST-21", "cs", SEG_CS, 1u << 9 | 1u << 11 | 1u << 13 | 1u << 15},
        {"VMX-GST-22", "ss", SEG_SS, 1u << 3 | 1u << 7},
        {"VMX-GST-23", "ds", SEG_DS, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 11 | 1u << 15},
        {"VMX-GST-23", "es", SEG_ES, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 11 | 1u << 15},
        {"VMX-GST-23", "fs", SEG_FS, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 11 | 1u << 15},
        {"VMX-GST-23", "gs", SEG_GS, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 11 | 1u << 15},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        uint32_t rights, wrong = 0;

        for (uint32_t type = 0; type < 16; type++) {
            entry_fresh(mode);
            rights = (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(kinds[i].seg)) & ~0xFu;
            wr(VMCS_GUEST_ACCESS_RIGHTS(kinds[i].seg), rights | type);
            if (entry_outcome() != (kinds[i].good >> type & 1 ? ENTERED : BAD_GUEST)) {
                wrong |= 1u << type;
            }
        }
        check(kinds[i].id, kinds[i].name, !wrong, "mode:%s,types:%x", name, wrong);
    }
}

static void test_system_types(void)
{
    uint32_t wrong = 0, wrong32 = 0, wrong_ldt = 0;

    for (uint32_t type = 0; type < 16; type++) {
        if (entry_is(MODE_64, type == 11 ? ENTERED : BAD_GUEST, VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), 0x80 | type) !=
            true) {
            wrong |= 1u << type;
        }
        if (!entry_is(MODE_32, type == 11 || type == 3 ? ENTERED : BAD_GUEST, VMCS_GUEST_ACCESS_RIGHTS(SEG_TR),
                      0x80 | type)) {
            wrong32 |= 1u << type;
        }
        entry_fresh(MODE_64);
        wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), 0x80 | type);
        wr(VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF);
        if (entry_outcome() != (type == 2 ? ENTERED : BAD_GUEST)) {
            wrong_ldt |= 1u << type;
        }
    }
    check_eq("VMX-GST-32", "tr-ia32e", wrong, 0);
    check_eq("VMX-GST-32", "tr-32-bit", wrong32, 0);
    check_eq("VMX-GST-34", "ldtr", wrong_ldt, 0);
}

/* S, P and the reserved bits of each register. */
static void test_rights_bits(enum mode mode, const char *name)
{
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        uint32_t rights, wrong = 0;

        entry_fresh(mode);
        rights = (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(seg));
        check("VMX-GST-24", "s-clear", is_bad(mode, VMCS_GUEST_ACCESS_RIGHTS(seg), rights & ~0x10u),
              "mode:%s,register:%d", name, seg);
        check("VMX-GST-28", "not-present", is_bad(mode, VMCS_GUEST_ACCESS_RIGHTS(seg), rights & ~0x80u),
              "mode:%s,register:%d", name, seg);
        for (unsigned bit = 8; bit < 32; bit++) {
            if ((bit >= 12 && bit <= 16) || is_bad(mode, VMCS_GUEST_ACCESS_RIGHTS(seg), rights | 1u << bit)) {
                continue;
            }
            wrong |= 1u << bit;
        }
        check("VMX-GST-29", "reserved", !wrong, "mode:%s,register:%d,bits:%x", name, seg, wrong);
        /* Nothing of an unusable register matters but for CS. */
        if (seg != SEG_CS) {
            entry_fresh(mode);
            wr(VMCS_GUEST_ACCESS_RIGHTS(seg), 0xFFFFFF9F); /* DPL 0, for SS */
            wr(VMCS_GUEST_LIMIT(seg), 0xFFF00001);
            check("VMX-GST-35", "unusable", entry_outcome() == ENTERED,
                  "mode:%s,register:%d", name, seg);
        }
    }
    for (unsigned seg = SEG_LDTR; seg <= SEG_TR; seg++) {
        uint32_t wrong = 0, rights = seg == SEG_TR ? TSS : LDT;

        for (unsigned bit = 8; bit < 32; bit++) {
            if (bit >= 12 && bit <= 16) {
                continue;
            }
            entry_fresh(mode);
            wr(VMCS_GUEST_ACCESS_RIGHTS(seg), rights | 1u << bit);
            wr(VMCS_GUEST_LIMIT(seg), 0xFFF);
            if (entry_outcome() != BAD_GUEST) {
                wrong |= 1u << bit;
            }
        }
        check(seg == SEG_TR ? "VMX-GST-33" : "VMX-GST-34", "reserved", !wrong,
              "mode:%s,bits:%x", name, wrong);
    }
}

/* Limits and granularity. */
static void test_limits(enum mode mode, const char *name)
{
    static const struct {
        uint32_t limit;
        bool g0, g1; /* legal with G = 0, G = 1 */
    } limits[] = {
        {0xFFFFFFFF, false, true}, {0xFFFFF, true, true},     {0xFFFFE, true, false},
        {0x100FFF, false, true},   {0x100FFE, false, false},  {0xFFF007FF, false, false},
    };

    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        uint32_t wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
            for (unsigned g = 0; g < 2; g++) {
                bool good = g ? limits[i].g1 : limits[i].g0;
                uint32_t rights;

                entry_fresh(mode);
                rights = (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(seg)) & ~0x8000u;
                wr(VMCS_GUEST_ACCESS_RIGHTS(seg), rights | g << 15);
                wr(VMCS_GUEST_LIMIT(seg), limits[i].limit);
                /* A code segment may end before the guest's code. */
                if (good && seg == SEG_CS) {
                    wr(VMCS_GUEST_IDTR_LIMIT, 0);
                }
                if (entry_outcome() != (good ? ENTERED : BAD_GUEST)) {
                    wrong |= 1u << (2 * i + g);
                }
            }
        }
        check("VMX-GST-31", "limits", !wrong, "mode:%s,register:%d,rows:%x", name, seg, wrong);
    }
}

/* Privilege levels of CS, SS and the data segments. */
static void test_levels(enum mode mode, const char *name)
{
    uint32_t wrong_cs = 0, wrong_ss = 0, wrong_data = 0;

    for (uint32_t cs = 0; cs < 4; cs++) {
        for (uint32_t ss = 0; ss < 4; ss++) {
            for (unsigned conforming = 0; conforming < 2; conforming++) {
                bool good = conforming ? cs <= ss : cs == ss;
                uint32_t rights;

                entry_fresh(mode);
                rights = (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)) & ~0x6Fu;
                wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), rights | (conforming ? 15 : 11) | cs << 5);
                wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), DATA | ss << 5);
                wr(VMCS_GUEST_SS_SELECTOR, SEL_DATA64 | ss);
                wr(VMCS_GUEST_CS_SELECTOR, rd(VMCS_GUEST_CS_SELECTOR) | ss);
                if (entry_outcome() != (good ? ENTERED : BAD_GUEST)) {
                    wrong_cs |= 1u << (cs * 4 + ss + 16 * conforming);
                }
            }
            /* DPL against RPL of SS. */
            if (cs != ss) {
                entry_fresh(mode);
                wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), DATA | ss << 5);
                wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)) | ss << 5);
                wr(VMCS_GUEST_SS_SELECTOR, SEL_DATA64 | cs);
                wr(VMCS_GUEST_CS_SELECTOR, rd(VMCS_GUEST_CS_SELECTOR) | cs);
                if (entry_outcome() != BAD_GUEST) {
                    wrong_ss |= 1u << (cs * 4 + ss);
                }
            }
        }
    }
    check("VMX-GST-25", name, !wrong_cs, "rows:%x", wrong_cs);
    check("VMX-GST-26", name, !wrong_ss, "rows:%x", wrong_ss);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        static const uint32_t types[] = {3, 11, 15};

        if (seg == SEG_CS || seg == SEG_SS) {
            continue;
        }
        for (uint32_t dpl = 0; dpl < 4; dpl++) {
            for (uint32_t rpl = 0; rpl < 4; rpl++) {
                for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
                    bool good = types[t] == 15 || dpl >= rpl;

                    entry_fresh(mode);
                    wr(VMCS_GUEST_ACCESS_RIGHTS(seg), 0xC090 | types[t] | dpl << 5);
                    wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, SEL_DATA64 | rpl);
                    if (entry_outcome() != (good ? ENTERED : BAD_GUEST)) {
                        wrong_data |= 1u << (dpl * 4 + rpl);
                    }
                }
            }
        }
    }
    check("VMX-GST-27", name, !wrong_data, "rows:%x", wrong_data);
}

static void test_vm86(void)
{
    entry_fresh(MODE_VM86);
    check_eq("VMX-GST-18", "good", entry_outcome(), ENTERED);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        uint32_t wrong = 0;

        entry_fresh(MODE_VM86);
        check("VMX-GST-16", "base", is_bad(MODE_VM86, VMCS_GUEST_BASE(seg), rd(VMCS_GUEST_BASE(seg)) + 16),
              "register:%d", seg);
        check("VMX-GST-16", "base-high", is_bad(MODE_VM86, VMCS_GUEST_BASE(seg), 1ull << 32 | 0x7000),
              "register:%d", seg);
        check("VMX-GST-17", "limit", is_bad(MODE_VM86, VMCS_GUEST_LIMIT(seg), 0xFFFFF) &&
              is_bad(MODE_VM86, VMCS_GUEST_LIMIT(seg), 0xFFFE), "register:%d", seg);
        for (unsigned bit = 0; bit < 32; bit++) {
            if (!is_bad(MODE_VM86, VMCS_GUEST_ACCESS_RIGHTS(seg), 0xF3 ^ 1u << bit)) {
                wrong |= 1u << bit;
            }
        }
        check("VMX-GST-18", "rights", !wrong, "register:%d,bits:%x", seg, wrong);
    }
}

static void test_system_limits(void)
{
    check("VMX-GST-33", "limit-bits", is_bad(MODE_32, VMCS_GUEST_LIMIT(SEG_TR), 0xFFF00067), "");
}

void run_tests(void)
{
    vmx_start();
    entry_fresh(MODE_64);
    entry_rows(rows, ARRAY_SIZE(rows));
    test_types(MODE_64, "64");
    test_types(MODE_32, "32");
    test_system_types();
    test_rights_bits(MODE_64, "64");
    test_rights_bits(MODE_32, "32");
    test_limits(MODE_64, "64");
    test_limits(MODE_32, "32");
    test_levels(MODE_64, "64");
    test_levels(MODE_32, "32");
    test_vm86();
    test_system_limits();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
