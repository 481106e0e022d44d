#include "mod_invokemu/dispatch/worker_frames.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"

#define MAX_ID   512
#define MAX_TEXT (64 * 1024)
#define MAX_LIST 1024
#define SEALS    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A text of 1..max bytes, or NULL. jansson hands out valid UTF-8 only and refuses NUL bytes. */
static const char *text_of(const json_t *object, const char *key, size_t max)
{
    const json_t *v = json_object_get(object, key);
    size_t len = json_string_length(v);

    return json_is_string(v) && len > 0 && len <= max ? json_string_value(v) : NULL;
}

/* True when the key is absent, null, or a text of at most max bytes. */
static int text_or_null(const json_t *object, const char *key, size_t max, const char **out)
{
    const json_t *v = json_object_get(object, key);

    *out = json_string_value(v);
    return !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) <= max);
}

static int int_of(const json_t *object, const char *key, json_int_t min, json_int_t max,
                  json_int_t *out)
{
    const json_t *v = json_object_get(object, key);

    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= min && *out <= max;
}

static int small_int_of(const json_t *object, const char *key, int min, int max, int *out)
{
    json_int_t value;
    int ok = int_of(object, key, min, max, &value);

    *out = ok ? (int)value : 0;
    return ok;
}

int imu_run_ref_read(const json_t *object, imu_run_ref *ref)
{
    ref->run_id = text_of(object, "run_id", 36);
    if (ref->run_id && !imu_is_uuid(ref->run_id))
        ref->run_id = NULL;
    return int_of(object, "item_id", 1, INT64_MAX, &ref->item_id) && ref->run_id;
}

static int is_text_list(const json_t *list)
{
    size_t i;
    json_t *v;

    if (!json_is_array(list) || json_array_size(list) > MAX_LIST)
        return 0;
    json_array_foreach (list, i, v)
        if (!json_is_string(v) || json_string_length(v) > MAX_ID)
            return 0;
    return 1;
}

const char *imu_hello_read(json_t *header, imu_hello *hello)
{
    json_t *running = json_object_get(header, "running");
    json_t *one;
    json_int_t protocol;
    size_t i;

    memset(hello, 0, sizeof *hello);
    if (!int_of(header, "protocol", IMU_WIRE_PROTOCOL, IMU_WIRE_PROTOCOL, &protocol))
        return "speaks another version of the protocol";
    hello->name = text_of(header, "name", MAX_ID);
    hello->device = text_of(header, "device", MAX_ID);
    hello->loaded = json_object_get(header, "loaded");
    hello->held = json_object_get(header, "held");
    if (!hello->name || !hello->device || !is_text_list(hello->loaded))
        return "HELLO without name, device or loaded models";
    if (running && !json_is_null(running) && !imu_run_ref_read(running, &hello->running))
        return "HELLO with a broken running";
    if (!json_is_array(hello->held) || json_array_size(hello->held) > MAX_LIST)
        return "HELLO without held";
    json_array_foreach (hello->held, i, one) {
        imu_run_ref ref;

        if (!imu_run_ref_read(one, &ref))
            return "HELLO with a broken held";
    }
    return NULL;
}

/* Reads node_id, source_id and invocation. */
static const char *read_node(const json_t *header, imu_worker_msg *msg)
{
    msg->node_id = text_of(header, "node_id", MAX_ID);
    msg->source_id = text_of(header, "source_id", MAX_ID);
    msg->invocation = json_object_get(header, "invocation");
    if (!msg->node_id || !msg->source_id)
        return "node without ids";
    if (!text_of(msg->invocation, "id", MAX_ID) || !text_of(msg->invocation, "type", MAX_ID))
        return "invocation without id or type";
    return NULL;
}

static const char *read_preview(const imu_frame *frame, const json_t *header, imu_worker_msg *msg)
{
    static const char *const types[] = {"image/png", "image/jpeg", "image/webp"};
    const json_t *image = json_object_get(header, "image");
    const char *mime;

    if (!image || json_is_null(image))
        return frame->payload_len ? "preview bytes without an image" : NULL;
    if (!small_int_of(image, "width", 1, IMU_MAX_SIDE, &msg->preview_width) ||
        !small_int_of(image, "height", 1, IMU_MAX_SIDE, &msg->preview_height))
        return "preview without size";
    if (frame->payload_len == 0 || frame->payload_len > IMU_MAX_PREVIEW)
        return "preview empty or too large";
    mime = text_of(image, "mime", MAX_ID);
    for (unsigned i = 0; mime && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(mime, types[i]) == 0)
            msg->mime = types[i];
    return msg->mime ? NULL : "preview of an unknown type";
}

static const char *read_progress(const imu_frame *frame, const json_t *header, imu_worker_msg *msg)
{
    const json_t *percentage = json_object_get(header, "percentage");
    const char *why = read_node(header, msg);

    if (why)
        return why;
    if (!text_or_null(header, "message", MAX_TEXT, &msg->message))
        return "broken message";
    msg->percentage = -1;
    if (percentage && !json_is_null(percentage)) {
        msg->percentage = json_number_value(percentage);
        if (!json_is_number(percentage) || !(msg->percentage >= 0 && msg->percentage <= 1))
            return "percentage out of range";
    }
    return read_preview(frame, header, msg);
}

