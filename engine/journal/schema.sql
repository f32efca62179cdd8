-- The journal's file, version 1 (PRAGMA user_version).
--
-- Columns before `payload` stand in the row's first page, so that they can be read without the payload's pages.

CREATE TABLE chunk (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: it names deliveries
  destination_id INTEGER NOT NULL,
  due_ms         INTEGER NOT NULL,  -- of a fresh chunk: its place in the order of acceptance
  accepted_ms    INTEGER NOT NULL,
  -- 256 + 4 * attempt + 2 * (due_ms is to be waited for) + alone. Always two bytes in the record: a row that is updated to the same length is
  -- overwritten in place, and a retry of a whole chunk writes one page instead of all pages of the payload.
  state          INTEGER NOT NULL,
  count          INTEGER NOT NULL,  -- deliveries in the payload
  payload        BLOB NOT NULL      -- codec.py
) STRICT;

-- Serves lease and next_due in their order, and the counts at opening, without touching the table.
CREATE INDEX chunk_due ON chunk (destination_id, due_ms, id, state, count);

-- Deliveries of a chunk that were settled while others were not: a bit each, the first in the lowest bit of the
-- first byte. The chunk's row is not rewritten.
CREATE TABLE done (
  chunk_id INTEGER PRIMARY KEY,
  bitmap   BLOB NOT NULL
) STRICT;

CREATE TABLE shelf (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  destination_id INTEGER NOT NULL,
  kind           TEXT NOT NULL,     -- discarded or dead
  code           TEXT NOT NULL,
  shelved_ms     INTEGER NOT NULL,
  count          INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,  -- of detail and payload
  accepted_ms    INTEGER NOT NULL,
  due_ms         INTEGER NOT NULL,
  state          INTEGER NOT NULL,  -- as of chunk
  detail         BLOB NOT NULL,
  payload        BLOB NOT NULL
) STRICT;

CREATE INDEX shelf_newest ON shelf (destination_id, id, kind, count, bytes);

-- Chunks whose payload couldn't be decoded: kept for a person to look at.
CREATE TABLE damaged (
  chunk_id       INTEGER PRIMARY KEY,
  destination_id INTEGER NOT NULL,
  reason         TEXT NOT NULL,
  count          INTEGER NOT NULL,
  accepted_ms    INTEGER NOT NULL,
  payload        BLOB NOT NULL
) STRICT;
