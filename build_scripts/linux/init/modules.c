/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The modules of KVM: loading, removing, parameters. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab.h"

#define MODULES "/lib/lab/"
#define PARAMETERS "/sys/module/kvm_intel/parameters"

/* The order is written by the lab from modules.dep: a file name a line, dependencies first. */
static int load_file(const char *name, const char *parameters)
{
    char path[128];

    snprintf(path, sizeof(path), MODULES "%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return errno;
    }
    int error = syscall(SYS_finit_module, file, parameters, 0) == 0 ? 0 : errno;
    close(file);
    return error;
}

void load_module(const char *name, const char *parameters)
{
    report("module", "name=%s error=%d parameters=%s", name, load_file(name, parameters), parameters);
}

bool load_kvm(const char *parameters)
{
    char name[64];
    FILE *order = fopen(MODULES "order", "r");
    bool good = order != NULL;

    while (good && fscanf(order, "%63s", name) == 1) {
        bool last = strcmp(name, "kvm-intel.ko") == 0;
        int error = load_file(name, last ? parameters : module_settings("kvm"));

        /* What a reload finds loaded stays. */
        if (error == EEXIST && !last) {
            continue;
        }
        report("module", "name=%s error=%d parameters=%s", name, error, last ? parameters : "");
        good = error == 0;
    }
    if (order) {
        fclose(order);
    }
    return good;
}

bool unload_kvm(void)
{
    int error = syscall(SYS_delete_module, "kvm_intel", O_NONBLOCK) == 0 ? 0 : errno;

    report("unload", "name=kvm_intel error=%d", error);
    return error == 0;
}

void report_parameters(void)
{
    DIR *folder = opendir(PARAMETERS);

    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char path[300], value[64];

        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), PARAMETERS "/%s", entry->d_name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = read(file, value, sizeof(value) - 1);
        close(file);
        value[length > 0 ? length : 0] = '\0';
        value[strcspn(value, "\n")] = '\0';
        report("parameter", "name=%s value=%s", entry->d_name, value);
    }
    if (folder) {
        closedir(folder);
    }
}

void reload(const char *sets)
{
    char copy[1024], *rest = copy;

    snprintf(copy, sizeof(copy), "%s", sets);
    for (char *set; (set = strsep(&rest, ";")) != NULL;) {
        if (!unload_kvm()) {
            return;
        }
        for (char *comma = set; (comma = strchr(comma, ',')) != NULL;) {
            *comma = ' ';
        }
        report("reload", "parameters=%s", set);
        if (load_kvm(set)) {
            report_parameters();
            kvm_tests(NULL);
        }
    }
}
