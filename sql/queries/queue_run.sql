-- The queue as the dispatcher runs it. Every change of a running job is guarded by its run_id: a job that was canceled, deleted
-- or taken over meanwhile is left alone, and the number of rows changed says so.

-- There is one processor, whatever the queues are called: its pause stands under 'default'.

-- %d: whatever the pause says; %s: of that queue alone. So that people may ask what is next. A queue whose name begins with a slash holds
-- the slices of a batch that is not whole yet.

-- Whose turn it is: whoever was served longest ago; among those never served, whoever asked first. The jobs of a suspended account
-- wait until it is active again, and those that are held for a model until it can be read.
-- :name run_next_person
SELECT q.user_id FROM session_queue q
JOIN users u ON u.user_id = q.user_id AND u.is_active = 1
LEFT JOIN queue_turns t ON t.user_id = q.user_id
LEFT JOIN queue_state s ON s.queue_id = 'default'
WHERE q.status = 'pending' AND q.held_for IS NULL AND (%d OR COALESCE(s.is_paused, 0) = 0) AND substr(q.queue_id, 1, 1) <> '/' AND (%s IS NULL OR q.queue_id = %s)
GROUP BY q.user_id
ORDER BY COALESCE(MAX(t.served_at), ''), MIN(q.item_id) LIMIT 1;

-- In order of arrival: whoever has waited with the oldest job. Which of that person's jobs it is, priority says, here too: nobody gets
-- before others by asking for a place in front.
-- :name run_first_person
SELECT q.user_id FROM session_queue q
JOIN users u ON u.user_id = q.user_id AND u.is_active = 1
LEFT JOIN queue_state s ON s.queue_id = 'default'
WHERE q.status = 'pending' AND q.held_for IS NULL AND (%d OR COALESCE(s.is_paused, 0) = 0) AND substr(q.queue_id, 1, 1) <> '/' AND (%s IS NULL OR q.queue_id = %s)
ORDER BY q.item_id LIMIT 1;

-- :name run_next_of_person
SELECT q.item_id FROM session_queue q
LEFT JOIN queue_state s ON s.queue_id = 'default'
WHERE q.user_id = %s AND q.status = 'pending' AND q.held_for IS NULL AND (%d OR COALESCE(s.is_paused, 0) = 0) AND substr(q.queue_id, 1, 1) <> '/' AND (%s IS NULL OR q.queue_id = %s)
ORDER BY q.priority DESC, q.queue_order, q.item_id LIMIT 1;

-- How many waiting jobs come before each, as the turns go now: the same order as above, worked out to the end. Whoever is served goes to the
-- end of the row, so everybody's first jobs come before anybody's second. Those of an account that is not active, and those that are held, are in nobody's
-- way and have no place: jobs_before is NULL. "IN (0, 1)" leads from the accounts to their waiting jobs, past all that have ended. Of whose jobs it tells: %s IS NULL OR user_id = %s.
-- :name run_places_by_turns
WITH waiting AS (
  SELECT q.item_id, q.queue_id, q.user_id, u.is_active AND q.held_for IS NULL AS runs, COALESCE(t.served_at, '') AS served_at,
    MIN(q.item_id) OVER (PARTITION BY q.user_id, q.held_for IS NULL) AS asked,
    ROW_NUMBER() OVER (PARTITION BY q.user_id, q.held_for IS NULL ORDER BY q.priority DESC, q.queue_order, q.item_id) AS turn
  FROM session_queue q
  JOIN users u ON u.user_id = q.user_id AND u.is_active IN (0, 1)
  LEFT JOIN queue_turns t ON t.user_id = q.user_id
  WHERE q.status = 'pending' AND substr(q.queue_id, 1, 1) <> '/'),
placed AS (SELECT item_id, queue_id, user_id, runs, ROW_NUMBER() OVER (ORDER BY runs DESC, turn, served_at, asked) - 1 AS jobs_before FROM waiting)
SELECT item_id, user_id, CASE WHEN runs THEN jobs_before END AS jobs_before FROM placed
WHERE queue_id = %s AND (%s IS NULL OR user_id = %s) ORDER BY item_id LIMIT 100000;

