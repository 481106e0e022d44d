-- There is an end to what waits.
-- :name mail_add
INSERT INTO mail_queue (kind, to_address, to_name, link, created_at, next_attempt_at)
SELECT %s, %s, %s, %s, %s, %s WHERE (SELECT COUNT(*) FROM mail_queue WHERE state = 'waiting') < 2000;

-- :name mail_add_link
INSERT INTO mail_queue (kind, to_address, to_name, link, invited_by, created_at, next_attempt_at)
SELECT %s, %s, %s, %s, %s, %s, %s WHERE (SELECT COUNT(*) FROM mail_queue WHERE state = 'waiting') < 2000;

-- :name mail_due
SELECT mail_id, kind, to_address, to_name, link, invited_by, attempts, created_at FROM mail_queue
WHERE state = 'waiting' AND next_attempt_at <= %s ORDER BY next_attempt_at, mail_id LIMIT 1;

-- The link of somebody who asked for one.
-- :name mail_resolve
UPDATE mail_queue SET kind = %s, to_name = %s, link = %s WHERE mail_id = %lld;

-- :name mail_forget
DELETE FROM mail_queue WHERE mail_id = %lld;

-- Taken before it is sent: whoever dies in between has tried.
-- :name mail_claim
UPDATE mail_queue SET attempts = attempts + 1, next_attempt_at = %s
WHERE mail_id = %lld AND state = 'waiting' AND attempts = %lld;

-- :name mail_note
UPDATE mail_queue SET last_error = %s, next_attempt_at = %s WHERE mail_id = %lld AND state = 'waiting';

-- :name mail_end
UPDATE mail_queue SET state = %s, last_error = %s, link = NULL, ended_at = %s WHERE mail_id = %lld AND state = 'waiting';

-- What waits with a link that no longer opens anything.
-- :name mail_drop
DELETE FROM mail_queue WHERE to_address = (SELECT email FROM users WHERE user_id = %s) AND state = 'waiting'
  AND kind IN ('invitation', 'reset');

-- :name mail_purge
DELETE FROM mail_queue WHERE state <> 'waiting' AND ended_at < %s;

-- :name mail_counts
SELECT COALESCE(SUM(state = 'waiting'), 0) AS waiting, COALESCE(SUM(state = 'sent'), 0) AS sent,
  COALESCE(SUM(state = 'failed'), 0) AS failed FROM mail_queue LIMIT 1;

-- A request whose account is not looked up yet would tell which addresses strangers try.
-- :name mail_list
SELECT mail_id, kind, to_address, state, attempts, created_at, next_attempt_at, ended_at, last_error FROM mail_queue
WHERE state <> 'sent' AND kind <> 'forgot' ORDER BY mail_id DESC LIMIT 200;

-- :name email_change_set
INSERT INTO email_changes (user_id, new_email, token_hash, created_at, expires_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (user_id) DO UPDATE SET new_email = excluded.new_email, token_hash = excluded.token_hash,
  created_at = excluded.created_at, expires_at = excluded.expires_at;

-- :name email_change_find
SELECT c.user_id, c.new_email, u.email, u.display_name, u.last_login_at, u.is_active, c.expires_at <= %s AS expired
FROM email_changes c JOIN users u ON u.user_id = c.user_id WHERE c.token_hash = %s LIMIT 1;

-- :name email_change_delete
DELETE FROM email_changes WHERE user_id = %s;

-- A change of address that its person has asked for and not confirmed.
-- :name email_change_to
SELECT user_id FROM email_changes WHERE new_email = %s AND expires_at > %s LIMIT 1;

-- :name mail_unsent
SELECT mail_id, kind, to_address, state FROM mail_queue
WHERE mail_id = %lld AND state <> 'sent' AND kind <> 'forgot' LIMIT 1;

-- :name mail_hurry
UPDATE mail_queue SET next_attempt_at = %s WHERE mail_id = %lld AND state = 'waiting';

-- :name mail_again
UPDATE mail_queue SET state = 'waiting', kind = %s, link = %s, attempts = 0, created_at = %s, next_attempt_at = %s, ended_at = NULL
WHERE mail_id = %lld AND state = 'failed';
