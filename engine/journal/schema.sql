-- The journal's file, version 1 (PRAGMA user_version).
--
-- Columns before `payload` stand in the row's first page, so that they can be read without the payload's pages.

CREATE TABLE chunk (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: it names deliveries
  destination_id INTEGER NOT NULL,
  due_ms         INTEGER NOT NULL,  -- of a fresh chunk: its place in the order of acceptance
  accepted_ms    INTEGER NOT NULL,
  -- 256 + 4 * attempt + 2 * (due_ms is to be waited for) + alone. Always two bytes in the record, as `code` is always one: a row that is updated
  -- to the same length is overwritten in place, and a retry of a whole chunk writes one page instead of all pages of the payload.
  state          INTEGER NOT NULL,
  code           INTEGER NOT NULL,  -- 2 + the place in wire.OUTCOME_CODES of how the last attempt ended; 2 before the first has
  origin_id      INTEGER NOT NULL,  -- the chunk its deliveries were accepted in, if that isn't this one; else 0
  count          INTEGER NOT NULL,  -- deliveries in the payload
  payload        BLOB NOT NULL      -- codec.py
) STRICT;

-- Serves lease and next_due in their order, and the counts at opening, without touching the table.
CREATE INDEX chunk_due ON chunk (destination_id, due_ms, id, state, count);

-- Tells what is to be tried again, and since when, without touching the table. Fresh chunks aren't in it.
CREATE INDEX chunk_retried ON chunk (destination_id, accepted_ms, count) WHERE state & 2;

-- Finds one delivery by its name. Fresh chunks aren't in it.
CREATE INDEX chunk_origin ON chunk (origin_id) WHERE origin_id > 0;

-- Deliveries of a chunk that were settled while others were not, or that were duplicates: a bit each, the first in the
-- lowest bit of the first byte. The chunk's row is not rewritten.
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
  bytes          INTEGER NOT NULL,  -- of details and payload
  accepted_ms    INTEGER NOT NULL,
  state          INTEGER NOT NULL,  -- as of chunk
  origin_id      INTEGER NOT NULL,  -- as of chunk, never 0
  details        BLOB NOT NULL,     -- codec.py
  payload        BLOB NOT NULL
) STRICT;

-- Everything that a look at the shelf filters by, and what the counts at opening need.
CREATE INDEX shelf_order ON shelf (destination_id, id, kind, code, shelved_ms, count, bytes);

CREATE INDEX shelf_origin ON shelf (origin_id);

-- Chunks whose payload couldn't be decoded: kept for a person to look at.
CREATE TABLE damaged (
  chunk_id       INTEGER PRIMARY KEY,
  destination_id INTEGER NOT NULL,
  reason         TEXT NOT NULL,
  count          INTEGER NOT NULL,
  accepted_ms    INTEGER NOT NULL,
  payload        BLOB NOT NULL
) STRICT;

-- What is known of message ids: dedupe/__init__.py says how it is laid out.

CREATE TABLE dedupe_secret (
  secret BLOB NOT NULL
) STRICT;

INSERT INTO dedupe_secret VALUES (randomblob(32));

-- Ids of one transaction.
CREATE TABLE dedupe_tail (
  id      INTEGER PRIMARY KEY,
  at_s    INTEGER NOT NULL,  -- seconds since the epoch
  digests BLOB NOT NULL      -- 12 bytes each
) STRICT;

-- The filter as it was at an orderly end; taken out at the start.
CREATE TABLE dedupe_filter (
  words BLOB NOT NULL
) STRICT;

CREATE TABLE dedupe_run (
  key      INTEGER PRIMARY KEY,  -- bucket << 32 | a number that rises within the bucket
  newest_s INTEGER NOT NULL,     -- the latest time in it
  records  BLOB NOT NULL         -- 16 bytes each: the digest, and the second as big-endian number
) STRICT;
