-- Who did what, from where, and whether it was allowed. Names are kept as they were: an entry outlives the account and the thing
-- that it is about. The API adds entries and reads them; only their age takes them away.
CREATE TABLE audit_log (
  entry_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  created_at TEXT NOT NULL,
  action TEXT NOT NULL,
  result TEXT NOT NULL CHECK (result IN ('ok', 'refused')),
  user_id TEXT,
  user_email TEXT,
  address TEXT,
  target_type TEXT,
  target_id TEXT,
  target_name TEXT,
  detail TEXT
);
CREATE INDEX idx_audit_log_created_at ON audit_log(created_at);
CREATE INDEX idx_audit_log_result ON audit_log(result, entry_id);
CREATE INDEX idx_audit_log_action ON audit_log(action, entry_id);
