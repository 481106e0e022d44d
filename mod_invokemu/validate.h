/*
 * validate.h: checks a JSON body field by field and collects what is wrong into one 422 (shape of
 * {type, loc, msg, input}). Free of httpd.
 *
 *     imu_check *c = imu_check_new(p, "body");
 *     const char *email = imu_check_text(c, body, "email", IMU_REQUIRED, 1, 320);
 *     int remember = imu_check_bool(c, body, "remember_me", 0, 0);
 *     if ((err = imu_check_end(c)))
 *         return err;
 */
#ifndef IMU_VALIDATE_H
#define IMU_VALIDATE_H

#include "mod_invokemu/util/err.h"

/** The field must be there. */
#define IMU_REQUIRED 1
/** An explicit null is accepted; the answer is then NULL or the default. */
#define IMU_NULLABLE 2

typedef struct imu_check imu_check;

/** where is the first element of every loc: "body", "query" or "path". */
imu_check *imu_check_new(apr_pool_t *p, const char *where);
/**
 * Steps into an object: the names of faults from here on are below this one in their loc. A loc
 * holds names only: the web client shows no fault whose loc has a number in it.
 */
void imu_check_enter(imu_check *c, const char *field);
/** Steps out again. */
void imu_check_leave(imu_check *c);
/** Records one fault; field may be NULL for what was stepped into itself. type is a pydantic-style
 * word such as "missing", "string_type", "value_error". */
void imu_check_fault(imu_check *c, const char *field, const char *type, const char *msg,
                     const json_t *input);
/** Text of min..max bytes; NULL when absent. Refuses control characters other than tab and line
 * ends. */
const char *imu_check_text(imu_check *c, const json_t *body, const char *field, int flags,
                           size_t min, size_t max);
int imu_check_bool(imu_check *c, const json_t *body, const char *field, int flags, int def);
json_int_t imu_check_int(imu_check *c, const json_t *body, const char *field, int flags,
                         json_int_t min, json_int_t max, json_int_t def);
double imu_check_number(imu_check *c, const json_t *body, const char *field, int flags, double min,
                        double max, double def);
/** One of a NULL-terminated list of words; NULL when absent. */
const char *imu_check_choice(imu_check *c, const json_t *body, const char *field, int flags,
                             const char *const *words);
json_t *imu_check_object(imu_check *c, const json_t *body, const char *field, int flags);
/** An array of at most max elements. */
json_t *imu_check_array(imu_check *c, const json_t *body, const char *field, int flags, size_t max);
/** An array of at most max strings of at most max_len bytes each. */
json_t *imu_check_texts(imu_check *c, const json_t *body, const char *field, int flags, size_t max,
                        size_t max_len);
/** Faults every key of body that is not in the NULL-terminated list ("extra_forbidden"). */
void imu_check_only(imu_check *c, const json_t *body, const char *const *fields);
/** NULL when nothing was wrong, else the 422. */
imu_err *imu_check_end(imu_check *c);
/** A 422 for one field, in short. */
imu_err *imu_invalid(apr_pool_t *p, const char *where, const char *field, const char *type,
                     const char *msg);

#ifdef __clang_analyzer__
#define imu_invalid(...) imu_error_known(imu_invalid(__VA_ARGS__))
#endif

#endif
