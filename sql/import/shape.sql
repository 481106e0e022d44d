-- Brings a copy of the database of another InvokeAI, of any version that can be taken in, into the shape that reads.sql reads.

-- :name table_users
CREATE TABLE IF NOT EXISTS users (user_id TEXT PRIMARY KEY, email TEXT, display_name TEXT, password_hash TEXT, is_admin BOOLEAN, is_active BOOLEAN, created_at DATETIME,
  updated_at DATETIME, last_login_at DATETIME, token_epoch INTEGER);

-- :name table_shared_boards
CREATE TABLE IF NOT EXISTS shared_boards (board_id TEXT, user_id TEXT, can_edit BOOLEAN, shared_at DATETIME);

-- :name table_client_state
CREATE TABLE IF NOT EXISTS client_state (user_id TEXT, key TEXT, value TEXT, updated_at DATETIME);

-- :name table_app_settings
CREATE TABLE IF NOT EXISTS app_settings (key TEXT, value TEXT);

-- :name table_model_relationships
CREATE TABLE IF NOT EXISTS model_relationships (model_key_1 TEXT, model_key_2 TEXT, created_at DATETIME);

-- :name table_style_presets
CREATE TABLE IF NOT EXISTS style_presets (id TEXT PRIMARY KEY, name TEXT, preset_data TEXT, type TEXT, created_at DATETIME, updated_at DATETIME);

-- :name table_workflow_library
CREATE TABLE IF NOT EXISTS workflow_library (workflow_id TEXT PRIMARY KEY, workflow TEXT, created_at DATETIME, updated_at DATETIME, category TEXT, name TEXT, description TEXT,
  tags TEXT);

-- :name table_system_prompts
CREATE TABLE IF NOT EXISTS system_prompts (id TEXT PRIMARY KEY, name TEXT);

-- :name table_videos
CREATE TABLE IF NOT EXISTS videos (video_name TEXT PRIMARY KEY);

-- :name images_user_id
ALTER TABLE images ADD COLUMN user_id TEXT DEFAULT 'system';

-- :name images_image_subfolder
ALTER TABLE images ADD COLUMN image_subfolder TEXT DEFAULT '';

-- :name images_has_workflow
ALTER TABLE images ADD COLUMN has_workflow BOOLEAN DEFAULT 0;

-- :name images_starred
ALTER TABLE images ADD COLUMN starred BOOLEAN DEFAULT 0;

-- :name boards_user_id
ALTER TABLE boards ADD COLUMN user_id TEXT DEFAULT 'system';

-- :name boards_board_visibility
ALTER TABLE boards ADD COLUMN board_visibility TEXT DEFAULT 'private';

-- :name boards_archived
ALTER TABLE boards ADD COLUMN archived BOOLEAN DEFAULT 0;

-- :name boards_is_public
ALTER TABLE boards ADD COLUMN is_public BOOLEAN DEFAULT 0;

-- :name workflow_library_user_id
ALTER TABLE workflow_library ADD COLUMN user_id TEXT DEFAULT 'system';

-- :name workflow_library_is_public
ALTER TABLE workflow_library ADD COLUMN is_public BOOLEAN DEFAULT 0;

-- :name workflow_library_opened_at
ALTER TABLE workflow_library ADD COLUMN opened_at DATETIME;

-- :name style_presets_user_id
ALTER TABLE style_presets ADD COLUMN user_id TEXT DEFAULT 'system';

-- :name style_presets_is_public
ALTER TABLE style_presets ADD COLUMN is_public BOOLEAN DEFAULT 0;

-- :name session_queue_user_id
ALTER TABLE session_queue ADD COLUMN user_id TEXT DEFAULT 'system';

-- :name session_queue_device
ALTER TABLE session_queue ADD COLUMN device TEXT;

-- :name session_queue_retried_from_item_id
ALTER TABLE session_queue ADD COLUMN retried_from_item_id INTEGER;

-- :name session_queue_origin
ALTER TABLE session_queue ADD COLUMN origin TEXT;

-- :name session_queue_destination
ALTER TABLE session_queue ADD COLUMN destination TEXT;

-- :name users_token_epoch
ALTER TABLE users ADD COLUMN token_epoch INTEGER DEFAULT 0;

-- :name users_last_login_at
ALTER TABLE users ADD COLUMN last_login_at DATETIME;

