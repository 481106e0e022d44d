#include "mod_invokemu/dispatch/smtp.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <curl/curl.h>

#define REASON_MAX 200

typedef struct transfer {
    CURL *curl;
    const char *text;
    size_t left;
    int (*stopped)(void *);
    void *baton;
} transfer;

int imu_smtp_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static size_t give(char *to, size_t size, size_t count, void *baton)
{
    transfer *t = baton;
    size_t len = size * count < t->left ? size * count : t->left;

    memcpy(to, t->text, len);
    t->text += len;
    t->left -= len;
    return len;
}

static int on_progress(void *baton, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    transfer *t = baton;

    (void)a, (void)b, (void)c, (void)d;
    if (!t->stopped(t->baton))
        return 0;
    /* The process ends: libcurl need not wait for its thread that asks for the server's address. */
    curl_easy_setopt(t->curl, CURLOPT_QUICK_EXIT, 1L);
    return 1;
}

static int set_up(CURL *curl, const imu_mail_conf *conf, transfer *t, struct curl_slist *to,
                  int timeout_ms, char *error)
{
    static const long tls[] = {CURLUSESSL_ALL, CURLUSESSL_TRY, CURLUSESSL_NONE};
    CURLcode rc = CURLE_OK;

#define SET(option, value) rc = rc ? rc : curl_easy_setopt(curl, option, value)
    SET(CURLOPT_ERRORBUFFER, error);
    SET(CURLOPT_URL, conf->server);
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_USE_SSL, tls[conf->tls]);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* Where mail may go out in the clear, a certificate nobody vouches for is no worse. */
    if (conf->tls == IMU_TLS_IF_OFFERED) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (conf->ca_file) {
        SET(CURLOPT_CAINFO, conf->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (conf->user) {
        SET(CURLOPT_USERNAME, conf->user);
        SET(CURLOPT_PASSWORD, conf->password);
    }
    SET(CURLOPT_MAIL_FROM, conf->from_address);
    SET(CURLOPT_MAIL_RCPT, to);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, give);
    SET(CURLOPT_READDATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, t);
#undef SET
    return rc == CURLE_OK;
}

/* What the server said is not repeated: it may quote what it was sent. */
static const char *reason(apr_pool_t *p, CURLcode rc, const char *error, long code)
{
    char *text = apr_pstrndup(p, *error ? error : curl_easy_strerror(rc), REASON_MAX);

    for (char *c = text; *c; c++)
        if (!apr_isprint(*c))
            *c = ' ';
    return code >= 400 && !strstr(text, apr_ltoa(p, code))
               ? apr_psprintf(p, "%s (the mail server answered %ld)", text, code)
               : text;
}

static imu_sent perform(CURL *curl, apr_pool_t *p, const char *error, const char **why)
{
    CURLcode rc = curl_easy_perform(curl);
    long code = 0;

    if (rc == CURLE_OK)
        return IMU_MAIL_SENT;
    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code) != CURLE_OK)
        code = 0;
    *why = reason(p, rc, error, code);
    /* 550 to 554 speak of the mail and its recipient; what else goes wrong may be mended. */
    return rc == CURLE_SEND_ERROR && code >= 550 && code <= 554 ? IMU_MAIL_REFUSED : IMU_MAIL_LATER;
}

imu_sent imu_smtp_send(const imu_mail_conf *conf, apr_pool_t *p, const char *to, const char *text,
                       int timeout_ms, int (*stopped)(void *), void *baton, const char **why)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *list = curl_slist_append(NULL, to);
    CURL *curl = curl_easy_init();
    transfer t = {curl, text, strlen(text), stopped, baton};
    imu_sent sent = IMU_MAIL_LATER;

    *why = "no memory";
    if (curl && list && set_up(curl, conf, &t, list, timeout_ms, error))
        sent = perform(curl, p, error, why);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    return sent;
}
