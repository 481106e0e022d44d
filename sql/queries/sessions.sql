-- :name session_identity
SELECT s.session_id, s.remember, s.expires_at, s.last_activity_at, u.user_id, u.email, u.display_name, u.is_admin,
  u.is_active, u.must_change_password, u.token_epoch
FROM user_sessions s JOIN users u ON u.user_id = s.user_id
WHERE s.token_hash = %s LIMIT 1;

-- :name session_insert
INSERT INTO user_sessions (session_id, user_id, token_hash, remember, expires_at, created_at, last_activity_at,
  user_agent, ip_address)
VALUES (%s, %s, %s, %d, %s, %s, %s, %s, %s);

-- :name session_touch
UPDATE user_sessions SET last_activity_at = %s, ip_address = %s WHERE session_id = %s;

-- The row is written only when its end has really fallen behind.
-- :name session_extend
UPDATE user_sessions SET expires_at = %s WHERE session_id = %s AND expires_at < %s;

-- :name session_rekey
UPDATE user_sessions SET token_hash = %s, expires_at = %s WHERE session_id = %s;

-- :name session_delete
DELETE FROM user_sessions WHERE user_id = %s AND session_id = %s;

-- :name session_delete_all
DELETE FROM user_sessions WHERE user_id = %s AND session_id <> %s;

-- :name session_purge
DELETE FROM user_sessions WHERE expires_at < %s;

-- :name session_purge_of_user
DELETE FROM user_sessions WHERE user_id = %s AND expires_at < %s;

-- Keeps a person's 200 most recently used sessions.
-- :name session_drop_oldest
DELETE FROM user_sessions WHERE user_id = %s AND session_id IN (
  SELECT o.session_id FROM user_sessions o WHERE o.user_id = %s ORDER BY o.last_activity_at DESC, o.session_id
  LIMIT 1000 OFFSET 199);

-- :name session_list
SELECT session_id, created_at, last_activity_at, expires_at, user_agent, ip_address FROM user_sessions
WHERE user_id = %s AND expires_at > %s ORDER BY last_activity_at DESC, session_id LIMIT 200;

-- Whether anybody has signed in from there, and whether the person with that address has.
-- :name network_past
SELECT EXISTS (SELECT 1 FROM known_networks WHERE network = %s) AS of_anybody,
  EXISTS (SELECT 1 FROM users u JOIN known_networks k ON k.user_id = u.user_id WHERE u.email = %s AND k.network = %s) AS of_account;

-- :name network_remember
INSERT INTO known_networks (user_id, network, last_at) VALUES (%s, %s, %s)
ON CONFLICT (user_id, network) DO UPDATE SET last_at = excluded.last_at;

-- Keeps the 30 that a person used last.
-- :name network_drop_oldest
DELETE FROM known_networks WHERE user_id = %s AND network IN (
  SELECT o.network FROM known_networks o WHERE o.user_id = %s ORDER BY o.last_at DESC, o.network LIMIT 1000 OFFSET 30);

-- Whoever knew an earlier password may have used it there.
-- :name networks_forget
DELETE FROM known_networks WHERE user_id = %s;
