/*
 * hub_internal.h: what the parts of the hub share. hub.c keeps children, connections and sessions;
 * hub_engine.c speaks Engine.IO 4; hub_queue.c keeps what waits for a poll; hub_owners.c knows
 * whose sessions are counted together, hub_strangers.c how many of those there are who have not
 * signed in, and hub_idle.c those that hold no connection where nobody signs in; hub_socketio.c
 * speaks Socket.IO 5; hub_emit.c sends events.
 */
#ifndef IMU_HUB_INTERNAL_H
#define IMU_HUB_INTERNAL_H

#include <apr_ring.h>

#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/dispatch/heap.h"
#include "mod_invokemu/dispatch/hub.h"

#define HUB_MAX_QUEUED                                                                             \
    (2048u * 1024) /* bytes that wait for a polling browser, as many as for a WebSocket */
#define HUB_MAX_PERSON    (8192u * 1024)  /* bytes that wait for all browsers of one person */
#define HUB_MAX_CHILD     (16384u * 1024) /* bytes for a child from which answers to polls wait */
#define HUB_AGAIN_TIME    50   /* ms until it is looked whether they need to any longer */
#define HUB_MAX_UNKNOWN   4096 /* bytes that wait for one that has never connected */
#define HUB_MAX_QUEUES    8    /* queues a socket may listen to */
#define HUB_QUEUE_NAME    64
#define HUB_PING_TIMEOUT  20000 /* ms */
#define HUB_LONGEST_PING  25000 /* ms */
#define HUB_SHORTEST_PING 300   /* ms */
#define HUB_CONNECT_TIME  20000 /* ms from opening to Socket.IO's CONNECT */
#define HUB_LINGER        10000 /* ms that last words wait for a poll */
#define HUB_MAX_STRANGERS 100   /* sessions of one address that have not connected */
#define HUB_ALL_STRANGERS 4096  /* of all addresses */
#define HUB_FEW_STRANGERS 8     /* no network has most of them for so few */
#define HUB_ALL_IDLE      4096  /* that hold no connection where nobody signs in */
#define HUB_TELL_TIME     60000 /* ms between two log lines about any of these */
#define HUB_RATE_PACKETS  400   /* packets in HUB_RATE_TIME from one browser */
#define HUB_RATE_STRANGER 20    /* the same before Socket.IO's CONNECT has passed */
#define HUB_MAX_REFUSALS  3     /* CONNECTs of one session that were refused */
#define HUB_RATE_TIME     10000 /* ms */
#define HUB_BUCKETS       4096  /* power of two */
#define HUB_VIEWS         4     /* of imu_view */

typedef struct hub_session hub_session;

typedef enum hub_conn_kind { CONN_POLL = 1, CONN_PROBE, CONN_WS } hub_conn_kind;

/* A request or WebSocket that a child holds open for a session. */
typedef struct hub_conn {
    struct hub_conn *next;
    imu_hub_child *child;
    uint64_t id;
    hub_conn_kind kind;
    hub_session *session;
} hub_conn;

struct imu_hub_child {
    imu_hub *hub;
    struct imu_hub_child *next;
    imu_hub_send_fn *send;
    imu_hub_pending_fn *pending;
    void *baton;
    hub_conn *conns[HUB_BUCKETS];
    json_t *together[HUB_VIEWS]; /* connections that get the same text next, or NULL */
};

typedef struct hub_packet {
    struct hub_packet *next;
    size_t len;
    int preview;
    char text[];
} hub_packet;

/* Whose sessions are counted together: those of an address, and of the network that it is in, until
 * they have connected; then those of a person. */
typedef struct hub_owner {
    struct hub_owner *next, **table;
    int count;
    size_t queued;                          /* bytes that wait for them */
    APR_RING_HEAD(, hub_session) sessions;  /* the oldest first; of an address or person */
    APR_RING_HEAD(, hub_session) strangers; /* the same of a network */
    imu_heap waiting;                       /* a person's sessions: what gives way comes first */
    imu_heap *among;    /* where an owner of this kind has a place, or NULL... */
    imu_heap_node node; /* ...which is this */
    char name[];
} hub_owner;

