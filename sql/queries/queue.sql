-- What people may ask of and do to the session queue. "%s IS NULL OR user_id = %s" takes the acting user twice: NULL for
-- whoever may touch everybody's items.

-- Not for an account that is suspended or gone: what it had waiting was canceled with that.
-- :name queue_insert
INSERT INTO session_queue (queue_id, batch_id, session_id, user_id, status, status_sequence, priority, origin, destination,
                           field_values, session, workflow, retried_from_item_id, created_at, updated_at)
SELECT %s, %s, %s, user_id, 'pending', 0, %lld, %s, %s, %s, %s, %s, NULLIF(%lld, 0), %s, %s
FROM users WHERE user_id = %s AND is_active = 1
RETURNING item_id;

-- The end of a batch stored in slices, under a hidden name.
-- :name queue_publish
UPDATE session_queue SET queue_id = %s WHERE queue_id = %s AND user_id = %s AND batch_id = %s;

-- Some at a time. Never of the queue itself.
-- :name queue_abandon
DELETE FROM session_queue WHERE item_id IN (
  SELECT item_id FROM session_queue WHERE queue_id <> %s AND queue_id = %s AND user_id = %s AND batch_id = %s LIMIT 200);

-- :name queue_next_priority
SELECT COALESCE(MAX(priority), -1) + 1 AS priority FROM session_queue
WHERE queue_id = %s AND user_id = %s AND status = 'pending' LIMIT 1;

-- How many of a person's jobs wait, and what the account is by now.
-- :name queue_standing
SELECT u.is_active, u.is_admin,
  (SELECT COUNT(*) FROM session_queue q WHERE q.user_id = u.user_id AND q.status = 'pending' LIMIT 1) AS n
FROM users u WHERE u.user_id = %s LIMIT 1;

-- :name queue_item
SELECT q.item_id, q.queue_id, q.batch_id, q.session_id, q.user_id, q.status, q.status_sequence, q.priority, q.origin, q.destination,
       q.retried_from_item_id, q.held_for, q.device, q.created_at, q.updated_at, q.started_at, q.completed_at,
       u.display_name AS user_display_name, u.email AS user_email
FROM session_queue q LEFT JOIN users u ON u.user_id = q.user_id
WHERE q.queue_id = %s AND q.item_id = %lld LIMIT 1;

-- What is large in an item, read one by one, and only where the asking person may see it.
-- :name queue_item_parts
SELECT field_values, error_type, error_message, error_traceback, CASE WHEN %d THEN session END AS session,
       CASE WHEN %d THEN workflow END AS workflow
FROM session_queue WHERE item_id = %lld LIMIT 1;

-- A destination finds only what the asking person sees of it.
-- :name queue_list
SELECT q.item_id, q.queue_id, q.batch_id, q.session_id, q.user_id, q.status, q.status_sequence, q.priority, q.origin, q.destination,
       q.retried_from_item_id, q.held_for, q.device, q.created_at, q.updated_at, q.started_at, q.completed_at,
       u.display_name AS user_display_name, u.email AS user_email
FROM session_queue q LEFT JOIN users u ON u.user_id = q.user_id
WHERE q.queue_id = %s AND (%s IS NULL OR q.destination = %s AND (%s IS NULL OR q.user_id = %s))
ORDER BY q.priority DESC, q.item_id ASC LIMIT 5000;

-- :name queue_list_by_ids
SELECT q.item_id, q.queue_id, q.batch_id, q.session_id, q.user_id, q.status, q.status_sequence, q.priority, q.origin, q.destination,
       q.retried_from_item_id, q.held_for, q.device, q.created_at, q.updated_at, q.started_at, q.completed_at,
       u.display_name AS user_display_name, u.email AS user_email
FROM json_each(%s) j JOIN session_queue q ON q.item_id = j.value LEFT JOIN users u ON u.user_id = q.user_id
WHERE q.queue_id = %s
ORDER BY j.key LIMIT 1000;

-- One's own running item first, when several workers run at once.
-- :name queue_current
SELECT item_id FROM session_queue WHERE queue_id = %s AND status = 'in_progress'
ORDER BY user_id = %s DESC, started_at ASC, item_id ASC LIMIT 1;

-- :name queue_ids_asc
SELECT item_id FROM session_queue WHERE queue_id = %s AND (%s IS NULL OR user_id = %s) ORDER BY item_id ASC LIMIT 100000;

-- :name queue_ids_desc
SELECT item_id FROM session_queue WHERE queue_id = %s AND (%s IS NULL OR user_id = %s) ORDER BY item_id DESC LIMIT 100000;

-- :name queue_ids_running
SELECT item_id FROM session_queue WHERE queue_id = %s AND status = 'in_progress' AND (%s IS NULL OR user_id = %s) ORDER BY item_id LIMIT 1000;