static int is_category(const char *word)
{
    static const char *const words[] = {"general", "mask", "control", "user", "other"};

    for (unsigned i = 0; word && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return 1;
    return 0;
}

static const char *read_picture(const json_t *object, int n_fds, unsigned *used,
                                imu_made_picture *out)
{
    out->image_name = text_of(object, "image_name", 40);
    if (!out->image_name || !imu_picture_name_ok(out->image_name))
        return "picture with a broken name";
    if (!small_int_of(object, "width", 1, IMU_MAX_SIDE, &out->width) ||
        !small_int_of(object, "height", 1, IMU_MAX_SIDE, &out->height))
        return "picture without size";
    out->category = text_of(object, "category", 16);
    if (!is_category(out->category))
        return "picture of an unknown category";
    out->is_intermediate = json_is_true(json_object_get(object, "is_intermediate"));
    out->has_workflow = json_is_true(json_object_get(object, "has_workflow"));
    if (!text_or_null(object, "board_id", MAX_ID, &out->board_id) ||
        !text_or_null(object, "metadata", IMU_MAX_PICTURE_TEXT, &out->metadata))
        return "picture with a broken board or metadata";
    if (!small_int_of(object, "fd", 0, n_fds - 1, &out->fd) ||
        !small_int_of(object, "thumbnail_fd", 0, n_fds - 1, &out->thumbnail_fd))
        return "picture without its files";
    for (int i = 0; i < 2; i++) {
        unsigned bit = 1u << (i == 0 ? out->fd : out->thumbnail_fd);

        if (*used & bit)
            return "two pictures in one file";
        *used |= bit;
    }
    return NULL;
}

static const char *read_completed(const imu_frame *frame, const json_t *header, imu_worker_msg *msg)
{
    const json_t *images = json_object_get(header, "images");
    const char *why = read_node(header, msg);
    unsigned used = 0;
    size_t i;
    json_t *one;

    if (why)
        return why;
    msg->result = json_object_get(header, "result");
    if (!text_of(msg->result, "type", MAX_ID))
        return "result without a type";
    if (images && !json_is_array(images))
        return "images that are no list";
    if (json_array_size(images) > IMU_MAX_NODE_PICTURES)
        return "too many pictures";
    json_array_foreach (images, i, one) {
        if ((why = read_picture(one, frame->n_fds, &used, &msg->pictures[i])))
            return why;
    }
    msg->n_pictures = (int)json_array_size(images);
    return NULL;
}

static const char *read_error(const json_t *header, imu_worker_msg *msg)
{
    if (!text_or_null(header, "error_type", MAX_ID, &msg->error_type) ||
        !text_or_null(header, "error_message", MAX_TEXT, &msg->error_message) ||
        !text_or_null(header, "error_traceback", MAX_TEXT, &msg->error_traceback))
        return "broken error";
    return NULL;
}

static const char *read_failed(const json_t *header, imu_worker_msg *msg)
{
    const char *why = read_node(header, msg);

    return why ? why : read_error(header, msg);
}

static const char *read_done(const imu_frame *frame, const json_t *header, imu_worker_msg *msg)
{
    const char *why = read_error(header, msg);

    if (why)
        return why;
    msg->status = text_of(header, "status", 16);
    if (!msg->status ||
        (strcmp(msg->status, "completed") != 0 && strcmp(msg->status, "failed") != 0 &&
         strcmp(msg->status, "canceled") != 0))
        return "DONE with an unknown status";
    if (!text_or_null(header, "session_id", MAX_ID, &msg->session_id))
        return "DONE of a session without a name";
    msg->loaded = json_object_get(header, "loaded");
    if (msg->loaded && !is_text_list(msg->loaded))
        return "DONE with broken loaded models";
    if (frame->payload_len > IMU_WIRE_MAX_STATE)
        return "DONE with too large a state";
    if (frame->payload_len > 0) {
        msg->state = (const char *)frame->payload;
        msg->state_len = frame->payload_len;
    }
    return NULL;
}

static const char *read_model_load(const json_t *header, imu_worker_msg *msg)
{
    msg->model_key = text_of(header, "key", MAX_ID);
    msg->complete = json_is_true(json_object_get(header, "complete"));
    if (!msg->model_key || !text_or_null(header, "submodel", MAX_ID, &msg->submodel))
        return "broken MODEL_LOAD";
    return NULL;
}

const char *imu_worker_msg_read(const imu_frame *frame, json_t *header, imu_worker_msg *msg)
{
    memset(msg, 0, sizeof *msg);
    if (!imu_run_ref_read(header, &msg->run))
        return "a frame without run_id or item_id";
    if ((frame->type == IMU_WIRE_NODE_COMPLETED || frame->type == IMU_WIRE_DONE) &&
        !int_of(header, "seq", 1, INT64_MAX, &msg->seq))
        return "a result without seq";
    switch (frame->type) {
    case IMU_WIRE_NODE_STARTED:
        return read_node(header, msg);
    case IMU_WIRE_PROGRESS:
        return read_progress(frame, header, msg);
    case IMU_WIRE_NODE_COMPLETED:
        return read_completed(frame, header, msg);
    case IMU_WIRE_NODE_FAILED:
        return read_failed(header, msg);
    case IMU_WIRE_DONE:
        return read_done(frame, header, msg);
    case IMU_WIRE_MODEL_LOAD:
        return read_model_load(header, msg);
    default:
        return "a frame of an unexpected type";
    }
}

const char *imu_memfd_check(int fd, long long max)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0)
        return "a picture that is no memory file";
    if ((seals & SEALS) != SEALS)
        return "a picture that is not sealed";
    if (fstat(fd, &st) < 0 || st.st_size < 1 || st.st_size > max)
        return "a picture of a size out of range";
    return NULL;
}
