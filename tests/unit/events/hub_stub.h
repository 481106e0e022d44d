/* hub_stub.h: accounts for tests of the hub, in the place of the database. A token is "<user>" or
 * "<user>:<anything>". */
#ifndef IMU_HUB_STUB_H
#define IMU_HUB_STUB_H

#include <apr_time.h>

typedef struct stub_user {
    const char *user_id;
    int is_admin, active, must_change_password;
    apr_time_t expires;
} stub_user;

/* How often the hub said that much memory is free. */
extern int stub_trims;
void stub_trim(void);

extern stub_user stub_users[4]; /* alice, bob, carol, root (an administrator) */
void stub_reset(void);
stub_user *stub_find(const char *user_id);

#endif
