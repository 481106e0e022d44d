-- Who named the person by address, and so may be shown it where there is no other name. Until now, owners were.
ALTER TABLE shared_boards ADD COLUMN named_by TEXT REFERENCES users(user_id) ON DELETE SET NULL;
UPDATE shared_boards SET named_by = (SELECT b.user_id FROM boards b WHERE b.board_id = shared_boards.board_id);
CREATE INDEX idx_shared_boards_named_by ON shared_boards(named_by);
