-- The oldest of a person's archives give way to newer ones.
CREATE INDEX idx_bulk_downloads_user_id ON bulk_downloads(user_id);
