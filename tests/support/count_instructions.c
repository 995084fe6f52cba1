/* A plugin for qemu-user that writes how many instructions the program executed to the file that COUNT names.

   The prototypes are those of qemu's plugin interface (docs/devel/tcg-plugins, qemu-plugin.h), which Debian does not ship. The
   library is of one thread: so is what it counts. */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct qemu_plugin_tb;
typedef uint64_t id;

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(id plugin, void (*translated)(id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*executed)(unsigned, void *), int flags, void *data);
extern void qemu_plugin_register_atexit_cb(id plugin, void (*ended)(id, void *), void *data);

int qemu_plugin_version = PLUGIN_VERSION;
static uint64_t instructions;

static void executed(unsigned cpu, void *count) { instructions += (uintptr_t)count; }

static void translated(id plugin, struct qemu_plugin_tb *block) {
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void ended(id plugin, void *data) {
    FILE *file = fopen(getenv("COUNT"), "w");
    if (file == NULL || fprintf(file, "%" PRIu64 "\n", instructions) < 0 || fclose(file) != 0) {
        perror("COUNT");
        abort();
    }
}

int qemu_plugin_install(id plugin, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_atexit_cb(plugin, ended, NULL);
    return 0;
}
