-- What comes from another server, with its own ids and times. What is there already stays as it is.

-- :name import_user
INSERT INTO users (user_id, email, display_name, password_hash, is_admin, is_active, token_epoch, created_at, updated_at, last_login_at)
VALUES (%s, %s, %s, %s, %d, %d, %lld, %s, %s, %s) ON CONFLICT DO NOTHING;

-- Nobody has chosen one here yet.
-- :name import_password
UPDATE users SET password_hash = %s, updated_at = %s WHERE user_id = %s AND password_hash IN ('*', '!');

-- :name import_board
INSERT INTO boards (board_id, board_name, user_id, created_by_user_id, board_visibility, cover_image_name, archived, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %d, %s, %s) ON CONFLICT DO NOTHING;

-- An owner is not among the people a board is shared with.
-- :name import_share
INSERT INTO shared_boards (board_id, user_id, permission, created_at, named_by)
SELECT b.board_id, u.user_id, %s, %s, b.user_id FROM boards b JOIN users u ON u.user_id = %s
WHERE b.board_id = %s AND b.user_id <> u.user_id ON CONFLICT DO NOTHING;

-- :name import_image
INSERT INTO images (image_name, user_id, image_origin, image_category, width, height, session_id, node_id, metadata, is_intermediate,
  starred, created_at, updated_at)
VALUES (%s, %s, %s, %s, %lld, %lld, %s, %s, %s, %d, %d, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_image_owner
SELECT u.user_id, u.email FROM images i JOIN users u ON u.user_id = i.user_id WHERE i.image_name = %s LIMIT 1;

-- :name import_place
INSERT INTO board_images (image_name, board_id, created_at, updated_at)
SELECT %s, b.board_id, %s, %s FROM boards b WHERE b.board_id = %s ON CONFLICT DO NOTHING;

-- :name import_documents
INSERT INTO image_documents (image_name, workflow, graph) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_mark_workflow
UPDATE images SET has_workflow = 1 WHERE image_name = %s;

-- :name import_documents_there
SELECT image_name FROM image_documents WHERE image_name = %s LIMIT 1;

-- :name import_workflow
INSERT INTO workflows (workflow_id, user_id, is_public, name, description, category, tags, workflow, thumbnail, created_at, updated_at,
  opened_at)
VALUES (%s, %s, %d, %s, %s, 'user', %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_preset
INSERT INTO style_presets (id, user_id, is_public, name, preset_data, type, image, created_at, updated_at)
VALUES (%s, %s, %d, %s, %s, 'user', %s, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_state
INSERT INTO client_state (user_id, key, value, updated_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_model
INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING;

-- :name import_relation
INSERT INTO model_relationships (model_key_1, model_key_2, created_at)
SELECT a.key, b.key, %s FROM models a JOIN models b ON b.key = %s WHERE a.key = %s ON CONFLICT DO NOTHING;

-- Each session is known by its id: a job that came once does not come again.
-- :name import_job
INSERT INTO session_queue (queue_id, batch_id, session_id, user_id, status, priority, origin, destination, field_values, session,
  workflow, error_type, error_message, error_traceback, device, created_at, updated_at, started_at, completed_at, retried_from_item_id)
SELECT %s, %s, s.id, %s, %s, %lld, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
  (SELECT r.item_id FROM session_queue r WHERE r.session_id = %s)
FROM (SELECT %s AS id) AS s WHERE NOT EXISTS (SELECT 1 FROM session_queue q WHERE q.session_id = s.id);

-- As when somebody is suspended here. %s: the hash that stands for no password; such an account was deleted there, and its jobs
-- wait as they did, for an administrator to cancel them.
-- :name import_cancel_waiting
UPDATE session_queue SET status = 'canceled', status_sequence = status_sequence + 1, updated_at = %s, completed_at = %s
WHERE status = 'pending' AND user_id IN (SELECT user_id FROM users WHERE is_active = 0 AND password_hash <> %s);

-- :name import_mark_shared
UPDATE boards SET is_shared = 1 WHERE is_shared = 0 AND EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id);

-- :name import_board_there
SELECT board_id FROM boards WHERE board_id = %s LIMIT 1;

-- :name import_cover_without_picture
UPDATE boards SET cover_image_name = NULL
WHERE cover_image_name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM images i WHERE i.image_name = boards.cover_image_name);
