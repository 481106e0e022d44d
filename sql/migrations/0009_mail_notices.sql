-- A mail may also tell the old address that the address of an account was changed. It brings no link.
CREATE TABLE mail_queue_new (
  mail_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('invitation', 'reset', 'forgot', 'email_change', 'email_changed')),
  to_address TEXT NOT NULL,
  to_name TEXT,
  link TEXT,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  next_attempt_at TEXT NOT NULL,
  ended_at TEXT,
  last_error TEXT
);
INSERT INTO mail_queue_new SELECT mail_id, kind, to_address, to_name, link, state, attempts, created_at, next_attempt_at, ended_at, last_error FROM mail_queue;
DROP TABLE mail_queue;
ALTER TABLE mail_queue_new RENAME TO mail_queue;
CREATE INDEX idx_mail_queue_due ON mail_queue(state, next_attempt_at);
