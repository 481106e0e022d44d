/*
 * sessions.c: where a person is signed in, and signing them out.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/events/publish.h"

imu_err *cli_sessions_list(cli *c)
{
    imu_identity who = {.session_id = ""};
    json_t *list, *one;
    imu_rows *user;
    imu_err *err = cli_account(c, c->opt.email, &user);
    size_t i;

    if (err)
        return err;
    who.user_id = imu_text(user, 0, "user_id");
    if ((err = imu_session_list(c->db, c->p, &who, &list)))
        return err;
    imu_json_own(c->p, list);
    if (c->opt.json) {
        cli_print_json(list);
        return NULL;
    }
    json_array_foreach (list, i, one) {
        const char *agent = json_string_value(json_object_get(one, "user_agent"));
        const char *from = json_string_value(json_object_get(one, "ip_address"));

        cli_say(c, "%s  %s  %-15s %s", json_string_value(json_object_get(one, "session_id")),
                json_string_value(json_object_get(one, "last_activity_at")), from ? from : "-",
                agent ? agent : "-");
    }
    return NULL;
}

static imu_err *end_one(cli *c, const char *user_id)
{
    int found;
    imu_err *err = imu_session_end(c->db, c->p, user_id, c->opt.session, &found);

    if (!err && !found)
        err = imu_error(c->p, 404, "no_session", "there is no such session of that account");
    return err;
}

imu_err *cli_sessions_end(cli *c)
{
    imu_rows *user;
    const char *id, *email;
    imu_err *err = cli_account(c, c->opt.email, &user);

    if (err)
        return err;
    id = imu_text(user, 0, "user_id");
    email = imu_text(user, 0, "email");
    err = c->opt.session ? end_one(c, id) : imu_session_end_all(c->db, c->p, id, NULL);
    if (err)
        return err;
    imu_publish_user_changed(id);
    cli_note(c, (imu_audit_fact){
                    .action = IMU_AUDIT_SESSIONS_ENDED, .target_id = id, .target_name = email});
    cli_done(c, json_pack("{s:s, s:s}", "user_id", id, "email", email), "Signed %s out %s.", email,
             c->opt.session ? "there" : "everywhere");
    return NULL;
}
