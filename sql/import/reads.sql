-- What is read from the database of another InvokeAI, page by page, in the order of the key.

-- :name old_version
SELECT MAX(version) AS version FROM migrations LIMIT 1;

-- :name old_users
SELECT user_id, email, display_name, password_hash, is_admin, is_active, token_epoch, created_at, updated_at, last_login_at
FROM users WHERE typeof(user_id) = 'text' AND instr(user_id, char(0)) = 0
  AND user_id > %s AND user_id <> 'system' ORDER BY user_id LIMIT 1000;

-- :name old_user
SELECT user_id, email, display_name FROM users WHERE user_id = %s LIMIT 1;

-- Who owns something without having an account.
-- :name old_strangers
SELECT DISTINCT user_id FROM (SELECT user_id FROM images WHERE deleted_at IS NULL UNION SELECT user_id FROM boards WHERE deleted_at IS NULL
  UNION SELECT user_id FROM workflow_library WHERE category IS NOT 'default' UNION SELECT user_id FROM style_presets WHERE type IS NOT 'default'
  UNION SELECT user_id FROM session_queue) AS theirs
WHERE typeof(user_id) = 'text' AND instr(user_id, char(0)) = 0 AND user_id > %s AND user_id <> 'system' 
  AND NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = theirs.user_id) ORDER BY user_id LIMIT 1000;

-- :name old_boards
SELECT board_id, board_name, cover_image_name, created_at, updated_at, deleted_at, archived, COALESCE(user_id, 'system') AS user_id,
  CASE WHEN board_visibility IN ('private', 'shared', 'public') THEN board_visibility WHEN is_public THEN 'public' ELSE 'private' END
  AS board_visibility
FROM boards WHERE typeof(board_id) = 'text' AND instr(board_id, char(0)) = 0 AND board_id > %s ORDER BY board_id LIMIT 1000;

-- :name old_shares
SELECT board_id || ' ' || user_id AS id, board_id, user_id, can_edit, shared_at FROM shared_boards
WHERE typeof(board_id || ' ' || user_id) = 'text' AND instr(board_id || ' ' || user_id, char(0)) = 0
  AND board_id || ' ' || user_id > %s ORDER BY 1 LIMIT 1000;

-- :name old_images
SELECT i.image_name, i.image_origin, i.image_category, i.width, i.height, i.session_id, i.node_id, i.metadata, i.is_intermediate,
  i.created_at, i.updated_at, i.deleted_at, i.starred, i.has_workflow, COALESCE(i.user_id, 'system') AS user_id,
  COALESCE(i.image_subfolder, '') AS image_subfolder, bi.board_id, bi.created_at AS placed_at
FROM images i LEFT JOIN board_images bi ON bi.image_name = i.image_name AND bi.deleted_at IS NULL
WHERE typeof(i.image_name) = 'text' AND instr(i.image_name, char(0)) = 0 AND i.image_name > %s ORDER BY i.image_name LIMIT 100;

-- :name old_image
SELECT image_name FROM images WHERE image_name = %s LIMIT 1;

-- :name old_workflows
SELECT workflow_id, workflow, created_at, updated_at, opened_at, category, name, description, tags, COALESCE(user_id, 'system') AS user_id,
  is_public FROM workflow_library WHERE typeof(workflow_id) = 'text' AND instr(workflow_id, char(0)) = 0
  AND workflow_id > %s ORDER BY workflow_id LIMIT 100;

-- :name old_presets
SELECT id, name, preset_data, type, created_at, updated_at, COALESCE(user_id, 'system') AS user_id, is_public FROM style_presets
WHERE typeof(id) = 'text' AND instr(id, char(0)) = 0
  AND id > %s ORDER BY id LIMIT 1000;

-- :name old_states
SELECT user_id || ' ' || key AS id, user_id, key, value, updated_at FROM client_state
WHERE typeof(user_id || ' ' || key) = 'text' AND instr(user_id || ' ' || key, char(0)) = 0
  AND user_id || ' ' || key > %s
ORDER BY 1 LIMIT 100;

-- :name old_models
SELECT id, hash, base, type, path, name, config, created_at, updated_at FROM models WHERE typeof(id) = 'text' AND instr(id, char(0)) = 0
  AND id > %s ORDER BY id LIMIT 1000;

-- :name old_relations
SELECT model_key_1 || ' ' || model_key_2 AS id, model_key_1, model_key_2, created_at FROM model_relationships
WHERE typeof(model_key_1 || ' ' || model_key_2) = 'text' AND instr(model_key_1 || ' ' || model_key_2, char(0)) = 0
  AND model_key_1 || ' ' || model_key_2 > %s ORDER BY 1 LIMIT 1000;

-- :name old_jobs
SELECT q.item_id, q.queue_id, q.batch_id, q.session_id, q.field_values, q.session, q.workflow, q.status, q.priority, q.error_type,
  q.error_message, q.error_traceback, q.created_at, q.updated_at, q.started_at, q.completed_at, q.origin, q.destination, q.device,
  COALESCE(q.user_id, 'system') AS user_id, r.session_id AS retried_session
FROM session_queue q LEFT JOIN session_queue r ON r.item_id = q.retried_from_item_id
WHERE typeof(q.item_id) = 'integer' AND q.item_id > %lld ORDER BY q.item_id LIMIT 100;

-- :name old_settings
SELECT key FROM app_settings WHERE typeof(key) = 'text' AND instr(key, char(0)) = 0 AND key > %s ORDER BY key LIMIT 1000;

-- :name old_prompts
SELECT id, name FROM system_prompts WHERE typeof(id) = 'text' AND instr(id, char(0)) = 0
  AND id > %s ORDER BY id LIMIT 1000;

-- :name old_videos
SELECT video_name FROM videos WHERE typeof(video_name) = 'text' AND instr(video_name, char(0)) = 0
  AND video_name > %s ORDER BY video_name LIMIT 1000;

-- How many of each kind have a key that is none: no text, nothing, or one with a zero in it, which nobody here can name.
-- :name old_odd
SELECT what, COUNT(*) AS n FROM (
  SELECT 'account' AS what, user_id AS k FROM users UNION ALL SELECT 'board', board_id FROM boards
  UNION ALL SELECT 'share', board_id || ' ' || user_id FROM shared_boards UNION ALL SELECT 'picture', image_name FROM images
  UNION ALL SELECT 'workflow', workflow_id FROM workflow_library UNION ALL SELECT 'style preset', id FROM style_presets
  UNION ALL SELECT 'setting of a person', user_id || ' ' || key FROM client_state UNION ALL SELECT 'model', id FROM models
  UNION ALL SELECT 'relation of models', model_key_1 || ' ' || model_key_2 FROM model_relationships
  UNION ALL SELECT 'setting', key FROM app_settings UNION ALL SELECT 'system prompt', id FROM system_prompts
  UNION ALL SELECT 'video', video_name FROM videos
  UNION ALL SELECT 'job', CASE typeof(item_id) WHEN 'integer' THEN 'whole' END FROM session_queue)
WHERE (typeof(k) = 'text' AND instr(k, char(0)) = 0 AND k > '') IS NOT 1 GROUP BY what ORDER BY what LIMIT 100;
