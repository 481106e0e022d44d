/*
 * test_mail.c: headers that nothing in a name or subject can break, and templates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <apr_base64.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/mail/message.h"
#include "mod_invokemu/mail/template.h"
#include "mod_invokemu/util/ids.h"

static apr_pool_t *pool;

static int setup(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static const char *message(const char *name, const char *subject, const char *body)
{
    imu_mail_parts parts = {.from_address = "from@example.org",
                            .from_name = name,
                            .to_address = "to@example.org",
                            .to_name = name,
                            .subject = subject,
                            .body = body,
                            .date = 0,
                            .id = "1"};
    const char *text = NULL;

    assert_null(imu_mail_message(pool, &parts, &text));
    return text;
}

/* Every line of the header is a known field or a fold, is short, and holds ASCII alone. */
static void check_header(const char *text)
{
    static const char *const fields[] = {"Date: ",
                                         "From: ",
                                         "To: ",
                                         "Subject: ",
                                         "Message-ID: ",
                                         "MIME-Version: ",
                                         "Content-Type: ",
                                         "Content-Transfer-Encoding: ",
                                         "Auto-Submitted: ",
                                         " "};
    const char *end = strstr(text, "\r\n\r\n"), *next;
    int count = 0;

    assert_non_null(end);
    for (const char *line = text; line < end + 2; line = next + 2) {
        size_t known = 0;

        next = strstr(line, "\r\n");
        assert_in_range(next - line, 1, 100);
        for (const char *c = line; c < next; c++)
            assert_in_range(*c, ' ', '~');
        while (known < 10 && strncmp(line, fields[known], strlen(fields[known])) != 0)
            known++;
        assert_in_range(known, 0, 9);
        count += known < 9;
    }
    assert_int_equal(count, 9);
}

static void plain_names_stay_readable(void **state)
{
    const char *text = message("Jane Doe", "A new password", "Hello\nyou\r\n");

    (void)state;
    check_header(text);
    assert_non_null(strstr(text, "\r\nTo: Jane Doe\r\n <to@example.org>\r\n"));
    assert_non_null(strstr(text, "\r\nSubject: A new password\r\n"));
    assert_non_null(strstr(text, "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"));
    assert_non_null(strstr(text, "Transfer-Encoding: 7bit\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n") + 4, "Hello\r\nyou\r\n");
}

static void hostile_names_add_no_line(void **state)
{
    static const char *const names[] = {
        "x\r\nBcc: victim@example.org",
        "x\nBcc: a@b",
        "x\rBcc: a@b",
        "\"x\" <evil@example.org>",
        "=?UTF-8?Q?=0D=0ABcc:?=",
        "a\x1f"
        "b",
        "\x7f",
        "Zo\xc3\xab",
        " lead",
        "trail ",
        "",
        "\n",
        "a,b;c:d@e",
        "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4"
        "\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5"
        "\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd"};
    char *longest = apr_palloc(pool, 5001);

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = message(names[i], names[i], "body");

        check_header(text);
        assert_null(strstr(text, "\r\nBcc"));
        assert_null(strstr(text, "evil@"));
    }
    memset(longest, 'a', 5000);
    longest[5000] = '\0';
    check_header(message(longest, longest, "body"));
    for (int i = 0; i < 4998; i += 2)
        memcpy(longest + i, "\xc3\xab", 2);
    check_header(message(longest, longest, "body"));
}

/* A word that is encoded piece by piece never tears a character apart. */
static void pieces_are_whole_characters(void **state)
{
    const char *text, *at;
    char *name = apr_pstrdup(pool, "");
    int pieces = 0;

    (void)state;
    for (int i = 0; i < 40; i++)
        name = apr_pstrcat(pool, name, i % 7 ? "\xe4\xbd\xa0" : "a", NULL);
    text = message(name, "s", "body");
    for (at = text; (at = strstr(at, "=?UTF-8?B?")); at += 10, pieces++) {
        char out[200];
        int len = apr_base64_decode(out, apr_pstrmemdup(pool, at + 10, strcspn(at + 10, "?")));

        assert_int_not_equal(out[0] & 0xc0, 0x80);
        assert_in_range(len, 1, 45);
    }
    assert_in_range(pieces, 4, 20);
}

static void bodies_that_need_it_are_encoded(void **state)
{
    char *longest = apr_pcalloc(pool, 2001), *body = apr_pcalloc(pool, IMU_MAIL_BODY_MAX + 2);
    const char *const bodies[] = {"Zo\xc3\xab\n", "a\rb",
                                  "a\x01"
                                  "b",
                                  longest};
    imu_mail_parts parts = {.from_address = "a@b", .to_address = "c@d", .subject = "s", .id = "1"};
    const char *text;

    (void)state;
    memset(longest, 'x', 2000);
    for (size_t i = 0; i < 4; i++) {
        char *decoded;

        text = message(NULL, "s", bodies[i]);
        check_header(text);
        assert_non_null(strstr(text, "Transfer-Encoding: base64\r\n"));
        decoded = apr_pcalloc(pool, strlen(text) + 1);
        text = strstr(text, "\r\n\r\n") + 4;
        if (i < 3) {
            decoded[apr_base64_decode(decoded, text)] = '\0';
            assert_string_equal(decoded, bodies[i]);
        }
        for (; *text; text = strstr(text, "\r\n") + 2)
            assert_in_range(strcspn(text, "\r"), 1, 76);
    }
    memset(body, 'x', IMU_MAIL_BODY_MAX + 1);
    parts.body = body;
    assert_non_null(imu_mail_message(pool, &parts, &text));
}

