-- Who may come in does not hang on who invited them: an open link outlives the account of the administrator who made it.
CREATE TABLE user_invitations_new (
  invitation_id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  display_name TEXT,
  is_admin INTEGER NOT NULL DEFAULT 0,
  token_hash TEXT NOT NULL,
  invited_by_user_id TEXT REFERENCES users(user_id) ON DELETE SET NULL,
  expires_at TEXT NOT NULL,
  used_at TEXT,
  created_at TEXT NOT NULL
);
INSERT INTO user_invitations_new SELECT invitation_id, email, display_name, is_admin, token_hash, invited_by_user_id, expires_at, used_at, created_at FROM user_invitations;
DROP TABLE user_invitations;
ALTER TABLE user_invitations_new RENAME TO user_invitations;
CREATE INDEX idx_user_invitations_email ON user_invitations(email);
CREATE INDEX idx_user_invitations_token_hash ON user_invitations(token_hash);
CREATE INDEX idx_user_invitations_expires_at ON user_invitations(expires_at);
CREATE INDEX idx_user_invitations_invited_by ON user_invitations(invited_by_user_id);

-- A mail tells who invited.
ALTER TABLE mail_queue ADD COLUMN invited_by TEXT;

-- Entries that strangers can cause are counted apart from what was done.
CREATE INDEX idx_audit_log_strangers ON audit_log((result = 'refused' OR action = 'reset_asked'), entry_id);

-- Nobody is named for a board that is their own.
DELETE FROM shared_boards WHERE user_id = (SELECT b.user_id FROM boards b WHERE b.board_id = shared_boards.board_id);
UPDATE boards SET is_shared = CASE WHEN EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id) THEN 1 ELSE 0 END
WHERE is_shared <> CASE WHEN EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id) THEN 1 ELSE 0 END;

-- What an archive was made of: it is given out as long as that may be seen.
ALTER TABLE bulk_downloads ADD COLUMN board_id TEXT;
ALTER TABLE bulk_downloads ADD COLUMN image_names TEXT;
