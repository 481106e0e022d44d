-- The model that a waiting job waits for: it is known, but lies where the workers don't read. NULL for all others.
ALTER TABLE session_queue ADD COLUMN held_for TEXT;
CREATE INDEX idx_session_queue_held_for ON session_queue(held_for) WHERE held_for IS NOT NULL AND status = 'pending';