static void addresses_that_could_break_out_are_refused(void **state)
{
    static const char *const bad[] = {"a@b\r\nRCPT TO:<x@y>",
                                      "a b@c",
                                      "<a@b>",
                                      "a@b>",
                                      "ab",
                                      "@b",
                                      "a@",
                                      "",
                                      "a@b,c@d",
                                      "a\x7f@b",
                                      "a\n@b"};
    imu_mail_parts parts = {
        .from_address = "from@example.org", .subject = "s", .body = "b", .id = "1"};
    const char *text;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(imu_mail_address_ok(bad[i]));
        parts.to_address = bad[i];
        assert_true(imu_error_is(imu_mail_message(pool, &parts, &text), "mail_address"));
    }
    assert_true(imu_mail_address_ok("j\xc3\xb6rg.m+x@sub.example.org"));
}

static void mailboxes_are_taken_apart(void **state)
{
    const char *name, *address;

    (void)state;
    assert_true(imu_mail_mailbox(pool, "A & B <a@b.c>", &name, &address));
    assert_string_equal(name, "A & B");
    assert_string_equal(address, "a@b.c");
    assert_true(imu_mail_mailbox(pool, "a@b.c", &name, &address));
    assert_null(name);
    assert_true(imu_mail_mailbox(pool, "<a@b.c>", &name, &address));
    assert_null(name);
    assert_false(imu_mail_mailbox(pool, "A <a@b.c", &name, &address));
    assert_false(imu_mail_mailbox(pool, "A <a@b.c> x", &name, &address));
    assert_false(imu_mail_mailbox(pool, "A\n<a@b.c>", &name, &address));
    assert_false(imu_mail_mailbox(pool, "A", &name, &address));
    assert_false(imu_mail_mailbox(pool, "", &name, &address));
    assert_false(imu_mail_mailbox(pool, "<>", &name, &address));
}

static const imu_mail_words words = {"Z\nBcc: {link}", "e@x",    "https://s",
                                     "https://s/l",    "7 days", "Ada\r\nBcc: x"};

static void templates_are_filled(void **state)
{
    const char *subject, *body;

    (void)state;
    assert_null(imu_mail_template_fill(
        pool,
        "# note\n#more\r\nSubject: For {email}\r\n\r\nHello {name},\n{link} {valid}{server}\n",
        &words, &subject, &body));
    assert_string_equal(subject, "For e@x");
    assert_string_equal(body, "Hello Z Bcc: {link},\nhttps://s/l 7 dayshttps://s\n");
}

/* A name may have more bytes than a word of a mail: what is cut, is cut between letters. */
static void long_names_are_cut_between_letters(void **state)
{
    const char *subject, *body;

    (void)state;
    for (int before = 0; before < 3; before++) {
        char *name = apr_pstrdup(pool, &"aaa"[3 - before]);
        imu_mail_words with = words;

        for (int i = 0; i < 200; i++)
            name = apr_pstrcat(pool, name, "\xe7\x95\x8c", NULL);
        with.name = name;
        assert_null(
            imu_mail_template_fill(pool, "Subject: s\n\n{name}{link}", &with, &subject, &body));
        assert_true(imu_is_clean_text(body));
        assert_true(strlen(body) > 390 && strlen(body) <= 400 + strlen(words.link));
    }
}

static void broken_templates_say_why(void **state)
{
    static const char *const bad[] = {"",
                                      "#",
                                      "Hello {link}",
                                      "Subject: \n\n{link}",
                                      "Subject: s\nno empty line {link}",
                                      "Subject: s\n\nno link",
                                      "Subject: s\n\n{link} {nothing}",
                                      "Subject: s\n\n{link} {",
                                      "Subject: {\n\n{link}",
                                      "Subject: s\n\n{link} {link"};
    const char *subject, *body;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(imu_error_is(imu_mail_template_fill(pool, bad[i], &words, &subject, &body),
                                 "mail_template"));
}

static void shipped_templates_are_whole(void **state)
{
    static const char *const kinds[] = {"invitation", "reset", "email_change", "email_changed"};
    const char *text, *subject, *body;

    (void)state;
    for (int i = 0; i < 4; i++) {
        imu_mail_words with = words;

        if (i == 3)
            with.link = NULL;
        assert_null(imu_mail_template_read(pool, "conf/mail", kinds[i], &text));
        assert_null(imu_mail_template_fill(pool, text, &with, &subject, &body));
        assert_int_equal(strstr(body, "https://s/l") != NULL, i < 3);
        assert_null(strchr(body, '#'));
    }
    assert_non_null(imu_mail_template_read(pool, "conf/nowhere", "reset", &text));
    assert_non_null(imu_mail_template_read(pool, "conf/mail", "other", &text));
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(plain_names_stay_readable),
        cmocka_unit_test(hostile_names_add_no_line),
        cmocka_unit_test(pieces_are_whole_characters),
        cmocka_unit_test(bodies_that_need_it_are_encoded),
        cmocka_unit_test(addresses_that_could_break_out_are_refused),
        cmocka_unit_test(mailboxes_are_taken_apart),
        cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(long_names_are_cut_between_letters),
        cmocka_unit_test(broken_templates_say_why),
        cmocka_unit_test(shipped_templates_are_whole),
    };

    return cmocka_run_group_tests(all, setup, teardown);
}
