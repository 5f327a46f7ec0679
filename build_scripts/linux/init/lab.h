/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The program that is process 1 of the lab's Linux machine: reports, settings, and the steps it can run. */
#ifndef LAB_H
#define LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reports one finding as a line "lab: NAME KEY=VALUE ..." of the kernel log, hence of the console. */
void report(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value of NAME=VALUE on the kernel's command line, or NULL. */
const char *setting(const char *name);
/* All settings of the module NAME on the kernel's command line ("NAME.ept=0 ..."), without the prefix. */
const char *module_settings(const char *module);

/* Loads irqbypass, kvm and kvm_intel with the given parameters of the last; false if one was refused. */
bool load_kvm(const char *parameters);
/* Loads one module, and reports it. */
void load_module(const char *name, const char *parameters);
/* Removes kvm_intel and kvm. */
bool unload_kvm(void);
/* Reports every parameter that kvm_intel has in force. */
void report_parameters(void);

/* Reports what the kernel's log holds that it must not; with `all`, every warning. */
void check_log(bool all);

/* An SMI by the port that the firmware has armed; counted by the processors (MSR 34H). */
void raise_smi(void);
void report_smis(void);

/* Has the caller run on one processor; false if there is none such. */
bool run_on(int cpu);
/* What a guest of the executive monitor finds, before and after it has slept. */
void executive_guest(void);
/* Sleeps so many times in one way ("deep", "s2idle", "disk"), and calls `look` after each. */
void sleep_and_look(const char *way, int nights, void (*look)(void));
/* A UEFI variable written, read back and removed on each processor. */
void variables(void);
/* Has the kernel show the registers of one processor, asked on another. */
void show_registers(int cpu, int from);
/* Launches the STM from this Linux by the lab's module, uses it and stops it. */
void launcher(void);
/* A record beside those of firmware and monitors: what comes before it, and what after. */
void record(const char *event, int number, const char *word);
/* Writes to a file of the kernel's; 0, or the error. */
int write_word(const char *path, const char *word);
/* Ends the machine: "reboot", "panic", anything else powers it off. */
void end_machine(const char *how);

/* Tests that use /dev/kvm directly; `only` names one, NULL means all. */
void kvm_tests(const char *only);
/* A Linux guest under KVM, to its own init. */
void linux_guest(void);
/* Loads kvm_intel once for each set of parameters in `sets`, which ';' separates. */
void reload(const char *sets);

#endif
