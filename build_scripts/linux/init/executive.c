/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the guest of the executive monitor finds on each processor: one without VMX. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"

enum { VMX_FEATURE = 1 << 5 };

/* IA32_FEATURE_CONTROL, IA32_SMM_MONITOR_CTL, IA32_VMX_BASIC, IA32_VMX_MISC. */
static const unsigned vmx_msrs[] = {0x3a, 0x9b, 0x480, 0x485};

bool run_on(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* 0, or the error with which the kernel reports that RDMSR has raised #GP. */
static int read_error(int cpu, unsigned index)
{
    char path[32];
    uint64_t value;

    snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -errno;
    }
    int error = pread(file, &value, sizeof(value), index) == sizeof(value) ? 0 : errno;
    close(file);
    return error;
}

/* The signal that VMCALL ends a program with; 0 if none. */
static int vmcall_signal(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        __asm__ volatile("vmcall" : : "a"(0x4c000001) : "memory");
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool flag_in_cpuinfo(void)
{
    char line[8192];
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "r");

    while (file && fgets(line, sizeof(line), file)) {
        found |= strncmp(line, "flags", 5) == 0 && strstr(line, " vmx");
        found |= strncmp(line, "vmx flags", 9) == 0;
    }
    if (file) {
        fclose(file);
    }
    return found;
}

static void report_processor(int cpu)
{
    unsigned eax, ebx, ecx, edx;

    if (!run_on(cpu)) {
        report("processor", "cpu=%d online=0", cpu);
        return;
    }
    __cpuid(1, eax, ebx, ecx, edx);
    report("processor", "cpu=%d online=1 apic=%u cpuid_vmx=%d vmcall_signal=%d", cpu, ebx >> 24,
           (ecx & VMX_FEATURE) != 0, vmcall_signal());
    for (unsigned i = 0; i < sizeof(vmx_msrs) / sizeof(vmx_msrs[0]); i++) {
        report("msr", "cpu=%d index=0x%x error=%d", cpu, vmx_msrs[i], read_error(cpu, vmx_msrs[i]));
    }
}

/* What each processor is, SMIs raised on each and counted, a variable written on each. */
static void look_around(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    for (int cpu = 0; cpu < processors; cpu++) {
        report_processor(cpu);
    }
    report_smis();
    for (int cpu = 0; cpu < processors; cpu++) {
        run_on(cpu);
        for (int i = 0; i < 5; i++) {
            raise_smi();
        }
    }
    report_smis();
    variables();
    report_smis();
}

void executive_guest(void)
{
    load_module("msr.ko", "");
    load_module("efivarfs.ko", "");
    report("cpuinfo", "vmx=%d", flag_in_cpuinfo());
    look_around();
    if (setting("lab.sleep")) {
        sleep_and_look(setting("lab.sleep"), setting("lab.nights") ? atoi(setting("lab.nights")) : 1, look_around);
    }
}
