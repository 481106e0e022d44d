-- Archives that wait to be fetched, each by the person it was made for.
CREATE TABLE bulk_downloads (
  name TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  created_at TEXT NOT NULL
);
CREATE INDEX idx_bulk_downloads_created_at ON bulk_downloads(created_at);