-- The same in order of arrival: a job comes when the oldest of its person's jobs that are still there is the oldest of all.
-- :name run_places_by_arrival
WITH waiting AS (
  SELECT q.item_id, q.queue_id, q.user_id, u.is_active AND q.held_for IS NULL AS runs,
    MIN(q.item_id) OVER (PARTITION BY q.user_id, q.held_for IS NULL ORDER BY q.priority DESC, q.queue_order, q.item_id
                         ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS oldest,
    ROW_NUMBER() OVER (PARTITION BY q.user_id, q.held_for IS NULL ORDER BY q.priority DESC, q.queue_order, q.item_id) AS turn
  FROM session_queue q
  JOIN users u ON u.user_id = q.user_id AND u.is_active IN (0, 1)
  WHERE q.status = 'pending' AND substr(q.queue_id, 1, 1) <> '/'),
placed AS (SELECT item_id, queue_id, user_id, runs, ROW_NUMBER() OVER (ORDER BY runs DESC, oldest, turn) - 1 AS jobs_before FROM waiting)
SELECT item_id, user_id, CASE WHEN runs THEN jobs_before END AS jobs_before FROM placed
WHERE queue_id = %s AND (%s IS NULL OR user_id = %s) ORDER BY item_id LIMIT 100000;

-- :name run_claim
UPDATE session_queue SET status = 'in_progress', held_for = NULL, run_id = %s, dispatcher_id = %s, lease_expires_at = %s, device = %s,
  attempts = attempts + 1, status_sequence = status_sequence + 1, started_at = %s, updated_at = %s
WHERE item_id = %lld AND status = 'pending';

-- A job that can't run because of its model keeps its place, out of the way of others.
-- :name run_hold
UPDATE session_queue SET held_for = %s, status_sequence = status_sequence + 1, updated_at = %s
WHERE item_id = %lld AND status = 'pending';

-- :name run_held_for
SELECT DISTINCT held_for FROM session_queue WHERE held_for IS NOT NULL AND status = 'pending' ORDER BY held_for LIMIT 1000;

-- :name run_unhold
UPDATE session_queue SET held_for = NULL, status_sequence = status_sequence + 1, updated_at = %s
WHERE held_for = %s AND held_for IS NOT NULL AND status = 'pending';

-- :name run_turn
INSERT INTO queue_turns (user_id, served_at) VALUES (%s, %s)
ON CONFLICT (user_id) DO UPDATE SET served_at = excluded.served_at;

-- :name run_job
SELECT item_id, queue_id, batch_id, session_id, user_id, origin, destination, session, workflow, run_id, attempts
FROM session_queue WHERE item_id = %lld LIMIT 1;

-- :name run_still
SELECT item_id FROM session_queue WHERE item_id = %lld AND run_id = %s AND status = 'in_progress' LIMIT 1;

-- :name run_renew
UPDATE session_queue SET lease_expires_at = %s WHERE item_id = %lld AND run_id = %s AND status = 'in_progress';

-- :name run_finish
UPDATE session_queue SET status = %s, session = COALESCE(%s, session), error_type = %s, error_message = %s,
  error_traceback = %s, lease_expires_at = NULL, status_sequence = status_sequence + 1, completed_at = %s, updated_at = %s
WHERE item_id = %lld AND run_id = %s AND status = 'in_progress';

-- :name run_release
UPDATE session_queue SET status = 'pending', run_id = NULL, dispatcher_id = NULL, lease_expires_at = NULL, device = NULL,
  started_at = NULL, attempts = attempts - %d, status_sequence = status_sequence + 1, updated_at = %s
WHERE item_id = %lld AND run_id = %s AND status = 'in_progress';

-- A running job always has a lease; one without was left by a dispatcher that was stopped.
-- :name run_leave
UPDATE session_queue SET lease_expires_at = NULL WHERE item_id = %lld AND run_id = %s AND status = 'in_progress';

-- What an attempt made that did not come to its end. Uploads may carry the name of a session too: they are nobody's attempt.
-- :name run_note_pictures
INSERT OR IGNORE INTO replaced_pictures (image_name, item_id)
SELECT i.image_name, q.item_id FROM session_queue q JOIN images i ON i.user_id = q.user_id AND i.session_id = q.session_id
WHERE q.item_id = %lld AND i.image_origin = 'internal';

-- Another attempt has made them anew; what somebody has starred since, or made a board's cover, stays.
-- :name run_drop_replaced
DELETE FROM images WHERE starred = 0 AND image_name IN (SELECT image_name FROM replaced_pictures WHERE item_id = %lld)
  AND image_name NOT IN (SELECT cover_image_name FROM boards WHERE cover_image_name IS NOT NULL);

-- :name run_forget_replaced
DELETE FROM replaced_pictures WHERE item_id = %lld;

-- Jobs in progress that this dispatcher left behind, or whose dispatcher has let its lease run out.
-- :name run_left_over
SELECT item_id, run_id, dispatcher_id, lease_expires_at FROM session_queue
WHERE status = 'in_progress' AND (dispatcher_id = %s OR dispatcher_id IS NULL OR lease_expires_at IS NULL
  OR lease_expires_at < %s)
ORDER BY item_id LIMIT 200;

-- :name run_take_over
UPDATE session_queue SET dispatcher_id = %s, lease_expires_at = %s, run_id = COALESCE(run_id, %s)
WHERE item_id = %lld AND status = 'in_progress'
  AND (dispatcher_id = %s OR dispatcher_id IS NULL OR lease_expires_at IS NULL OR lease_expires_at < %s);

-- :name run_owner
SELECT user_id, is_admin FROM users WHERE user_id = %s LIMIT 1;

-- :name run_model
SELECT key, path, record FROM models WHERE key = %s LIMIT 1;

-- Textual inversions of that name, of any family.
-- :name run_inversions
SELECT key FROM models WHERE type = 'embedding' AND name = %s AND removed_at IS NULL ORDER BY key LIMIT 8;

-- Models of a type, for nodes that choose among them.
-- :name run_models_of_type
SELECT key FROM models WHERE type = %s AND removed_at IS NULL ORDER BY key LIMIT 24;

-- Slices of a batch that nobody finished.
-- :name run_sweep_hidden
DELETE FROM session_queue WHERE item_id IN (
  SELECT item_id FROM session_queue WHERE queue_id >= '/' AND queue_id < '0' AND created_at < %s LIMIT 500);

-- Ended jobs beyond the number that is kept for each person.
-- :name run_prune
DELETE FROM session_queue WHERE item_id IN (
  SELECT item_id FROM (
    SELECT item_id, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY completed_at DESC, item_id DESC) AS place
    FROM session_queue WHERE status IN ('completed', 'failed', 'canceled')) AS ended
  WHERE place > %lld LIMIT 500);
