/* Fuzzes the frame reader: the first byte says in which portions the rest arrives. */
#include "wire/wire.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static int drain(imu_wire_reader *rd, int fd)
{
    imu_frame f;
    int rc;
    while ((rc = imu_wire_read(rd, fd, &f)) == 1) {
        for (size_t i = 0; i < f.header_len; i++)
            sink += (unsigned char)f.header[i];
        for (size_t i = 0; i < f.payload_len; i++)
            sink += ((const unsigned char *)f.payload)[i];
        if (f.n_fds != 0)
            abort(); /* nobody sent any */
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size < 1 || size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        return 0;
    size_t portion = data[0] ? data[0] : 4096;
    imu_wire_reader *rd = imu_wire_reader_new(8192);
    int rc = rd ? 0 : -1;
    for (size_t i = 1; i < size && rc == 0; i += portion) {
        size_t n = size - i < portion ? size - i : portion;
        if (write(pair[0], data + i, n) != (ssize_t)n)
            break;
        rc = drain(rd, pair[1]);
    }
    close(pair[0]);
    if (rc == 0 && drain(rd, pair[1]) != -1)
        abort(); /* a closed peer must be noticed */
    imu_wire_reader_free(rd);
    close(pair[1]);
    return 0;
}
