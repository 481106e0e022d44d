/* invokemu-worker: renders pictures for the dispatcher, or decodes uploads (--media). */
#include "wire/wire.h"
#include "worker/confine.h"
#include "worker/media/media.h"
#include "worker/nodes/node.h"
#include "worker/options.h"
#include "worker/server.h"
#include "worker/tensor/threads.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_schemas(void)
{
    json_t *document = imu_schema_document();
    int rc = document ? json_dumpf(document, stdout, JSON_INDENT(2)) : -1;
    json_decref(document);
    return rc || puts("") < 0 || fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
    imu_options o;
    int rc = imu_options_read(&o, argc, argv);
    if (rc)
        return rc > 0 ? 0 : 2;
    setvbuf(stderr, NULL, _IOLBF, 0);
    if (o.print_schemas)
        return print_schemas();
    if (!o.media)
        imu_threads_settle(argv);
    signal(SIGPIPE, SIG_IGN);
    int listener = imu_wire_listen(o.socket, 0660, 64);
    if (listener < 0) {
        fprintf(stderr, "invokemu-worker: %s: %s\n", o.socket, strerror(errno));
        return 1;
    }
    if (imu_options_drop_root(&o) || (!o.media && imu_confine(&o))) {
        unlink(o.socket);
        return 1;
    }
    rc = o.media ? imu_media_run(&o, listener) : imu_server_run(&o, listener);
    unlink(o.socket);
    /* A driver that has lost its device may never come back from being told to end. */
    if (rc == IMU_EXIT_LOST)
        _exit(rc);
    return rc;
}
