/*
 * cli.h: the command line's frame: options, output, exit codes. Commands are one function each, in
 * a table in main.c. It works on the database beside a running server: the server reads accounts
 * afresh for every request. What a command does is the same as what a request does (store/, auth/);
 * here are only words.
 */
#ifndef IMU_CLI_H
#define IMU_CLI_H

#include <stdio.h>

#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/store/server_settings.h"

/** Exit codes, also in the manual. CLI_REMARKS: done, but something is left that a person should
 * look at. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_REMARKS = 3 };
/** Code of errors that end with CLI_USAGE: what stands behind an option makes no sense. */
#define CLI_NOT_UNDERSTOOD "not_understood"

/** The options, in the order in which help names them. The first three belong to every command. */
typedef enum cli_option {
    CLI_OPT_ROOT,
    CLI_OPT_DATABASE,
    CLI_OPT_JSON,
    CLI_OPT_EMAIL,
    CLI_OPT_NAME,
    CLI_OPT_ADMIN,
    CLI_OPT_NO_ADMIN,
    CLI_OPT_ACTIVE,
    CLI_OPT_INACTIVE,
    CLI_OPT_PASSWORD,
    CLI_OPT_PASSWORD_STDIN,
    CLI_OPT_MUST_CHANGE,
    CLI_OPT_NO_MUST_CHANGE,
    CLI_OPT_ALLOW_WEAK,
    CLI_OPT_SESSION,
    CLI_OPT_USER,
    CLI_OPT_ALL,
    CLI_OPT_STATUS,
    CLI_OPT_ACTION,
    CLI_OPT_RESULT,
    CLI_OPT_SEARCH,
    CLI_OPT_SINCE,
    CLI_OPT_UNTIL,
    CLI_OPT_LIMIT,
    CLI_OPT_FORMAT,
    CLI_OPT_URL,
    CLI_OPT_MODELS,
    CLI_OPT_FIX,
    CLI_OPT_DRY_RUN,
    CLI_OPT_OWNER,
    CLI_OPT_TRANSFER_TO,
    CLI_OPT_COPY,
    CLI_OPT_MEDIA,
    CLI_OPT_FORCE,
    CLI_OPT_HASH,
    CLI_OPT_COUNT
} cli_option;
/** A set of options. */
typedef apr_uint64_t cli_option_set;
#define CLI_SET(option) ((cli_option_set)1 << (option))

typedef struct cli_options {
    cli_option_set given;
    const char *root;        /**< --root */
    const char *database;    /**< --database, or below root */
    const char *models;      /**< --models */
    const char *plain;       /**< the plain argument */
    const char *email;       /**< --email, or that argument */
    const char *name;        /**< --name, as it is stored */
    const char *password;    /**< --password, -p: for upstream's names only, since others can read
                                argument lists */
    const char *media;       /**< --media: socket of the media process */
    const char *url;         /**< --url: where people reach the server, for links */
    const char *transfer_to; /**< --transfer-to: address of the account that gets the data */
    const char *session;     /**< --session */
    const char *user;        /**< --user: address */
    const char *status;      /**< --status, of jobs */
    const char *action, *result, *search, *since, *until, *format; /**< of the audit log */
    const char *limit;                                             /**< --limit */
    const char *hash;   /**< --hash: of a tokenizer's files */
    const char *owner;  /**< --owner: address of who gets what nobody owns */
    int password_stdin; /**< --password-stdin */
    int admin;          /**< --admin 1, --no-admin 0, else -1 */
    int active;         /**< --active 1, --inactive 0, else -1 */
    int must_change;    /**< --must-change 1, --no-must-change 0, else -1 */
    int weak;           /**< --allow-weak */
    int json;           /**< --json */
    int force;          /**< --force */
    int all;            /**< --all */
    int dry_run;        /**< --dry-run */
    int fix;            /**< --fix */
    int copy;           /**< --copy */
} cli_options;

struct cli_verb;

typedef struct cli {
    apr_pool_t *p;
    const struct cli_verb *verb; /**< what was asked for */
    int upstream;                /**< under one of upstream's names */
    imu_db *db;                  /**< open, but for commands that say otherwise */
    imu_server_settings server;  /**< read when the database is opened */
    cli_options opt;
    int remarks; /**< set to end with CLI_REMARKS */
} cli;

typedef imu_err *cli_command(cli *c);

/** A command. What it takes is said here, and nowhere else: everything else is refused before
 * anything is opened, and help is written from it. */
typedef struct cli_verb {
    const char *group;
    const char *word; /**< NULL: the group has one command */
    cli_command *run;
    int closed; /**< runs without an open database */
    const char *upstream;
    const char *argument; /**< plain argument in capitals, in brackets when it may be missing; NULL:
                             none */
    cli_option_set takes; /**< besides --root, --database and --json */
    const char *(*check)(const cli *c); /**< what does not go together, in words; or NULL */
    const char *help;
} cli_verb;

