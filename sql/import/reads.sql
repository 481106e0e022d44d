-- What is read from the database of another InvokeAI, page by page, in the order of the key.

-- :name old_version
SELECT MAX(version) AS version FROM migrations LIMIT 1;

-- :name old_users
SELECT user_id, email, display_name, password_hash, is_admin, is_active, token_epoch, created_at, updated_at, last_login_at
FROM users WHERE user_id > %s AND user_id <> 'system' ORDER BY user_id LIMIT 1000;

-- Who owns something without having an account.
-- :name old_strangers
SELECT DISTINCT user_id FROM (SELECT user_id FROM images WHERE deleted_at IS NULL UNION SELECT user_id FROM boards WHERE deleted_at IS NULL
  UNION SELECT user_id FROM workflow_library WHERE category IS NOT 'default' UNION SELECT user_id FROM style_presets WHERE type IS NOT 'default'
  UNION SELECT user_id FROM session_queue)
WHERE user_id > %s AND user_id <> 'system' AND user_id NOT IN (SELECT user_id FROM users) ORDER BY user_id LIMIT 1000;

-- :name old_boards
SELECT board_id, board_name, cover_image_name, created_at, updated_at, deleted_at, archived, COALESCE(user_id, 'system') AS user_id,
  CASE WHEN board_visibility IN ('private', 'shared', 'public') THEN board_visibility WHEN is_public THEN 'public' ELSE 'private' END
  AS board_visibility
FROM boards WHERE board_id > %s ORDER BY board_id LIMIT 1000;

-- :name old_shares
SELECT board_id || ' ' || user_id AS id, board_id, user_id, can_edit, shared_at FROM shared_boards
WHERE board_id || ' ' || user_id > %s ORDER BY 1 LIMIT 1000;

-- :name old_images
SELECT i.image_name, i.image_origin, i.image_category, i.width, i.height, i.session_id, i.node_id, i.metadata, i.is_intermediate,
  i.created_at, i.updated_at, i.deleted_at, i.starred, i.has_workflow, COALESCE(i.user_id, 'system') AS user_id,
  COALESCE(i.image_subfolder, '') AS image_subfolder, bi.board_id, bi.created_at AS placed_at
FROM images i LEFT JOIN board_images bi ON bi.image_name = i.image_name AND bi.deleted_at IS NULL
WHERE i.image_name > %s ORDER BY i.image_name LIMIT 100;

-- :name old_image
SELECT image_name FROM images WHERE image_name = %s LIMIT 1;

-- :name old_workflows
SELECT workflow_id, workflow, created_at, updated_at, opened_at, category, name, description, tags, COALESCE(user_id, 'system') AS user_id,
  is_public FROM workflow_library WHERE workflow_id > %s ORDER BY workflow_id LIMIT 100;

-- :name old_presets
SELECT id, name, preset_data, type, created_at, updated_at, COALESCE(user_id, 'system') AS user_id, is_public FROM style_presets
WHERE id > %s ORDER BY id LIMIT 1000;

-- :name old_states
SELECT user_id || ' ' || key AS id, user_id, key, value, updated_at FROM client_state WHERE user_id || ' ' || key > %s
ORDER BY 1 LIMIT 100;

-- :name old_models
SELECT id, hash, base, type, path, name, config, created_at, updated_at FROM models WHERE id > %s ORDER BY id LIMIT 1000;

-- :name old_relations
SELECT model_key_1 || ' ' || model_key_2 AS id, model_key_1, model_key_2, created_at FROM model_relationships
WHERE model_key_1 || ' ' || model_key_2 > %s ORDER BY 1 LIMIT 1000;

-- :name old_jobs
SELECT q.item_id, q.queue_id, q.batch_id, q.session_id, q.field_values, q.session, q.workflow, q.status, q.priority, q.error_type,
  q.error_message, q.error_traceback, q.created_at, q.updated_at, q.started_at, q.completed_at, q.origin, q.destination, q.device,
  COALESCE(q.user_id, 'system') AS user_id, r.session_id AS retried_session
FROM session_queue q LEFT JOIN session_queue r ON r.item_id = q.retried_from_item_id
WHERE q.item_id > %lld ORDER BY q.item_id LIMIT 100;

-- :name old_settings
SELECT key FROM app_settings WHERE key > %s ORDER BY key LIMIT 1000;

-- :name old_prompts
SELECT id, name FROM system_prompts WHERE id > %s ORDER BY id LIMIT 1000;

-- :name old_videos
SELECT video_name FROM videos WHERE video_name > %s ORDER BY video_name LIMIT 1000;
