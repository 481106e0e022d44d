-- An import asks for each job whether it is here already.
CREATE INDEX idx_session_queue_session_id ON session_queue(session_id);
-- The dispatcher looks for what runs, among all that ever ran.
CREATE INDEX idx_session_queue_running ON session_queue(item_id) WHERE status = 'in_progress';
