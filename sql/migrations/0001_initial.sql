-- Times are UTC text "YYYY-MM-DD HH:MM:SS.mmm", written by the program. Ids are UUID v4 text but for the queue's item_id.
-- Booleans are 0 and 1.

CREATE TABLE users (
  user_id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  display_name TEXT,
  password_hash TEXT NOT NULL,
  is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
  is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
  must_change_password INTEGER NOT NULL DEFAULT 0 CHECK (must_change_password IN (0, 1)),
  token_epoch INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  last_login_at TEXT
);
CREATE INDEX idx_users_is_admin ON users(is_admin);
CREATE INDEX idx_users_is_active ON users(is_active);

-- The account that owns everything in single-user mode. Its hash matches no password.
INSERT INTO users (user_id, email, display_name, password_hash, is_admin, is_active, created_at, updated_at)
VALUES ('system', 'system@system.invokeai', 'System', '*', 1, 1, '1970-01-01 00:00:00.000', '1970-01-01 00:00:00.000');

CREATE TABLE user_sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  token_hash TEXT NOT NULL,
  remember INTEGER NOT NULL DEFAULT 0,
  expires_at TEXT NOT NULL,
  created_at TEXT NOT NULL,
  last_activity_at TEXT NOT NULL,
  user_agent TEXT,
  ip_address TEXT
);
CREATE INDEX idx_user_sessions_user_id ON user_sessions(user_id);
CREATE INDEX idx_user_sessions_expires_at ON user_sessions(expires_at);
CREATE INDEX idx_user_sessions_token_hash ON user_sessions(token_hash);

CREATE TABLE user_invitations (
  invitation_id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  display_name TEXT,
  is_admin INTEGER NOT NULL DEFAULT 0,
  token_hash TEXT NOT NULL,
  invited_by_user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  expires_at TEXT NOT NULL,
  used_at TEXT,
  created_at TEXT NOT NULL
);
CREATE INDEX idx_user_invitations_email ON user_invitations(email);
CREATE INDEX idx_user_invitations_token_hash ON user_invitations(token_hash);
CREATE INDEX idx_user_invitations_expires_at ON user_invitations(expires_at);

CREATE TABLE boards (
  board_id TEXT NOT NULL PRIMARY KEY,
  board_name TEXT NOT NULL,
  user_id TEXT NOT NULL DEFAULT 'system' REFERENCES users(user_id) ON DELETE CASCADE,
  created_by_user_id TEXT REFERENCES users(user_id) ON DELETE SET NULL,
  is_shared INTEGER NOT NULL DEFAULT 0,
  board_visibility TEXT NOT NULL DEFAULT 'private' CHECK (board_visibility IN ('private', 'shared', 'public')),
  cover_image_name TEXT,
  archived INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  deleted_at TEXT
);
CREATE INDEX idx_boards_user_id ON boards(user_id);
CREATE INDEX idx_boards_is_shared ON boards(is_shared);
CREATE INDEX idx_boards_visibility ON boards(board_visibility);

