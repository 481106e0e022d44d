-- :name setting_get
SELECT value FROM app_settings WHERE key = %s LIMIT 1;

-- :name setting_put_if_absent
INSERT INTO app_settings (key, value, updated_at) VALUES (%s, %s, %s) ON CONFLICT (key) DO NOTHING;

-- :name setting_put
INSERT INTO app_settings (key, value, updated_at) VALUES (%s, %s, %s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- Looks into the file, and thereby opens its WAL.
-- :name database_open
PRAGMA data_version;
