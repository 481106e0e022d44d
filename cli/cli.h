/*
 * cli.h: the command line's frame: options, output, exit codes. Commands are one function each, in
 * a table in main.c. It works on the database beside a running server: the server reads accounts
 * afresh for every request.
 */
#ifndef IMU_CLI_H
#define IMU_CLI_H

#include "mod_invokemu/store/db.h"

/** Exit codes, also in the manual. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct cli_options {
    const char *root;     /**< --root */
    const char *database; /**< --database, or below root */
    const char *models;   /**< --models, or below root */
    const char *plain;    /**< the first plain argument */
    const char *email;    /**< --email, or that argument */
    const char *name;     /**< --name */
    const char *password; /**< --password: for upstream's names only, since others can read argument
                             lists */
    int password_stdin;   /**< --password-stdin */
    int admin;            /**< --admin 1, --no-admin 0, else -1 */
    int active;           /**< --active 1, --inactive 0, else -1 */
    int must_change;      /**< --must-change */
    int weak;             /**< --allow-weak */
    int json;             /**< --json */
    int force;            /**< --force */
} cli_options;

typedef struct cli {
    apr_pool_t *p;
    imu_db *db; /**< open, but for commands that say otherwise */
    cli_options opt;
} cli;

typedef imu_err *cli_command(cli *c);

cli_command cli_users_add, cli_users_list, cli_users_mod, cli_users_del, cli_sessions_list,
    cli_sessions_end, cli_models_list, cli_models_remove, cli_models_restore, cli_models_scan;
/** Needs no open database. */
cli_command cli_migrate;

/**
 * Reads the options behind a command.
 * @param upstream  called under one of upstream's names, where --password is allowed
 * @return NULL, or the sentence to print with exit code CLI_USAGE
 */
const char *cli_parse(cli *c, int argc, char **argv, int upstream);
/** A new password, from --password, stdin or a prompt (twice). NULL and a message on stderr when
 * there is none. */
const char *cli_new_password(cli *c);
/** Asks a question on the terminal. @return 1 for yes; without a terminal no, unless --force */
int cli_confirm(cli *c, const char *question);
/** Prints JSON and a line end. */
void cli_print_json(const json_t *json);

#endif
