/*
 * person.h: what a person may be called, and which characters an address has. The same for requests
 * and for the command line. Free of httpd.
 */
#ifndef IMU_UTIL_PERSON_H
#define IMU_UTIL_PERSON_H

#include <apr_pools.h>

#define IMU_NAME_MAX 200 /**< characters of a display name */
/** Bytes that such a name takes at most, with some white space around it. */
#define IMU_NAME_BYTES (4 * IMU_NAME_MAX + 200)

/**
 * Looks at a name that somebody gives to a person. White space and invisible characters at the ends
 * are taken off. Refused are names of nothing else, characters that control a line or turn its
 * direction, text that is no UTF-8, and more than IMU_NAME_MAX characters.
 * @param given  NULL: no name is given; "": the person has none from now on. Both are fine.
 * @param name   what is to be stored
 * @return NULL when it may be used, else a sentence that says why not
 */
const char *imu_check_person_name(apr_pool_t *p, const char *given, const char **name);

/** True when every character of the text can be seen: no white space, nothing invisible, nothing
 * that controls a line. Text that is no UTF-8 is not. */
int imu_is_visible_word(const char *text);

#endif