CREATE TABLE shared_boards (
  board_id TEXT NOT NULL REFERENCES boards(board_id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  permission TEXT NOT NULL CHECK (permission IN ('read', 'write', 'admin')),
  created_at TEXT NOT NULL,
  PRIMARY KEY (board_id, user_id)
);
CREATE INDEX idx_shared_boards_user_id ON shared_boards(user_id);
CREATE INDEX idx_shared_boards_board_id ON shared_boards(board_id);

CREATE TABLE images (
  image_name TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL DEFAULT 'system' REFERENCES users(user_id) ON DELETE CASCADE,
  image_origin TEXT NOT NULL CHECK (image_origin IN ('internal', 'external')),
  image_category TEXT NOT NULL CHECK (image_category IN ('general', 'mask', 'control', 'user', 'other')),
  image_subfolder TEXT NOT NULL DEFAULT '',
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  session_id TEXT,
  node_id TEXT,
  metadata TEXT,
  is_intermediate INTEGER NOT NULL DEFAULT 0,
  starred INTEGER NOT NULL DEFAULT 0,
  has_workflow INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  deleted_at TEXT
);
CREATE INDEX idx_images_user_created ON images(user_id, created_at);
CREATE INDEX idx_images_created ON images(created_at);
CREATE INDEX idx_images_intermediate ON images(is_intermediate, user_id);

-- The workflow and graph texts of a picture: large and seldom asked for, so apart from the rows that lists read.
CREATE TABLE image_documents (
  image_name TEXT NOT NULL PRIMARY KEY REFERENCES images(image_name) ON DELETE CASCADE,
  workflow TEXT,
  graph TEXT
);

CREATE TABLE board_images (
  image_name TEXT NOT NULL PRIMARY KEY REFERENCES images(image_name) ON DELETE CASCADE,
  board_id TEXT NOT NULL REFERENCES boards(board_id) ON DELETE CASCADE,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX idx_board_images_board_id ON board_images(board_id, created_at);

CREATE TABLE workflows (
  workflow_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL DEFAULT 'system' REFERENCES users(user_id) ON DELETE CASCADE,
  is_public INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  category TEXT NOT NULL DEFAULT 'user' CHECK (category IN ('user', 'default')),
  tags TEXT NOT NULL DEFAULT '',
  workflow TEXT NOT NULL,
  thumbnail TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  opened_at TEXT
);
CREATE INDEX idx_workflows_user_id ON workflows(user_id);
CREATE INDEX idx_workflows_is_public ON workflows(is_public);

CREATE TABLE style_presets (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL DEFAULT 'system' REFERENCES users(user_id) ON DELETE CASCADE,
  is_public INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL,
  preset_data TEXT NOT NULL,
  type TEXT NOT NULL DEFAULT 'user' CHECK (type IN ('user', 'default')),
  image TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE INDEX idx_style_presets_user_id ON style_presets(user_id);
CREATE INDEX idx_style_presets_is_public ON style_presets(is_public);

CREATE TABLE client_state (
  user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (user_id, key)
);

CREATE TABLE app_settings (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE models (
  key TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  base TEXT NOT NULL,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  record TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX idx_models_path ON models(path);
CREATE INDEX idx_models_hash ON models(hash);

CREATE TABLE model_relationships (
  model_key_1 TEXT NOT NULL REFERENCES models(key) ON DELETE CASCADE,
  model_key_2 TEXT NOT NULL REFERENCES models(key) ON DELETE CASCADE,
  created_at TEXT NOT NULL,
  PRIMARY KEY (model_key_1, model_key_2)
);

-- One row a job. run_id names the attempt that is running now; dispatcher_id and lease_expires_at say whose it is.
-- status_sequence grows with every change of status. queue_order is the order of waiting: lower runs first within a priority.
CREATE TABLE session_queue (
  item_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  queue_id TEXT NOT NULL,
  batch_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL DEFAULT 'system' REFERENCES users(user_id) ON DELETE CASCADE,
  status TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'canceled')),
  status_sequence INTEGER NOT NULL DEFAULT 0,
  priority INTEGER NOT NULL DEFAULT 0,
  queue_order INTEGER NOT NULL DEFAULT 0,
  origin TEXT,
  destination TEXT,
  field_values TEXT,
  session TEXT NOT NULL,
  workflow TEXT,
  error_type TEXT,
  error_message TEXT,
  error_traceback TEXT,
  retried_from_item_id INTEGER,
  device TEXT,
  run_id TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  dispatcher_id TEXT,
  lease_expires_at TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  started_at TEXT,
  completed_at TEXT
);
CREATE INDEX idx_session_queue_status ON session_queue(queue_id, status, priority, queue_order);
CREATE INDEX idx_session_queue_user_id ON session_queue(user_id, status);
CREATE INDEX idx_session_queue_batch_id ON session_queue(batch_id);
CREATE INDEX idx_session_queue_destination ON session_queue(destination);

-- Whether a queue hands out work.
CREATE TABLE queue_state (
  queue_id TEXT NOT NULL PRIMARY KEY,
  is_paused INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT NOT NULL
);

-- When each person was last served, so that the next turn goes to whoever waited longest.
CREATE TABLE queue_turns (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(user_id) ON DELETE CASCADE,
  served_at TEXT NOT NULL
);
