/*
 * config.h: what the administrator sets. One instance for each httpd (database, queue, workers),
 * and settings that each virtual host may have its own of (client folder, cookies, limits). Written
 * while the configuration is read, read-only afterwards.
 */
#ifndef IMU_CONFIG_H
#define IMU_CONFIG_H

#include <httpd.h>
#include <http_config.h>
#include <apr_global_mutex.h>
#include <apr_tables.h>

#include "mod_invokemu/dispatch/smtp.h"

#define IMU_UNSET (-1)

typedef enum imu_queue_mode { IMU_QUEUE_ROUND_ROBIN = 0, IMU_QUEUE_FIFO = 1 } imu_queue_mode;

/** Global settings: given outside of virtual hosts, in force for the whole server. */
typedef struct imu_instance {
    const char *root;        /**< InvokeMURoot: folder of pictures and state */
    const char *database;    /**< InvokeMUDatabase: SQLite file */
    const char *run_dir;     /**< InvokeMURunDir: sockets of the dispatcher */
    const char *models_dir;  /**< InvokeMUModels: folder of models found at start, or NULL */
    int multiuser;           /**< InvokeMUMultiUser */
    int strict_passwords;    /**< InvokeMUStrictPasswords */
    int force_change;        /**< InvokeMUForcePasswordChange: of passwords set by administrators */
    const char *welcome;     /**< InvokeMUWelcome: a text on the sign-in page; "none": none */
    int password_length;     /**< InvokeMUPasswordMinLength: characters of a strong password */
    const char *admin_email; /**< InvokeMUAdminEmail: the root administrator; "none": nobody */
    const char *admin_password_hash; /**< InvokeMUAdminPasswordHash: bcrypt */
    int session_hours;               /**< InvokeMUSessionHours */
    int remember_hours;              /**< InvokeMURememberHours */
    int session_idle_minutes;        /**< InvokeMUSessionIdle; 0: none */
    int audit_sign_ins;              /**< InvokeMUAuditSignIns */
    int audit_changes;               /**< InvokeMUAuditChanges */
    int audit_days;                  /**< InvokeMUAuditDays: how long entries are kept */
    int queue_mode;                  /**< InvokeMUQueueMode */
    int queue_history;               /**< InvokeMUQueueHistory: ended items kept for each person */
    int max_sockets;                 /**< InvokeMUMaxSockets: open event sockets in each child */
    int person_sockets;              /**< InvokeMUMaxPersonSockets: of one person, in all */
    apr_int64_t min_free;        /**< InvokeMUMinFree: bytes of the disk that stay free; 0: any */
    apr_array_header_t *workers; /**< InvokeMUWorker: const char * socket paths */
    const char *media;           /**< InvokeMUMedia: socket path of the media process */
    const char *mail_server;     /**< InvokeMUMailServer; "none": no mail */
    const char *mail_from;       /**< InvokeMUMailFrom: "Name <address>" */
    const char *mail_user;       /**< InvokeMUMailUser */
    const char *mail_password_file; /**< InvokeMUMailPasswordFile */
    const char *mail_ca;            /**< InvokeMUMailCA: certificates to trust */
    const char *mail_templates;     /**< InvokeMUMailTemplates: folder */
    int mail_tls;                   /**< InvokeMUMailTLS */
    const char *public_url;         /**< InvokeMUPublicURL; "none": as whoever asks calls us */
    imu_mail_conf mail;             /**< what all of these come to; made by imu_config_finish */
    int test_hook;                  /**< started with -D InvokeMUTestHook */
    apr_global_mutex_t *write_lock; /**< made in post_config */
} imu_instance;

/** Settings of a (virtual) server. */
typedef struct imu_server_conf {
    imu_instance *instance;
    const char *client_dir;        /**< InvokeMUClient */
    const char *csp;               /**< InvokeMUContentSecurityPolicy */
    const char *cookie_name;       /**< InvokeMUCookieName */
    const char *cookie_attributes; /**< InvokeMUCookieAttributes, such as "Path=/; SameSite=Lax" */
    apr_int64_t max_body;          /**< InvokeMUMaxBody, bytes of a JSON body */
    apr_int64_t max_upload;        /**< InvokeMUMaxUpload, bytes of an uploaded file */
    apr_int64_t max_pixels;        /**< InvokeMUMaxPixels, of an uploaded picture */
} imu_server_conf;

/** Settings of a location: only whether the module answers there. */
typedef struct imu_dir_conf {
    int enabled; /**< InvokeMU */
} imu_dir_conf;

/* The one symbol that the shared object exports. */
extern module AP_MODULE_DECLARE_DATA invokemu_module __attribute__((visibility("default")));
extern const command_rec imu_commands[];

void *imu_config_create_server(apr_pool_t *p, server_rec *s);
void *imu_config_merge_server(apr_pool_t *p, void *base, void *add);
void *imu_config_create_dir(apr_pool_t *p, char *dir);
void *imu_config_merge_dir(apr_pool_t *p, void *base, void *add);
/** Fills defaults and checks ranges that need the whole configuration. @return NULL or the sentence
 * for the administrator */
const char *imu_config_finish(apr_pool_t *p, server_rec *main_server);
/** The one instance, valid after imu_config_finish. */
imu_instance *imu_instance_get(void);
/** True where the module answers at all on this server. */
int imu_config_enabled(const server_rec *s);
imu_server_conf *imu_server_conf_of(const server_rec *s);

#endif
