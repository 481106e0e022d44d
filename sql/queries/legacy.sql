-- What the server's own account holds from a time without accounts, and who gets it. Presets and workflows that came with the
-- program are nobody's.

-- :name legacy_count
SELECT (SELECT COUNT(*) FROM boards WHERE user_id = 'system') AS boards,
  (SELECT COUNT(*) FROM images WHERE user_id = 'system' AND is_intermediate = 0) AS images,
  (SELECT COUNT(*) FROM workflows WHERE user_id = 'system' AND category = 'user') AS workflows,
  (SELECT COUNT(*) FROM style_presets WHERE user_id = 'system' AND type = 'user') AS style_presets LIMIT 1;

-- :name legacy_boards
UPDATE boards SET user_id = %s WHERE user_id = 'system';

-- :name legacy_images
UPDATE images SET user_id = %s WHERE user_id = 'system';

-- :name legacy_workflows
UPDATE workflows SET user_id = %s WHERE user_id = 'system' AND category = 'user';

-- :name legacy_style_presets
UPDATE style_presets SET user_id = %s WHERE user_id = 'system' AND type = 'user';

-- :name legacy_queue
UPDATE session_queue SET user_id = %s WHERE user_id = 'system' AND status NOT IN ('pending', 'in_progress');

-- What the account keeps already counts.
-- :name legacy_client_state
UPDATE OR IGNORE client_state SET user_id = %s WHERE user_id = 'system';
