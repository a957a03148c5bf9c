-- Where members of a pool stand who were away: beside members, in their order. An array that is shorter says nothing of the rest, as in
-- rows that the release before has written.
ALTER TABLE pool_state
    ADD COLUMN seen_at timestamptz[] NOT NULL DEFAULT '{}',        -- when each last had part in a turn, whoever got it
    ADD COLUMN missed  double precision[] NOT NULL DEFAULT '{}',   -- turns that passed them by and may be caught up
    ADD COLUMN next_at timestamptz[] NOT NULL DEFAULT '{}';        -- when the next of these may be; null: not back yet
