#include "mod_invokemu/util/hosts.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define LONGEST_NAME 255

/* Kept for local use by RFC 6761, 6762, 8375 and ICANN (.internal, and .home and .lan, which are
 * not given away). */
static const char *const local_domains[] = {".localhost", ".local", ".internal",
                                            ".home.arpa", ".home",  ".lan"};

static int is_address(const char *host, size_t len)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len >= sizeof text)
        return 0;
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

int imu_host_is_local(const char *host)
{
    size_t len = strlen(host);

    if (is_address(host, len))
        return 1;
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > LONGEST_NAME)
        return 0;
    if (!memchr(host, '.', len))
        return 1;
    for (unsigned i = 0; i < sizeof local_domains / sizeof local_domains[0]; i++) {
        size_t end = strlen(local_domains[i]);

        if (len > end && strncasecmp(host + len - end, local_domains[i], end) == 0)
            return 1;
    }
    return 0;
}
