/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Sources of SMIs in the chipset: SMI_EN and SMI_STS (PMBASE + 30H and + 34H) of
 * the ICH9 data sheet, section "Power Management I/O Registers".
 */
#include "runtime.h"

#define PMBASE       0x600u
#define PM1_CNT      (PMBASE + 0x04u)
#define SMI_EN       (PMBASE + 0x30u)
#define SMI_STS      (PMBASE + 0x34u)
#define TCO_DAT_IN   (PMBASE + 0x62u)
#define GBL_SMI_EN   (1u << 0)
#define APM          (1u << 5)
#define SWSMI_TMR    (1u << 6)
#define TCO          (1u << 13)
#define SCI_EN       (1u << 0)
#define APM_CNT      SMI_PORT
#define LPC          31u
#define GEN_PMCON_1  0xA0u
#define SMI_LOCK     (1u << 4)
#define ACPI_ENABLE  0x02u
#define ACPI_DISABLE 0x03u

static volatile uint32_t status;

static uint32_t sci_enabled(void)
{
    uint16_t value;

    __asm__ volatile("inw %w1, %0" : "=a"(value) : "Nd"(PM1_CNT));
    return value & SCI_EN;
}

static void note_status(void)
{
    status = inl(SMI_STS);
}

/* SMIs during fn(argument). */
static uint32_t smis(void (*fn)(uint32_t argument), uint32_t argument)
{
    uint32_t before = smi_count;

    status = 0;
    fn(argument);
    return smi_count - before;
}

static void write_apm(uint32_t value)
{
    outb(APM_CNT, (uint8_t)value);
}

static void write_smi_en(uint32_t value)
{
    outl(SMI_EN, value);
}

static void write_tco(uint32_t value)
{
    outb(TCO_DAT_IN, (uint8_t)value);
}

static void test_apm(void)
{
    check_eq("ICH9-SMI-STS", "apm-smi", smis(write_apm, 0x42), 1);
    check_eq("ICH9-SMI-STS", "apm", status, APM);
    check_eq("ICH9-APM-CNT", "data", inb(APM_CNT), 0x42);
    outl(SMI_STS, 0);
    check_eq("ICH9-SMI-STS", "writing-0-keeps", inl(SMI_STS), APM);
    outl(SMI_STS, APM);
    check_eq("ICH9-SMI-STS", "writing-1-clears", inl(SMI_STS), 0);
    /* The values that ACPI uses are written like all others. */
    check_eq("ICH9-APM-CNT", "value-2", smis(write_apm, ACPI_ENABLE), 1);
    check_eq("ICH9-APM-CNT", "sci-en", sci_enabled(), SCI_EN);
    check_eq("ICH9-APM-CNT", "value-3", smis(write_apm, ACPI_DISABLE), 1);
    check_eq("ICH9-APM-CNT", "sci-en-off", sci_enabled(), 0);
    outl(SMI_STS, APM);
}

static void test_enables(void)
{
    outl(SMI_EN, GBL_SMI_EN);
    check_eq("ICH9-SMI-EN", "source-off", smis(write_apm, 0x42), 0);
    check_eq("ICH9-SMI-EN", "source-off-status", inl(SMI_STS), 0);
    outl(SMI_EN, APM);
    check_eq("ICH9-SMI-EN", "all-off", smis(write_apm, 0x42), 0);
    check_eq("ICH9-SMI-EN", "all-off-status", inl(SMI_STS), APM);
    /* SMI# follows status and enables. */
    check_eq("ICH9-SMI-EN", "enabled-later", smis(write_smi_en, APM | GBL_SMI_EN), 1);
    check_eq("ICH9-SMI-EN", "enabled-again", smis(write_smi_en, APM | GBL_SMI_EN), 0);
    outl(SMI_STS, APM);
    outl(SMI_EN, APM);
    check_eq("ICH9-SMI-EN", "nothing-waits", smis(write_smi_en, APM | GBL_SMI_EN), 0);
}

static void test_timer(void)
{
    uint32_t before = smi_count;

    status = 0;
    smi_timer_start_at(SMI_EVERY_1_5_MS);
    while (smi_count == before) {
    }
    smi_timer_stop();
    check_eq("ICH9-SMI-STS", "timer", status & (SWSMI_TMR | APM), SWSMI_TMR);
    outl(SMI_STS, SWSMI_TMR);
    check_eq("ICH9-SMI-STS", "timer-cleared", inl(SMI_STS), 0);
}

static void test_tco(void)
{
    check_eq("ICH9-SMI-EN", "tco-off", smis(write_tco, 1), 0);
    outl(SMI_EN, TCO | APM | GBL_SMI_EN);
    check_eq("ICH9-SMI-STS", "tco-smi", smis(write_tco, 2), 1);
    check_eq("ICH9-SMI-STS", "tco", status, TCO);
    outl(SMI_STS, TCO);
    outl(SMI_EN, APM | GBL_SMI_EN);
}

/* GEN_PMCON_1.SMI_LOCK keeps GBL_SMI_EN and itself. */
static void test_lock(void)
{
    pci_write8(LPC, 0, GEN_PMCON_1, (uint8_t)(pci_read32(LPC, 0, GEN_PMCON_1) | SMI_LOCK));
    outl(SMI_EN, APM);
    check_eq("ICH9-SMI-LOCK", "gbl-smi-en", inl(SMI_EN), APM | GBL_SMI_EN);
    check_eq("ICH9-SMI-LOCK", "smi", smis(write_apm, 0x42), 1);
    pci_write8(LPC, 0, GEN_PMCON_1, (uint8_t)(pci_read32(LPC, 0, GEN_PMCON_1) & ~SMI_LOCK));
    check_eq("ICH9-SMI-LOCK", "stays", pci_read32(LPC, 0, GEN_PMCON_1) & SMI_LOCK, SMI_LOCK);
}

void run_tests(void)
{
    smi_hook = note_status;
    test_apm();
    test_enables();
    test_timer();
    test_tco();
    test_lock();
}
