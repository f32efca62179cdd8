-- The registry's file, version 1 (PRAGMA user_version).

CREATE TABLE function (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  description  TEXT NOT NULL,
  logo_url     TEXT NOT NULL,
  deployed     INTEGER,          -- the version that destinations run which aren't pinned; NULL until the first deploy
  created_ms   INTEGER NOT NULL,
  FOREIGN KEY (id, deployed) REFERENCES version (function_id, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;

-- Immutable, but for `code`, `policy_key` and `libraries`: the same source, compiled under another interpreter or policy.
CREATE TABLE version (
  function_id INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
  number      INTEGER NOT NULL,  -- from 1, without gaps
  source      TEXT NOT NULL,
  filename    TEXT NOT NULL,
  settings    TEXT,              -- JSON: a list of the fields of `model.Setting`; NULL if it declares none
  handlers    TEXT NOT NULL,     -- JSON: a list a handler, in the order of `wire.Handler`
  code        BLOB NOT NULL,
  policy_key  TEXT NOT NULL,
  libraries   TEXT NOT NULL,     -- JSON: names of those that it imports, and that were allowed
  created_ms  INTEGER NOT NULL,
  author      TEXT NOT NULL,
  PRIMARY KEY (function_id, number)
) STRICT;

CREATE TRIGGER version_never_changes BEFORE UPDATE OF function_id, number, source, filename, settings, handlers, created_ms, author
ON version BEGIN SELECT RAISE(ABORT, 'a version never changes'); END;

-- When a version became, for the last time, what destinations run that aren't pinned.
CREATE TABLE deployment (
  function_id INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  at_ms       INTEGER NOT NULL,
  PRIMARY KEY (function_id, version),
  FOREIGN KEY (function_id, version) REFERENCES version (function_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE destination (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the journal's rows name it
  name        TEXT NOT NULL UNIQUE,
  function_id INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  is_pinned   INTEGER NOT NULL,  -- 0: follows what is deployed of its function
  is_enabled  INTEGER NOT NULL,  -- 0: sources send it nothing
  filter      TEXT NOT NULL,
  limits      TEXT NOT NULL,     -- JSON: those of the fields of `model.Limits` that it chooses
  created_ms  INTEGER NOT NULL,
  deployed_ms INTEGER NOT NULL,
  FOREIGN KEY (function_id, version) REFERENCES version (function_id, number)
) STRICT;

-- Values of settings. Those of settings that aren't known to be harmless are sealed.
CREATE TABLE setting (
  destination_id INTEGER NOT NULL REFERENCES destination (id) ON DELETE CASCADE,
  name           TEXT NOT NULL,
  is_sealed      INTEGER NOT NULL,
  value          BLOB NOT NULL,     -- msgpack, or what `secrets.Keyring.seal` made of it
  PRIMARY KEY (destination_id, name)
) STRICT;

-- When a destination was stopped by hand, or quarantined: its deliveries' time for retries stood still.
CREATE TABLE stop (
  destination_id INTEGER NOT NULL REFERENCES destination (id) ON DELETE CASCADE,
  since_ms       INTEGER NOT NULL,
  until_ms       INTEGER,           -- NULL while it lasts
  state          TEXT NOT NULL,     -- paused or quarantined
  PRIMARY KEY (destination_id, since_ms)
) STRICT;

CREATE TABLE source (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: ids of events are known by it
  name         TEXT NOT NULL UNIQUE,
  samples_kept INTEGER NOT NULL,  -- events of each type, for trying functions with
  created_ms   INTEGER NOT NULL
) STRICT;

-- A write key stands in web pages and apps: it says where events come from, and is no secret.
CREATE TABLE write_key (
  key        TEXT PRIMARY KEY,
  source_id  INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE connection (
  source_id      INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
  destination_id INTEGER NOT NULL REFERENCES destination (id) ON DELETE CASCADE,
  PRIMARY KEY (source_id, destination_id)
) STRICT;

-- What people and programs show to be somebody; the token itself is nowhere.
CREATE TABLE token (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the audit tells two of one name apart by it
  digest     BLOB NOT NULL UNIQUE,               -- SHA-256
  name       TEXT NOT NULL UNIQUE,
  roles      TEXT NOT NULL,                      -- JSON: a list of `ROLE` and `ROLE=FUNCTION`
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,                            -- NULL: never
  used_ms    INTEGER                             -- NULL: not yet
) STRICT;

-- Every change, and every opening of a secret. Only ever added to.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms   INTEGER NOT NULL,
  who     TEXT NOT NULL,
  origin  TEXT NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail  TEXT NOT NULL      -- JSON; never a value of a setting
) STRICT;

CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;

-- Names, not ids: what was used stays known when a destination is gone.
CREATE TABLE usage (
  day         TEXT NOT NULL,     -- 2026-11-24, UTC
  function    TEXT NOT NULL,
  destination TEXT NOT NULL,
  invocations INTEGER NOT NULL,  -- calls of a handler; a batch is one
  events      INTEGER NOT NULL,  -- that had an outcome; each attempt counts
  busy_us     INTEGER NOT NULL,  -- time in which workers had something to do
  fetches     INTEGER NOT NULL,
  sent_bytes  INTEGER NOT NULL,  -- of requests' bodies
  received_bytes INTEGER NOT NULL,
  PRIMARY KEY (day, function, destination)
) STRICT, WITHOUT ROWID;
