-- no transaction
-- Sessions are looked up by their name, once a second by each open console, and by the token they had before.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS session_id ON session (id) WHERE id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS session_previous ON session (previous_hash) WHERE previous_hash IS NOT NULL;
