/* What a worker reports to the dispatcher: the type of the frame, how many descriptors came along,
 * the header up to a NUL byte, the payload. */
#include "mod_invokemu/dispatch/worker_frames.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const imu_frame *frame, const imu_worker_msg *msg)
{
    if (!msg->run.run_id ||
        (frame->payload_len > 0 && frame->type == IMU_WIRE_PROGRESS && !msg->mime))
        abort();
    if (msg->n_pictures > IMU_MAX_NODE_PICTURES || 2 * msg->n_pictures > frame->n_fds)
        abort();
    for (int i = 0; i < msg->n_pictures; i++)
        if (msg->pictures[i].fd >= frame->n_fds || msg->pictures[i].thumbnail_fd >= frame->n_fds ||
            strchr(msg->pictures[i].image_name, '/'))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    imu_frame frame = {0};
    imu_worker_msg msg;
    imu_hello hello;
    const uint8_t *end;
    json_t *header;

    if (size < 2)
        return 0;
    end = memchr(data + 2, 0, size - 2);
    frame.type = data[0];
    frame.n_fds = data[1] % (IMU_WIRE_MAX_FDS + 1);
    frame.header_len = end ? (size_t)(end - data) - 2 : size - 2;
    frame.payload = end;
    frame.payload_len = end ? size - 2 - frame.header_len : 0;
    header = json_loadb((const char *)data + 2, frame.header_len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(header)) {
        if (!imu_worker_msg_read(&frame, header, &msg))
            check(&frame, &msg);
        if (!imu_hello_read(header, &hello) && (!hello.name || !json_is_array(hello.held)))
            abort();
    }
    json_decref(header);
    return 0;
}