APR_RING_HEAD(hub_sessions, hub_session);

struct hub_session {
    hub_session *next_hash, *next, **prev_link;
    imu_hub *hub;
    char sid[33];
    imu_timer *timer;
    int64_t opened;
    int awaiting_pong;
    int closing; /* last words wait for a poll; nothing new is queued */
    /* transport */
    hub_conn *poll, *probe, *ws;
    int upgrading; /* the probe carries everything once what waits has been sent over it */
    hub_packet *first, **last;
    size_t queued;
    int previews; /* of those that wait */
    int64_t rate_start;
    int rate;
    /* Socket.IO */
    int connected;
    int signed_in; /* has connected once */
    int refusals;
    hub_owner *owner; /* an address, then a person */
    APR_RING_ENTRY(hub_session) of_owner;
    imu_heap_node waits; /* among its person's */
    hub_owner *network;  /* until connected; NULL then */
    APR_RING_ENTRY(hub_session) of_network;
    APR_RING_ENTRY(hub_session) of_strangers;
    int idle; /* is one of the hub's */
    APR_RING_ENTRY(hub_session) of_idle;
    char *token;
    char *user_id;
    int is_admin;
    apr_time_t expires; /* 0: never */
    int n_queues;
    char queues[HUB_MAX_QUEUES][HUB_QUEUE_NAME + 1];
};

struct imu_hub {
    imu_hub_config config;
    int ping_interval; /* ms */
    imu_hub_child *children;
    hub_session *sessions;
    hub_session *by_sid[HUB_BUCKETS];
    int n_sessions;
    hub_owner *addresses[HUB_BUCKETS], *networks[HUB_BUCKETS], *people[HUB_BUCKETS];
    struct hub_sessions strangers; /* that have not connected, the oldest first */
    int n_strangers;
    imu_heap crowded;         /* networks: which has most strangers comes first */
    struct hub_sessions idle; /* those without a connection for longest first */
    int n_idle;
    int64_t told_of_address, told_of_all, told_of_idle;
    imu_timer *again; /* armed while what waits for a poll may not be sent */
    int held;
    imu_timer *trim;
    int trimming;
    size_t released; /* bytes, since this was last looked at */
};

/* hub.c */
unsigned hub_bucket(const char *text);
/* @param token  kept when it could be one of ours; may be NULL */
hub_session *hub_session_new(imu_hub *hub, const char *token);
hub_session *hub_session_find(imu_hub *hub, const char *sid);
/* Forgets the session and ends what a child holds open for it. */
void hub_session_free(hub_session *s);
/* Refuses everything from now on, after queued packets (and Engine.IO's close) have been delivered.
 */
void hub_session_close(hub_session *s);
void hub_session_drop_token(hub_session *s);
/* So many bytes are free: much of that goes back to the system at a quiet moment. */
void hub_released(imu_hub *hub, size_t bytes);
hub_conn *hub_conn_new(imu_hub_child *child, uint64_t id, hub_conn_kind kind, hub_session *s);
hub_conn *hub_conn_find(imu_hub_child *child, uint64_t id);
void hub_conn_free(hub_conn *conn);
void hub_send_reply(imu_hub_child *child, uint64_t conn, int status, const char *type,
                    const char *body, size_t len);
void hub_send_text(hub_conn *conn, const char *text, size_t len, int preview);
/* The same text to many: conns holds their numbers, and is consumed. */
void hub_send_texts(imu_hub_child *child, json_t *conns, const char *text, size_t len, int preview);
void hub_send_close(imu_hub_child *child, uint64_t conn, int code);
void hub_send_forget(const hub_conn *conn);
/* Somebody has signed in: the child counts it among people's. */
void hub_send_known(const hub_conn *conn);
/* Whether a log line that comes again and again is due, and it is noted as told then. */
int hub_may_tell(const imu_hub *hub, int64_t *told);

