/*
 * style_preset_transfer.c: /api/v1/style_presets/export and /import: the presets of people as one
 * table, for administrators.
 */
#include "mod_invokemu/api/style_presets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/upload.h"
#include "mod_invokemu/util/csv.h"
#include "mod_invokemu/util/ids.h"

#define MAX_IMPORT_BYTES (4 * 1024 * 1024)
#define MAX_IMPORT       1000

typedef enum table_kind { TABLE_UNKNOWN, TABLE_CSV, TABLE_JSON } table_kind;

imu_err *imu_api_style_presets_export(imu_req *req)
{
    apr_array_header_t *lines = apr_array_make(req->p, 64, sizeof(const char *));
    imu_preset_list list;
    const char *text;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = imu_presets_list(db, req->p, &req->who, &list)))
        return err;
    APR_ARRAY_PUSH(lines, const char *) = "name,prompt,negative_prompt\r\n";
    for (int i = 0; i < list.count; i++) {
        const imu_preset *preset = &list.items[i];

        if (!preset->facts.is_default)
            APR_ARRAY_PUSH(lines, const char *) =
                apr_pstrcat(req->p, imu_csv_cell(req->p, preset->name), ",",
                            imu_csv_cell(req->p, preset->positive), ",",
                            imu_csv_cell(req->p, preset->negative), "\r\n", NULL);
    }
    text = apr_array_pstrcat(req->p, lines, 0);
    imu_reply_header(req, "Content-Disposition", "attachment; filename=\"style-presets.csv\"");
    return imu_reply_bytes(req, 200, "text/csv; charset=utf-8", text, strlen(text));
}

static int ends_with(const char *text, const char *ending)
{
    apr_size_t len = strlen(text), end = strlen(ending);

    return len >= end && strcasecmp(text + len - end, ending) == 0;
}

/* What a file claims to be; which of the two it is shows only in its name or type. */
static table_kind kind_of(imu_req *req, const imu_part *file)
{
    const char *claim = file->type ? file->type : "";
    const char *type = apr_pstrmemdup(req->p, claim, strcspn(claim, "; \t"));

    if (strcasecmp(type, "application/json") == 0 || ends_with(file->filename, ".json"))
        return TABLE_JSON;
    if (strcasecmp(type, "text/csv") == 0 || ends_with(file->filename, ".csv"))
        return TABLE_CSV;
    return TABLE_UNKNOWN;
}

static imu_err *invalid(imu_req *req, const char *why)
{
    return imu_error(req->p, 400, "import_invalid", "The file could not be read: %s.", why);
}

static imu_err *read_file(imu_req *req, const imu_upload *upload, const char **text)
{
    apr_size_t size = (apr_size_t)upload->file->file_bytes;
    ssize_t n;
    char *buf;

    if (upload->file->file_bytes > MAX_IMPORT_BYTES)
        return imu_error(req->p, 413, "upload_too_large", "At most %d MiB can be imported at once.",
                         MAX_IMPORT_BYTES / 1048576);
    buf = apr_palloc(req->p, size + 1);
    if ((n = imu_read_at(upload->fd, buf, size, 0)) != (ssize_t)size)
        return imu_error_internal(req->p, "cannot read an upload back: %s",
                                  n < 0 ? strerror(errno) : "it is too short");
    buf[size] = '\0';
    if (strlen(buf) != size || !imu_is_clean_text(buf))
        return invalid(req, "it is no text in UTF-8");
    *text = buf;
    return NULL;
}

static imu_err *read_table(imu_req *req, const imu_upload *upload, json_t **rows)
{
    table_kind kind = kind_of(req, upload->file);
    const char *text = NULL, *why = "it holds no list";
    imu_err *err;

    if (kind == TABLE_UNKNOWN)
        return imu_error(req->p, 415, "not_csv_or_json",
                         "Only CSV and JSON files can be imported.");
    if ((err = read_file(req, upload, &text)))
        return err;
    *rows = imu_json_own(req->p, kind == TABLE_CSV ? imu_csv_objects(req->p, text, MAX_IMPORT, &why)
                                                   : json_loads(text, 0, NULL));
    if (!json_is_array(*rows))
        return invalid(req, why);
    if (json_array_size(*rows) > MAX_IMPORT)
        return invalid(req, "it has too many rows");
    return NULL;
}

static imu_err *read_row(imu_req *req, const json_t *row, imu_preset *preset)
{
    const char *prompt = json_object_get(row, "positive_prompt") ? "positive_prompt" : "prompt";
    imu_check *c = imu_check_new(req->p, "file");

    if (!json_is_object(row))
        return invalid(req, "one of its rows is no object");
    memset(preset, 0, sizeof *preset);
    preset->id = imu_uuid4(req->p);
    preset->name = imu_check_text(c, row, "name", IMU_REQUIRED, 1, IMU_PRESET_NAME_MAX);
    preset->positive = imu_check_text(c, row, prompt, IMU_REQUIRED, 0, IMU_PRESET_TEXT_MAX);
    preset->negative =
        imu_check_text(c, row, "negative_prompt", IMU_NULLABLE, 0, IMU_PRESET_TEXT_MAX);
    if (!preset->negative)
        preset->negative = "";
    preset->facts.owner_id = req->who.user_id;
    preset->facts.is_public = imu_preset_public_default(req);
    return imu_preset_check_end(req, c);
}

static imu_err *insert_all(imu_req *req, const imu_preset *presets, size_t count)
{
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = imu_db_begin(db)))
        return err;
    for (size_t i = 0; !err && i < count; i++)
        err = imu_preset_insert(db, req->p, &presets[i]);
    return imu_db_end(db, err);
}

/* All of the file's presets or none. They become the caller's own. */
imu_err *imu_api_style_presets_import(imu_req *req)
{
    imu_preset *presets;
    imu_upload upload;
    size_t count;
    json_t *rows = NULL;
    imu_err *err;

    imu_req_db_release(req);
    if ((err = imu_upload_read(req, "file", &upload)) || (err = read_table(req, &upload, &rows)))
        return err;
    count = json_array_size(rows);
    presets = apr_palloc(req->p, sizeof *presets * (count + 1));
    for (size_t i = 0; i < count; i++)
        if ((err = read_row(req, json_array_get(rows, i), &presets[i])))
            return err;
    if ((err = insert_all(req, presets, count)))
        return err;
    return imu_reply_json(req, 200, json_null());
}
