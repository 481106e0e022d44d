-- :name model_by_key
SELECT key, hash, base, type, name, path, record FROM models WHERE key = %s LIMIT 1;

-- :name model_by_path
SELECT key, hash, base, type, name, path, record FROM models WHERE path = %s LIMIT 1;

-- :name model_by_hash
SELECT key, hash, base, type, name, path, record FROM models WHERE hash = %s ORDER BY created_at, key LIMIT 100;

-- :name model_by_attrs
SELECT key, hash, base, type, name, path, record FROM models WHERE name = %s AND base = %s AND type = %s
ORDER BY created_at, key LIMIT 100;

-- :name model_list
SELECT key, hash, base, type, name, path, record FROM models ORDER BY lower(name), key LIMIT 5000;

-- :name model_put
INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET hash = excluded.hash, base = excluded.base, type = excluded.type, name = excluded.name,
  path = excluded.path, record = excluded.record, updated_at = excluded.updated_at;

-- :name model_delete
DELETE FROM models WHERE key = %s;