/* hub_owners.c */
/* @param table  HUB_BUCKETS of them. @return NULL where there is none */
hub_owner *hub_owner_find(hub_owner *const *table, const char *name);
/* @param among  where owners of this kind have a place, or NULL. @return NULL without memory */
hub_owner *hub_owner_add(hub_owner **table, imu_heap *among, const char *name);
/* Forgets an owner of nothing. */
void hub_owner_drop(hub_owner *owner);
/* The session is its owner's from now on, with what waits for it. */
void hub_owner_give(hub_owner *owner, hub_session *s);
/* Its owner, if it has one, has it no longer. */
void hub_owner_take(hub_session *s);
/* So many more bytes wait for it (fewer, below 0), or it has ended and lingers. */
void hub_owner_waits(hub_session *s, ptrdiff_t change);
/* Of a person for whom something waits: what has ended, then that for which most waits. */
hub_session *hub_owner_gives_way(const hub_owner *person);
/* Ends the oldest session whose last words still wait. @return 0, or -1 when there is none */
int hub_owner_end_lingering(const hub_owner *owner);
/* The session has connected. @return 0, or -1 when the person has as many as they may, or there is
 * no memory */
int hub_person_enter(hub_session *s);

/* hub_strangers.c */
/* May one more session of that address wait to say who it is? What lingers makes room for it. */
int hub_stranger_room(imu_hub *hub, const char *address);
/* The oldest session of the network with most ends where there are too many.
 * @return 0, or -1 without memory */
int hub_stranger_enter(hub_session *s, const char *address, const char *network);
/* It has connected, or ends. */
void hub_stranger_leave(hub_session *s);

/* The hub's order of networks. */
imu_heap_before hub_network_before;

/* hub_idle.c */
/* The session holds no connection, or has connected. Where people sign in, they have a bound of
 * their own, and nothing happens. */
void hub_idle_enter(hub_session *s);
/* It holds one, or ends. */
void hub_idle_leave(hub_session *s);
/* Another session connects: those end that have been without a connection for longest. */
void hub_idle_make_room(imu_hub *hub);

/* hub_queue.c */
/* Queues a packet until the browser polls. Where a person's browsers let too much wait, those give
 * way that have ended, then that for which most waits. */
void hub_queue_put(hub_session *s, const char *text, size_t len, int preview);
/* The next packet, which is the caller's now. There has to be one. */
hub_packet *hub_queue_take(hub_session *s);
/* Takes back the events that wait to be read. */
void hub_queue_drop_events(hub_session *s);
/* A session that cannot keep up ends at the next turn of its timer: callers go on using it for now.
 */
void hub_queue_give_up(hub_session *s);

/* hub_engine.c */
int hub_engine_request(imu_hub_child *child, const json_t *header, const char *body, size_t len);
int hub_engine_ws_open(imu_hub_child *child, const json_t *header);
void hub_engine_ws_message(hub_conn *conn, const char *text, size_t len);
/* Sends a packet, or queues it until the browser polls. */
void hub_engine_send(hub_session *s, const char *text, size_t len, int preview);
/* Takes back the events that wait to be read, here or in a child. */
void hub_engine_forget_events(hub_session *s);
/* Answers the waiting poll with what is queued, or a new WebSocket, as soon as its child takes
 * that. */
void hub_engine_flush(hub_session *s);
/* Timer: flushes what had to wait for a child. */
void hub_engine_again(void *baton);
/* Lets a waiting poll go with nothing to say. */
void hub_engine_release(hub_session *s);
void hub_engine_timer(void *baton);

/* hub_socketio.c: 0, or -1 when the session has to end. The session stays valid either way. */
int hub_socketio_packet(hub_session *s, const char *text, size_t len);
/* Socket.IO's DISCONNECT, then the end. */
void hub_socketio_disconnect(hub_session *s);
/* Looks at the session's token again. @return 1 when it holds no longer: then the socket has ended,
 * and s may be gone */
int hub_socketio_recheck(hub_session *s);

#endif
