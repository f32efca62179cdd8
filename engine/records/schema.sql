-- What happened, version 1 (PRAGMA user_version). It may be lost: no delivery depends on it.

CREATE TABLE counter (
  destination_id INTEGER NOT NULL,
  span_s         INTEGER NOT NULL,  -- 60, 3600, 86400; 0: since the destination was made
  start_s        INTEGER NOT NULL,  -- of the span, UTC
  name           TEXT NOT NULL,     -- an outcome code, or one of spans.NOT_CODES
  count          INTEGER NOT NULL,
  histogram      BLOB NOT NULL,     -- histogram.py: ms from acceptance to the outcome; of `busy` µs an event
  PRIMARY KEY (destination_id, span_s, start_s, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
  id             INTEGER PRIMARY KEY,  -- in the order in which they ended
  at_ms          INTEGER NOT NULL,
  destination_id INTEGER NOT NULL,
  delivery       TEXT NOT NULL,        -- CHUNK.INDEX
  event_type     INTEGER NOT NULL,
  attempt        INTEGER NOT NULL,
  code           TEXT NOT NULL,
  detail         BLOB NOT NULL         -- wire.Detail
) STRICT;

-- Finds the newest of a destination by code and time, and what they take, without touching the table.
CREATE INDEX attempt_newest ON attempt (destination_id, id, at_ms, code, length(detail));

CREATE INDEX attempt_delivery ON attempt (delivery);
