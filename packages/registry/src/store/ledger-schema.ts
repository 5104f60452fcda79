/**
 * The tables of the SQLite ledger. STRICT types, digests checked by form, and triggers that abort any change to what was
 * published: also a stray `sqlite3` session or a bug of ours cannot rewrite history.
 */

/** "WLRG": a file that is not ours is refused, not migrated. */
export const applicationId = 0x574c5247
export const schemaVersion = 1

const digest = (column: string): string =>
  `${column} TEXT NOT NULL CHECK (length(${column}) = 64 AND ${column} NOT GLOB '*[^0-9a-f]*')`

const immutable = (table: string): string => `
  CREATE TRIGGER ${table}_never_updated BEFORE UPDATE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: published rows never change'); END;
  CREATE TRIGGER ${table}_never_deleted BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: published rows are kept for ever'); END;`

/** INSERT OR REPLACE deletes without firing a delete trigger: what would be replaced is looked for first. */
const neverReplaced = (table: string, same: string, verdict: string): string => `
  CREATE TRIGGER ${table}_never_replaced BEFORE INSERT ON ${table} WHEN EXISTS (SELECT 1 FROM ${table} WHERE ${same})
  BEGIN SELECT ${verdict}; END;`

/**
 * `manifests.position` orders publications. A manifest names its own model and version, so it has one row.
 * A blob that a manifest needs cannot be deleted (foreign key); one that none needs can (24 h expiry).
 */
export const schema: string = `
  CREATE TABLE trust_roots (
    version INTEGER PRIMARY KEY CHECK (version >= 1),
    ${digest("digest")} UNIQUE,
    envelope BLOB NOT NULL
  ) STRICT;
  CREATE TABLE manifests (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    ${digest("digest")} UNIQUE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    created_at TEXT NOT NULL,
    envelope BLOB NOT NULL,
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
    manifest INTEGER NOT NULL REFERENCES manifests (position),
    blob TEXT NOT NULL REFERENCES blobs (sha256),
    PRIMARY KEY (manifest, blob)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob);
  ${immutable("trust_roots")}
  ${immutable("manifests")}
  ${immutable("manifest_blobs")}
  ${neverReplaced("trust_roots", "version = NEW.version OR digest = NEW.digest", "RAISE(ABORT, 'trust_roots: published rows never change')")}
  ${neverReplaced(
    "manifests",
    "position = NEW.position OR digest = NEW.digest OR (model = NEW.model AND version = NEW.version)",
    "RAISE(ABORT, 'manifests: published rows never change')",
  )}
  ${neverReplaced("blobs", "sha256 = NEW.sha256", "RAISE(IGNORE)")}
  CREATE TRIGGER blobs_never_updated BEFORE UPDATE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs: facts never change'); END;
`
