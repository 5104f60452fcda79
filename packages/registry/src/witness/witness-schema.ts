/**
 * The tables of a witness. A cosigned tree only ever grows, also under the hands of a stray `sqlite3` session or a bug of
 * ours: triggers abort whatever would take one back.
 */
import type { FileKind } from "../store/database-file.ts"

const kept = (table: string, same: string): string => `
  CREATE TRIGGER ${table}_never_deleted BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: rows are kept for ever'); END;
  CREATE TRIGGER ${table}_never_replaced BEFORE INSERT ON ${table} WHEN EXISTS (SELECT 1 FROM ${table} WHERE ${same})
  BEGIN SELECT RAISE(ABORT, '${table}: rows are kept for ever'); END;`

const never = (table: string): string =>
  `CREATE TRIGGER ${table}_never_updated BEFORE UPDATE ON ${table} BEGIN SELECT RAISE(ABORT, '${table}: rows never change'); END;`

const schema = `
  CREATE TABLE witness (id INTEGER PRIMARY KEY CHECK (id = 1), vkey TEXT NOT NULL) STRICT;
  CREATE TABLE log_keys (
    origin TEXT NOT NULL CHECK (length(origin) > 0),
    vkey TEXT NOT NULL,
    PRIMARY KEY (origin, vkey)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cosigned (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  ${never("witness")} ${kept("witness", "true")}
  ${never("log_keys")} ${kept("log_keys", "origin = NEW.origin AND vkey = NEW.vkey")}
  ${kept("cosigned", "origin = NEW.origin")}
  CREATE TRIGGER cosigned_only_grows BEFORE UPDATE ON cosigned
  WHEN NEW.origin <> OLD.origin OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
  BEGIN SELECT RAISE(ABORT, 'cosigned: a log only grows'); END;
`

export const witnessFile: FileKind = {
  name: "the state of a witness of this version",
  applicationId: 0x574c5754, // "WLWT"
  version: 1,
  schema,
  hint: "a witness that forgot what it cosigned must not go on: make a new one, with a new key, and announce that",
}