cli_command cli_users_add, cli_users_list, cli_users_mod, cli_users_del, cli_sessions_list,
    cli_sessions_end, cli_models_list, cli_models_remove, cli_models_restore, cli_models_scan,
    cli_models_tokenizer, cli_invite, cli_reset, cli_links_list, cli_links_end, cli_queue_status,
    cli_queue_list, cli_queue_pause, cli_queue_resume, cli_queue_cancel, cli_queue_clear,
    cli_queue_prune, cli_audit, cli_backup, cli_doctor_command, cli_import, cli_legacy;
/** Need no open database. */
cli_command cli_migrate, cli_restore;

/** All commands (commands.c). */
extern const cli_verb cli_verbs[];
extern const int cli_verbs_count;
/** Prints what can be done. @param group  the commands that begin with that word; NULL: all */
void cli_help(FILE *out, const char *group);
/** Prints how the command that was asked for is typed, by the name that it was called by. */
void cli_help_of(const cli *c);
/** Whether commands begin with that word. */
int cli_is_group(const char *word);
/** A command as it is typed. */
const char *cli_words(const cli *c);

/**
 * Reads the options behind c->verb, and looks whether they belong there.
 * @param help  set to 1 when they ask for help
 * @return NULL, or the sentence to print with exit code CLI_USAGE; "" when it is printed
 */
const char *cli_parse(cli *c, int argc, char **argv, int *help);
/** An option as it is typed, and what help calls its argument (NULL: it has none). */
const char *cli_option_name(cli_option option);
const char *cli_option_argument(cli_option option);
/** The letter by which upstream's tools know an option, or 0. */
char cli_option_letter(cli_option option);
/** All options that the command takes under the name that it was called by. */
cli_option_set cli_taken(const cli *c);
/** A path as it reads from anywhere, without a slash at its end. NULL for what is none. */
const char *cli_whole_path(apr_pool_t *p, const char *path);
/** --limit as a number, or the default. @return 422 */
imu_err *cli_limit(cli *c, apr_int64_t normal, apr_int64_t most, apr_int64_t *limit);
/** A new password, from --password, stdin or a prompt (twice). NULL and a message on stderr when
 * there is none. */
const char *cli_new_password(cli *c);
/** Asks a question on the terminal. @return 1 for yes; without a terminal no, unless --force */
int cli_confirm(cli *c, const char *question);
/** Prints one line; control characters in it are shown, those of the arguments too. */
void cli_say(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The same on stderr, behind the program's name. */
void cli_complain(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Prints lines for programs as they are; on a terminal, control characters are shown. Cuts text
 * up. */
void cli_print_lines(cli *c, char *text);
/** Words that say what was counted, in the plural. @return the same in the singular where it is one
 */
const char *cli_in_number(apr_pool_t *p, const char *what, json_int_t count);
/** A name of a file or of another program's as JSON: what is no UTF-8 in it is shown as on a
 * terminal. Null for NULL. New reference. */
json_t *cli_json_name(apr_pool_t *p, const char *name);
/** Prints JSON and a line end. */
void cli_print_json(const json_t *json);
/** With --json prints the object, else the sentence, in one line. Takes the reference. */
void cli_done(cli *c, json_t *json, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Whether a text is written as a SHA-256 is: 64 digits. */
int cli_is_hash(const char *text);
/** What is wrong with --hash, or NULL. */
const char *cli_check_hash(const cli *c);

/** The account of that address. @param email  as it was typed, or NULL */
imu_err *cli_account(cli *c, const char *email, imu_rows **user);
/** The first administrator is asked whether they receive what was made before there were accounts.
 */
imu_err *cli_offer_legacy(cli *c, const char *id, const char *email);
/** Numbers of imu_legacy_count in words. */
const char *cli_legacy_words(cli *c, const imu_rows *counts);
/** Opens the database, and takes over what the server that works on it is set to. */
imu_err *cli_open(cli *c);
/** Where publish.h sends to. @param socket  the dispatcher's, or NULL for nowhere */
void cli_tell_to(const char *socket, const char *root);
/** Tells a server that runs of jobs that were canceled. @param changes  of imu_queue_change */
void cli_tell_canceled(cli *c, const apr_array_header_t *changes);
/** Removes the files of pictures whose rows are gone. */
imu_err *cli_purge(cli *c);
/** An entry in the audit log, by whoever sits at the machine. What was done stays done when it
 * can't be written; that is said on stderr. */
void cli_note(cli *c, imu_audit_fact fact);
/** The same inside the transaction of what it tells of: one is not without the other. */
imu_err *cli_note_with(cli *c, imu_audit_fact fact);

#endif
