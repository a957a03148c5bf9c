-- no transaction
-- Decisions of a time, for making them again and for comparing a draft with history. They are added in the order of their time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS decision_at ON decision USING brin (at);
