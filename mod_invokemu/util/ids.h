/*
 * ids.h: random identifiers, secrets and times as the database and the wire write them.
 */
#ifndef IMU_IDS_H
#define IMU_IDS_H

#include <apr_pools.h>
#include <apr_time.h>

/** A random UUID v4 in lower case (RFC 9562), 36 characters. */
const char *imu_uuid4(apr_pool_t *p);
/** True for 36 characters of that form. */
int imu_is_uuid(const char *text);
/** True for a UUID of any version in lower case, such as other programs make. */
int imu_is_any_uuid(const char *text);
/** Fills buf from the kernel's random source; never fails short. */
void imu_random_bytes(void *buf, apr_size_t len);
/** bytes of randomness as canonical base64url without padding. */
const char *imu_random_token(apr_pool_t *p, apr_size_t bytes);
/** Canonical base64url without padding (RFC 4648 section 5). */
const char *imu_base64url(apr_pool_t *p, const void *data, apr_size_t len);
/**
 * Decodes canonical base64url without padding; refuses padding, other characters and set trailing
 * bits.
 * @return bytes in p and *len, or NULL.
 */
const unsigned char *imu_base64url_decode(apr_pool_t *p, const char *text, apr_size_t text_len,
                                          apr_size_t *len);
/** SHA-256 of data as 64 hex digits. */
const char *imu_sha256_hex(apr_pool_t *p, const void *data, apr_size_t len);
/** t as UTC text "YYYY-MM-DD HH:MM:SS.mmm". */
const char *imu_time_text(apr_pool_t *p, apr_time_t t);
/** Now, as above. */
const char *imu_now(apr_pool_t *p);
/** Reads that text back. @return 0 for NULL or another form. */
apr_time_t imu_time_parse(const char *text);
/** The character at text, which is not at its end. @return its length in bytes (RFC 3629), 0 when
 * what stands there is no UTF-8 */
int imu_utf8_next(const char *text, unsigned *code);
/** True when text is valid UTF-8 without control characters other than tab, CR and LF. */
int imu_is_clean_text(const char *text);
/** The text as a terminal may show it on one line: bytes of control characters (C0, DEL, C1), of
 * marks that turn the direction of what follows, and of what is no UTF-8 stand as \xNN. */
const char *imu_visible_text(apr_pool_t *p, const char *text);

#endif
