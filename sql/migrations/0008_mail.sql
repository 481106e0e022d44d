-- Mails on their way. A link lets its holder in, so it is emptied as soon as the mail is sent or given up. Who asked for a link of
-- their own ('forgot') is looked up when the mail is made: the request does the same work whether there is such an account or not.
CREATE TABLE mail_queue (
  mail_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('invitation', 'reset', 'forgot', 'email_change')),
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
CREATE INDEX idx_mail_queue_due ON mail_queue(state, next_attempt_at);

-- A new address that its owner has not confirmed yet: one for each account.
CREATE TABLE email_changes (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(user_id) ON DELETE CASCADE,
  new_email TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL
);
