/* Templates, names and senders of mails. No header line comes of anything but us. */
#include "tests/unit/pool.h"
#include "mod_invokemu/mail/message.h"
#include "mod_invokemu/mail/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines of the header that are not the rest of the one before. */
static int fields_of(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    int count = 0;

    for (const char *line = text; line && line < end + 2; line = strstr(line, "\r\n") + 2) {
        if (strcspn(line, "\r\n") > 998 || !strstr(line, "\r\n"))
            abort();
        count += *line != ' ';
    }
    return count;
}

static void goes_out(const char *name, const char *subject, const char *body)
{
    imu_mail_parts parts = {.from_address = "a@b",
                            .to_address = "c@d",
                            .from_name = name,
                            .to_name = name,
                            .subject = subject,
                            .body = body,
                            .id = "1"};
    const char *text;

    if (!imu_mail_message(pool, &parts, &text) && fields_of(text) != 9)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = pool_text(data, size), *name, *address, *subject, *body;
    imu_mail_words words = {text, text, text, text, text, text};

    goes_out(text, text, text);
    if (imu_mail_mailbox(pool, text, &name, &address) && strpbrk(address, "\r\n <>"))
        abort();
    if (!imu_mail_template_fill(pool, text, &words, &subject, &body))
        goes_out(subject, subject, body);
    apr_pool_clear(pool);
    return 0;
}
