-- The registry's file, version 1 (PRAGMA user_version).

CREATE TABLE function (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

-- Immutable, but for `code` and `policy_key`: the same source, compiled under another interpreter or policy.
CREATE TABLE version (
  function_id INTEGER NOT NULL REFERENCES function (id),
  number      INTEGER NOT NULL,  -- from 1, without gaps
  source      TEXT NOT NULL,
  filename    TEXT NOT NULL,
  handlers    TEXT NOT NULL,     -- JSON: a list a handler, in the order of `wire.Handler`
  code        BLOB NOT NULL,
  policy_key  TEXT NOT NULL,
  created_ms  INTEGER NOT NULL,
  author      TEXT NOT NULL,
  PRIMARY KEY (function_id, number)
) STRICT;

CREATE TABLE destination (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the journal's rows name it
  name        TEXT NOT NULL UNIQUE,
  function_id INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  settings    BLOB NOT NULL,     -- msgpack map; may hold secrets
  limits      TEXT NOT NULL,     -- JSON: the fields of `model.Limits`
  created_ms  INTEGER NOT NULL,
  deployed_ms INTEGER NOT NULL,
  FOREIGN KEY (function_id, version) REFERENCES version (function_id, number)
) STRICT;

-- When a destination was stopped by hand, or quarantined: its deliveries' time for retries stood still.
CREATE TABLE stop (
  destination_id INTEGER NOT NULL REFERENCES destination (id) ON DELETE CASCADE,
  since_ms       INTEGER NOT NULL,
  until_ms       INTEGER,           -- NULL while it lasts
  state          TEXT NOT NULL,     -- paused or quarantined
  PRIMARY KEY (destination_id, since_ms)
) STRICT;
