-- A model that an administrator took off the list keeps its row, so that it comes back with its key and what people wrote.
ALTER TABLE models ADD COLUMN removed_at TEXT;