-- :name queue_counts
SELECT status, COUNT(*) AS n, SUM(user_id = %s) AS own FROM session_queue WHERE queue_id = %s GROUP BY status LIMIT 10;

-- :name queue_batch_counts
SELECT status, COUNT(*) AS n, MAX(origin) AS origin, MAX(destination) AS destination FROM session_queue
WHERE queue_id = %s AND batch_id = %s AND (%s IS NULL OR user_id = %s) GROUP BY status LIMIT 10;

-- :name queue_destination_counts
SELECT status, COUNT(*) AS n FROM session_queue
WHERE queue_id = %s AND destination = %s AND (%s IS NULL OR user_id = %s) GROUP BY status LIMIT 10;

-- :name queue_paused
SELECT is_paused FROM queue_state WHERE queue_id = %s LIMIT 1;

-- :name queue_set_paused
INSERT INTO queue_state (queue_id, is_paused, updated_at) VALUES (%s, %d, %s)
ON CONFLICT (queue_id) DO UPDATE SET is_paused = excluded.is_paused, updated_at = excluded.updated_at;

-- Items that a bulk cancel reaches: alive, the caller's (or all), and, where given, of a batch list or a destination; running ones
-- only when asked for. What has started was running. (SQLite 3.40 finds "started_at IS NULL" false in a RETURNING, whatever it is.)
-- :name queue_cancel
UPDATE session_queue SET status = 'canceled', status_sequence = status_sequence + 1, updated_at = %s, completed_at = %s
WHERE item_id IN (SELECT item_id FROM session_queue
  WHERE item_id > %lld AND queue_id = %s AND (%s IS NULL OR user_id = %s)
    AND (status = 'pending' OR (%d AND status = 'in_progress'))
    AND (%s IS NULL OR batch_id IN (SELECT value FROM json_each(%s))) AND (%s IS NULL OR destination = %s)
    AND (%lld = 0 OR item_id = %lld)
  ORDER BY item_id LIMIT %lld)
RETURNING item_id, user_id, started_at;

-- :name queue_names_of_person
SELECT DISTINCT queue_id FROM session_queue WHERE user_id = %s AND status IN ('pending', 'in_progress') ORDER BY queue_id LIMIT 1000;

-- :name queue_names_of_person_ever
SELECT DISTINCT queue_id FROM session_queue WHERE user_id = %s ORDER BY queue_id;

-- How many jobs a person has, counted up to a limit.
-- :name queue_count_of_person
SELECT COUNT(*) AS n FROM (SELECT 1 FROM session_queue WHERE user_id = %s LIMIT %lld) LIMIT 1;

-- :name queue_running
SELECT item_id FROM session_queue WHERE item_id <= %lld AND queue_id = %s AND status = 'in_progress'
  AND (%s IS NULL OR user_id = %s) AND (%s IS NULL OR destination = %s) LIMIT 100;

-- :name queue_delete_item
DELETE FROM session_queue WHERE queue_id = %s AND item_id = %lld;

-- :name queue_owner
SELECT user_id FROM session_queue WHERE queue_id = %s AND item_id = %lld LIMIT 1;

-- :name queue_last_id
SELECT COALESCE(MAX(item_id), 0) AS item_id FROM session_queue LIMIT 1;

-- Up to so many with larger numbers, oldest first.
-- :name queue_delete_some
DELETE FROM session_queue WHERE item_id IN (SELECT item_id FROM session_queue
  WHERE item_id > %lld AND item_id <= %lld AND queue_id = %s AND (%s IS NULL OR user_id = %s)
    AND (%s IS NULL OR destination = %s) AND (%s IS NULL OR status IN (SELECT value FROM json_each(%s)))
  ORDER BY item_id LIMIT %lld)
RETURNING item_id, user_id;

-- :name queue_event_item
SELECT item_id, queue_id, batch_id, session_id, user_id, status, status_sequence, origin, destination, error_type, error_message,
       error_traceback, created_at, updated_at, started_at, completed_at
FROM session_queue WHERE item_id = %lld LIMIT 1;

-- For whoever administers the machine: latest first, without what is large.
-- :name queue_latest
SELECT q.item_id, q.batch_id, q.user_id, u.email AS user_email, q.status, q.priority, q.origin, q.destination, q.error_type,
  CASE WHEN q.status = 'pending' THEN q.held_for END AS held_for, q.created_at, q.started_at, q.completed_at
FROM session_queue q LEFT JOIN users u ON u.user_id = q.user_id
WHERE q.queue_id = %s AND (%s IS NULL OR q.user_id = %s) AND (%s IS NULL OR q.status = %s)
ORDER BY q.item_id DESC LIMIT %lld;
