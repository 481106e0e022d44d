#include "mod_invokemu/config_mail.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>

#include "mod_invokemu/mail/message.h"
#include "mod_invokemu/mail/template.h"

#define PASSWORD_MAX 500
#define URL_MAX      300

static void unset(const char **field)
{
    /* A path was made absolute. */
    const char *name = strrchr(*field, '/');

    if (strcasecmp(name ? name + 1 : *field, IMU_MAIL_NONE) == 0)
        *field = NULL;
}

/* The parser of addresses cuts a large number. */
static int is_port(const char *text)
{
    long port = text ? strtol(text, NULL, 10) : 1;

    return port >= 1 && port <= 65535;
}

/** An address with a host and nothing after its path. @return 0 for anything else */
static int is_address(apr_pool_t *p, const char *text, apr_uri_t *uri)
{
    for (const char *c = text; *c; c++)
        if (!apr_isgraph(*c) || strchr("\"<>\\^`{|}", *c))
            return 0;
    return strlen(text) <= URL_MAX && apr_uri_parse(p, text, uri) == APR_SUCCESS && uri->scheme &&
           uri->hostname && *uri->hostname && is_port(uri->port_str) && !uri->user &&
           !uri->password && !uri->query && !uri->fragment;
}

static const char *check_public_url(apr_pool_t *p, imu_instance *i)
{
    apr_uri_t uri;
    char *url;
    apr_size_t len;

    if (!i->public_url)
        return NULL;
    if (!is_address(p, i->public_url, &uri) ||
        (strcmp(uri.scheme, "https") != 0 && strcmp(uri.scheme, "http") != 0))
        return apr_psprintf(p,
                            "InvokeMUPublicURL is the address of this server, such as "
                            "https://pictures.example.org, not \"%s\"",
                            i->public_url);
    url = apr_pstrdup(p, i->public_url);
    for (len = strlen(url); url[len - 1] == '/';)
        url[--len] = '\0';
    i->public_url = url;
    return NULL;
}

static const char *check_server(apr_pool_t *p, const imu_instance *i)
{
    apr_uri_t uri;

    if (!is_address(p, i->mail_server, &uri) || !uri.port_str ||
        (uri.path && *uri.path && strcmp(uri.path, "/") != 0) ||
        (strcmp(uri.scheme, "smtp") != 0 && strcmp(uri.scheme, "smtps") != 0))
        return apr_psprintf(p,
                            "InvokeMUMailServer is smtp://host:587, smtps://host:465 or none, not "
                            "\"%s\"",
                            i->mail_server);
    if (strcmp(uri.scheme, "smtps") == 0 && i->mail_tls == IMU_TLS_OFF)
        return "InvokeMUMailTLS Off does not go with smtps://, which is TLS from the start";
    return NULL;
}

const char *imu_mail_password_read(apr_pool_t *p, const char *path, const char **password)
{
    char text[PASSWORD_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t len;

    if (fd < 0)
        return apr_psprintf(p, "InvokeMUMailPasswordFile: %s can't be read: %s", path,
                            strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07)) {
        close(fd);
        return apr_psprintf(p,
                            "InvokeMUMailPasswordFile: %s must be a file that not everybody can "
                            "read (chmod 600)",
                            path);
    }
    len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (len <= 0 || !*text || strlen(text) > PASSWORD_MAX)
        return apr_psprintf(p, "InvokeMUMailPasswordFile: %s holds no password of 1 to %d bytes",
                            path, PASSWORD_MAX);
    *password = apr_pstrdup(p, text);
    return NULL;
}

static const char *check_user(apr_pool_t *p, const imu_instance *i)
{
    const char *password;

    if (!i->mail_user != !i->mail_password_file)
        return "InvokeMUMailUser and InvokeMUMailPasswordFile go together";
    if (!i->mail_user)
        return NULL;
    if (i->mail_tls != IMU_TLS_REQUIRED)
        return "InvokeMUMailUser needs InvokeMUMailTLS Required: the password would cross the "
               "network for everybody to read";
    return imu_mail_password_read(p, i->mail_password_file, &password);
}

static const char *check_templates(apr_pool_t *p, const imu_instance *i)
{
    static const char *const kinds[] = {"invitation", "reset", "email_change", "email_changed"};
    imu_mail_words sample = {"name", "email", "server", "link", "valid", "admin"};
    const char *text, *subject, *body;
    imu_err *err;

    for (int k = 0; k < 4; k++) {
        if (k == 3) /* the last one brings no link */
            sample.link = NULL;
        if ((err = imu_mail_template_read(p, i->mail_templates, kinds[k], &text)))
            return apr_pstrcat(p, "InvokeMUMailTemplates: ", err->detail, NULL);
        if ((err = imu_mail_template_fill(p, text, &sample, &subject, &body)))
            return apr_pstrcat(p, "InvokeMUMailTemplates: ", i->mail_templates, "/",
                               imu_mail_template_file(kinds[k]), ": ", err->detail, NULL);
    }
    return NULL;
}

static const char *check_from(apr_pool_t *p, imu_instance *i)
{
    imu_mail_conf *m = &i->mail;

    return !i->mail_from || imu_mail_mailbox(p, i->mail_from, &m->from_name, &m->from_address)
               ? NULL
               : apr_psprintf(p,
                              "InvokeMUMailFrom is \"Name <address>\", such as \"Pictures "
                              "<pictures@example.org>\", not \"%s\"",
                              i->mail_from);
}

/* A file without a certificate would fail with each mail, much later. */
static const char *check_ca(apr_pool_t *p, const imu_instance *i)
{
    X509 *first = NULL;
    FILE *file;

    if (!i->mail_ca)
        return NULL;
    if (!(file = fopen(i->mail_ca, "re")))
        return apr_psprintf(p, "InvokeMUMailCA: %s can't be read: %s", i->mail_ca, strerror(errno));
    first = PEM_read_X509_AUX(file, NULL, NULL, NULL);
    fclose(file);
    ERR_clear_error();
    if (!first)
        return apr_psprintf(p, "InvokeMUMailCA: %s holds no certificate that can be read (PEM)",
                            i->mail_ca);
    X509_free(first);
    return NULL;
}

const char *imu_config_mail(apr_pool_t *p, imu_instance *i)
{
    imu_mail_conf *m = &i->mail;
    const char *why;

    unset(&i->mail_server);
    unset(&i->mail_from);
    unset(&i->mail_user);
    unset(&i->mail_password_file);
    unset(&i->mail_ca);
    unset(&i->public_url);
    /* What is wrong is said even while no mail is sent. */
    if ((why = check_public_url(p, i)) || (why = check_from(p, i)) || (why = check_ca(p, i)) ||
        !i->mail_server)
        return why;
    if (!i->public_url)
        return "InvokeMUMailServer needs InvokeMUPublicURL, the address that links in mails carry";
    if (!i->mail_from)
        return "InvokeMUMailServer needs InvokeMUMailFrom, such as \"Pictures "
               "<pictures@example.org>\"";
    if ((why = check_server(p, i)) || (why = check_user(p, i)) || (why = check_templates(p, i)))
        return why;
    m->on = 1;
    m->server = i->mail_server;
    m->user = i->mail_user;
    m->ca_file = i->mail_ca;
    m->tls = i->mail_tls;
    m->templates = i->mail_templates;
    m->public_url = i->public_url;
    return NULL;
}
