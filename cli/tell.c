/*
 * tell.c: publish.h for the command line: a server that runs hears at once of what was changed
 * beside it. Without one, nobody has to hear.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "mod_invokemu/events/publish.h"
#include "wire/wire.h"

#define SEND_MS 2000

static struct {
    const char *socket;
    uid_t owner; /* of the server's folder */
    int fd;
} dispatcher = {NULL, 0, -1};

void cli_tell_to(const char *socket, const char *root)
{
    struct stat st;

    if (!socket || stat(root, &st) != 0)
        return;
    dispatcher.socket = socket;
    dispatcher.owner = st.st_uid;
}

/* The name of the socket stands in the server's own database: root talks to nobody else there. */
static int reach(void)
{
    long uid;

    if (dispatcher.fd >= 0 || !dispatcher.socket)
        return dispatcher.fd;
    if ((dispatcher.fd = imu_wire_connect(dispatcher.socket)) < 0)
        return -1;
    uid = imu_wire_peer_uid(dispatcher.fd);
    if (uid != 0 && uid != (long)dispatcher.owner) {
        close(dispatcher.fd);
        dispatcher.fd = -1;
    }
    return dispatcher.fd;
}

void imu_publish_frame(uint8_t type, json_t *header, const char *payload)
{
    char *text = json_dumps(header, JSON_COMPACT);
    imu_frame frame = {.type = type,
                       .header = text,
                       .header_len = text ? strlen(text) : 0,
                       .payload = payload,
                       .payload_len = payload ? strlen(payload) : 0};

    /* After a failure a part may have been sent: no more goes that way. */
    if (text && reach() >= 0 && imu_wire_send(dispatcher.fd, &frame, SEND_MS) != 0) {
        close(dispatcher.fd);
        dispatcher.fd = -1;
        dispatcher.socket = NULL;
    }
    free(text);
    json_decref(header);
}
