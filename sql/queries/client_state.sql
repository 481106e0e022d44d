-- :name client_state_get
SELECT value FROM client_state WHERE user_id = %s AND key = %s LIMIT 1;

-- What a person keeps besides one key.
-- :name client_state_size
SELECT COUNT(*) AS keys, COALESCE(SUM(LENGTH(value)), 0) AS bytes FROM client_state WHERE user_id = %s AND key <> %s LIMIT 1;

-- :name client_state_put
INSERT INTO client_state (user_id, key, value, updated_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- :name client_state_keys
SELECT key FROM client_state WHERE user_id = %s AND SUBSTR(key, 1, LENGTH(%s)) = %s ORDER BY key LIMIT 1000;

-- :name client_state_delete
DELETE FROM client_state WHERE user_id = %s AND key = %s;

-- :name client_state_clear
DELETE FROM client_state WHERE user_id = %s;
