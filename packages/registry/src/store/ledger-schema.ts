/**
 * The tables of the SQLite ledger. STRICT types, digests checked by form, and triggers that abort any change to what was
 * published: also a stray `sqlite3` session or a bug of ours cannot rewrite history.
 *
 *     log_entries 7 ── leaf {"op":"publish","model":"acme/mnist","seq":2,"payload":{"sha256":"6b86b273…"},…}
 *       ├─ payloads 6b86b273…     only when the leaf does not hold the payload itself
 *       └─ manifests 7            6b86b273…, acme/mnist, 1.2.0: to find it by
 *            └─ manifest_blobs ── blobs 5891b5b5…, e258d248…
 *     log_head ── size 8, root: moves with every commit        log_checkpoints 8 ── the note signed for that size
 *
 * The leaf and its payload are what was published; every other row about it follows from them, and is compared with them.
 */

/** "WLRG": a file that is not ours is refused, not migrated. */
export const applicationId = 0x574c5247
/** 1 was the ledger before the log, 2 had no `unrecorded_blobs`. */
export const schemaVersion = 3

const digest = (column: string): string =>
  `${column} TEXT NOT NULL CHECK (length(${column}) = 64 AND ${column} NOT GLOB '*[^0-9a-f]*')`

const hash = (column: string): string => `${column} BLOB NOT NULL CHECK (length(${column}) = 32)`

const immutable = (table: string): string => `
  CREATE TRIGGER ${table}_never_updated BEFORE UPDATE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: published rows never change'); END;
  CREATE TRIGGER ${table}_never_deleted BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: published rows are kept for ever'); END;`

/** INSERT OR REPLACE deletes without firing a delete trigger: what would be replaced is looked for first. */
const neverReplaced = (table: string, same: string, verdict: string): string => `
  CREATE TRIGGER ${table}_never_replaced BEFORE INSERT ON ${table} WHEN EXISTS (SELECT 1 FROM ${table} WHERE ${same})
  BEGIN SELECT ${verdict}; END;`

const changed = (table: string): string => `RAISE(ABORT, '${table}: published rows never change')`

/** The transparency log: an entry is appended at the end, so none is ever replaced; full tiles only; one head. */
const log = `
  CREATE TABLE log_entries (
    idx INTEGER PRIMARY KEY CHECK (idx >= 0),
    ${hash("hash")},
    model TEXT,
    seq INTEGER CHECK (seq >= 0),
    leaf BLOB NOT NULL CHECK (length(leaf) BETWEEN 1 AND 16384),
    CHECK ((model IS NULL) = (seq IS NULL))
  ) STRICT;
  CREATE UNIQUE INDEX log_entries_by_model ON log_entries (model, seq) WHERE model IS NOT NULL;
  CREATE TABLE log_tiles (
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 6),
    n INTEGER NOT NULL CHECK (n >= 0),
    hashes BLOB NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, n)
  ) STRICT;
  CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL CHECK (size >= 0),
    ${hash("root")},
    epoch INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE log_checkpoints (size INTEGER PRIMARY KEY CHECK (size > 0), note TEXT NOT NULL) STRICT;
  CREATE TABLE log_cosignatures (
    size INTEGER NOT NULL REFERENCES log_checkpoints (size),
    vkey TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (size, vkey)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE payloads (${digest("sha256")} UNIQUE, bytes BLOB NOT NULL) STRICT;
  ${["log_entries", "log_tiles", "log_checkpoints", "payloads"].map(immutable).join("")}
  CREATE TRIGGER log_entries_appended BEFORE INSERT ON log_entries WHEN NEW.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM log_entries)
  BEGIN SELECT RAISE(ABORT, 'log_entries: an entry goes to the end'); END;
  ${neverReplaced("log_entries", "NEW.model IS NOT NULL AND model = NEW.model AND seq = NEW.seq", changed("log_entries"))}
  ${neverReplaced("log_tiles", "level = NEW.level AND n = NEW.n", changed("log_tiles"))}
  ${neverReplaced("log_checkpoints", "size = NEW.size", changed("log_checkpoints"))}
  ${neverReplaced("payloads", "sha256 = NEW.sha256", "RAISE(IGNORE)")}
  CREATE TRIGGER log_head_only_grows BEFORE UPDATE ON log_head
  WHEN NEW.size < OLD.size OR NEW.epoch < OLD.epoch OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
  BEGIN SELECT RAISE(ABORT, 'log_head: the log only grows'); END;
  CREATE TRIGGER log_head_never_deleted BEFORE DELETE ON log_head BEGIN SELECT RAISE(ABORT, 'log_head: the log only grows'); END;
  CREATE TRIGGER log_head_never_replaced BEFORE INSERT ON log_head WHEN EXISTS (SELECT 1 FROM log_head)
  BEGIN SELECT RAISE(ABORT, 'log_head: the log only grows'); END;
`

/**
 * What was published, to be found by name, and the blobs the registry has proven. A manifest names its own model and
 * version, so it has one row. A blob that a manifest needs cannot be deleted (foreign key); one that none needs can.
 */
const models = `
  CREATE TABLE trust_roots (
    version INTEGER PRIMARY KEY CHECK (version >= 1),
    ${digest("digest")} UNIQUE,
    idx INTEGER NOT NULL UNIQUE REFERENCES log_entries (idx)
  ) STRICT;
  CREATE TABLE manifests (
    idx INTEGER PRIMARY KEY REFERENCES log_entries (idx),
    ${digest("digest")} UNIQUE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (model, version)
  ) STRICT;
  CREATE TABLE blobs (
    ${digest("sha256")} PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    part_size INTEGER,
    part_digests BLOB,
    recorded_at INTEGER NOT NULL,
    CHECK ((part_size IS NULL) = (part_digests IS NULL))
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE manifest_blobs (
    manifest INTEGER NOT NULL REFERENCES manifests (idx),
    blob TEXT NOT NULL REFERENCES blobs (sha256),
    PRIMARY KEY (manifest, blob)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob);
  ${["trust_roots", "manifests", "manifest_blobs"].map(immutable).join("")}
  ${neverReplaced("trust_roots", "version = NEW.version OR digest = NEW.digest OR idx = NEW.idx", changed("trust_roots"))}
  ${neverReplaced(
    "manifests",
    "idx = NEW.idx OR digest = NEW.digest OR (model = NEW.model AND version = NEW.version)",
    changed("manifests"),
  )}
  ${neverReplaced("blobs", "sha256 = NEW.sha256", "RAISE(IGNORE)")}
  CREATE TRIGGER blobs_never_updated BEFORE UPDATE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs: facts never change'); END;
`

/** Digests whose bytes may lie in the store without being recorded, and since when: nobody needs those that stay here. */
const unrecorded = `
  CREATE TABLE unrecorded_blobs (
    ${digest("sha256")} PRIMARY KEY,
    noted_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`

export const schema: string = log + models + unrecorded
export const before: { readonly schema: string; readonly upgrade: string } = {
  schema: log + models,
  upgrade: unrecorded,
}
