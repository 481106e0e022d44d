-- :name model_by_key
SELECT key, hash, base, type, name, path, record, removed_at FROM models WHERE key = %s LIMIT 1;

-- :name model_by_path
SELECT key, hash, base, type, name, path, record, removed_at FROM models WHERE path = %s LIMIT 1;

-- :name model_by_hash
SELECT key, hash, base, type, name, path, record, removed_at FROM models WHERE hash = %s AND removed_at IS NULL ORDER BY created_at, key LIMIT 100;

-- :name model_by_attrs
SELECT key, hash, base, type, name, path, record, removed_at FROM models WHERE name = %s AND base = %s AND type = %s AND removed_at IS NULL
ORDER BY created_at, key LIMIT 100;

-- :name model_list
SELECT key, hash, base, type, name, path, record, removed_at FROM models WHERE removed_at IS NULL
ORDER BY json_extract(record, '$.sample') IS NULL, lower(name), key LIMIT 5000;

-- :name model_list_all
SELECT key, hash, base, type, name, path, record, removed_at FROM models ORDER BY lower(name), key LIMIT 5000;

-- :name model_remove
UPDATE models SET removed_at = %s WHERE key = %s AND removed_at IS NULL;

-- :name model_restore
UPDATE models SET removed_at = NULL WHERE key = %s AND removed_at IS NOT NULL;

-- :name model_put
INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, base = excluded.base, type = excluded.type, name = excluded.name,
  path = excluded.path, record = excluded.record, updated_at = excluded.updated_at;

-- :name model_delete
DELETE FROM models WHERE key = %s;
