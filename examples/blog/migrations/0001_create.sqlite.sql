-- What identifies this database. The epoch is part of every ETag; renew it after a restore from a backup.

CREATE TABLE _freshql_meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO _freshql_meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))));

-- The change log: a record for every changed row, written by triggers in the changing transaction. It is numbered
-- in microseconds since 1970, so that no number comes back with a backup.

CREATE TABLE _freshql_change (
  seq     INTEGER PRIMARY KEY CHECK (seq BETWEEN 1 AND 9007199254740991),
  entity  TEXT NOT NULL,
  id      ANY,
  op      TEXT NOT NULL CHECK (op IN ('I', 'U', 'D')),
  changed TEXT,
  parts   TEXT,
  at      INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

-- The documents that were registered over HTTP, and those of query files: these stay for a while after they left.

CREATE TABLE _freshql_document (
  id            TEXT PRIMARY KEY,
  text          TEXT NOT NULL,
  registered_at INTEGER NOT NULL DEFAULT (unixepoch()),
  source        TEXT NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file')),
  retired_at    INTEGER
) STRICT, WITHOUT ROWID;

-- The other names of these documents: what the tools of clients call them.

CREATE TABLE _freshql_alias (
  alias TEXT PRIMARY KEY,
  id    TEXT NOT NULL REFERENCES _freshql_document (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The answers to mutations that came with an Idempotency-Key: a retry gets the same.

CREATE TABLE _freshql_idempotency (
  key     TEXT PRIMARY KEY,
  request BLOB NOT NULL,
  answer  BLOB NOT NULL,
  at      INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

-- pages: one row for each Page.

CREATE TABLE pages (
  id       TEXT PRIMARY KEY NOT NULL,
  text     TEXT NOT NULL,
  notes    TEXT,
  _version INTEGER NOT NULL DEFAULT 0
) STRICT;

-- users: one row for each User.

CREATE TABLE users (
  id       TEXT PRIMARY KEY NOT NULL,
  name     TEXT NOT NULL,
  _version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX users_name_key ON users (name);

-- posts: one row for each Post.

CREATE TABLE posts (
  id        TEXT PRIMARY KEY NOT NULL,
  title     TEXT NOT NULL,
  status    TEXT NOT NULL DEFAULT 'DRAFT' CHECK (status IN ('DRAFT', 'PUBLISHED')),
  author_id TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  _version  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX posts_title_key ON posts (title);

CREATE INDEX posts_author_id_idx ON posts (author_id, id);

-- messages: one row for each Message.

CREATE TABLE messages (
  id       TEXT PRIMARY KEY NOT NULL,
  text     TEXT NOT NULL,
  to_id    TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  _version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX messages_to_id_idx ON messages (to_id, id);

-- The versions of pages: kept for whoever writes.

CREATE TRIGGER _freshql_pages_inserted_within AFTER INSERT ON pages
WHEN NEW._version IS (SELECT _version FROM pages WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', NEW.id, 'I', '{}');
END;

CREATE TRIGGER _freshql_pages_updated_within AFTER UPDATE ON pages
WHEN NEW._version IS (SELECT _version FROM pages WHERE id = NEW.id) AND (NEW.text IS NOT OLD.text COLLATE BINARY
  OR NEW.notes IS NOT OLD.notes COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', NEW.id, 'U',
      trim(CASE WHEN NEW.text IS NOT OLD.text COLLATE BINARY THEN 'text ' ELSE '' END
        || CASE WHEN NEW.notes IS NOT OLD.notes COLLATE BINARY THEN 'notes ' ELSE '' END),
      '{}');
END;

CREATE TRIGGER _freshql_pages_inserted AFTER INSERT ON pages BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', NEW.id, 'I', '{}');
  UPDATE pages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE pages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Page'
      AND _freshql_change.op <> 'D'
      AND pages.id = _freshql_change.id AND pages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_pages_updated AFTER UPDATE ON pages
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.text IS NOT OLD.text COLLATE BINARY
  OR NEW.notes IS NOT OLD.notes COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Page', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', NEW.id, 'U',
      trim(CASE WHEN NEW.text IS NOT OLD.text COLLATE BINARY THEN 'text ' ELSE '' END
        || CASE WHEN NEW.notes IS NOT OLD.notes COLLATE BINARY THEN 'notes ' ELSE '' END),
      '{}');
  UPDATE pages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE pages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Page'
      AND _freshql_change.op <> 'D'
      AND pages.id = _freshql_change.id AND pages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_pages_rekeyed AFTER UPDATE ON pages
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', OLD.id, 'D', '{}');
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', NEW.id, 'I', '{}');
  UPDATE pages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE pages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Page'
      AND _freshql_change.op <> 'D'
      AND pages.id = _freshql_change.id AND pages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_pages_deleted AFTER DELETE ON pages BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Page', OLD.id, 'D', '{}');
END;

CREATE TRIGGER _freshql_pages_displaced_by_insert BEFORE INSERT ON pages BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Page', id, 'D', '{}'
    FROM pages
    WHERE id = NEW.id
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_pages_displaced_by_update BEFORE UPDATE ON pages
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Page', id, 'D', '{}'
    FROM pages
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of users: kept for whoever writes.

CREATE TRIGGER _freshql_users_inserted_within AFTER INSERT ON users
WHEN NEW._version IS (SELECT _version FROM users WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', NEW.id, 'I', json_object('name', json_array(NEW.name)));
END;

CREATE TRIGGER _freshql_users_updated_within AFTER UPDATE ON users
WHEN NEW._version IS (SELECT _version FROM users WHERE id = NEW.id) AND (NEW.name IS NOT OLD.name COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END),
      json_object('name', json_array(OLD.name, NEW.name)));
END;

CREATE TRIGGER _freshql_users_inserted AFTER INSERT ON users BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', NEW.id, 'I', json_object('name', json_array(NEW.name)));
  UPDATE users SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE users SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'User'
      AND _freshql_change.op <> 'D'
      AND users.id = _freshql_change.id AND users._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_users_updated AFTER UPDATE ON users
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.name IS NOT OLD.name COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'User', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END),
      json_object('name', json_array(OLD.name, NEW.name)));
  UPDATE users SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE users SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'User'
      AND _freshql_change.op <> 'D'
      AND users.id = _freshql_change.id AND users._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_users_rekeyed AFTER UPDATE ON users
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', OLD.id, 'D', json_object('name', json_array(OLD.name)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', NEW.id, 'I', json_object('name', json_array(NEW.name)));
  UPDATE users SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE users SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'User'
      AND _freshql_change.op <> 'D'
      AND users.id = _freshql_change.id AND users._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_users_deleted AFTER DELETE ON users BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'User', OLD.id, 'D', json_object('name', json_array(OLD.name)));
END;

CREATE TRIGGER _freshql_users_displaced_by_insert BEFORE INSERT ON users BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'User', id, 'D', json_object('name', json_array(name))
    FROM users
    WHERE id = NEW.id
      OR name = NEW.name
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_users_displaced_by_update BEFORE UPDATE ON users
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'User', id, 'D', json_object('name', json_array(name))
    FROM users
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR name = NEW.name
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of posts: kept for whoever writes.

CREATE TRIGGER _freshql_posts_inserted_within AFTER INSERT ON posts
WHEN NEW._version IS (SELECT _version FROM posts WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', NEW.id, 'I', json_object('title', json_array(NEW.title), 'author_id', json_array(NEW.author_id)));
END;

CREATE TRIGGER _freshql_posts_updated_within AFTER UPDATE ON posts
WHEN NEW._version IS (SELECT _version FROM posts WHERE id = NEW.id) AND (NEW.title IS NOT OLD.title COLLATE BINARY
  OR NEW.status IS NOT OLD.status
  OR NEW.author_id IS NOT OLD.author_id COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', NEW.id, 'U',
      trim(CASE WHEN NEW.title IS NOT OLD.title COLLATE BINARY THEN 'title ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.author_id IS NOT OLD.author_id COLLATE BINARY THEN 'author_id ' ELSE '' END),
      json_object('title', json_array(OLD.title, NEW.title), 'author_id', json_array(OLD.author_id, NEW.author_id)));
END;

CREATE TRIGGER _freshql_posts_inserted AFTER INSERT ON posts BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', NEW.id, 'I', json_object('title', json_array(NEW.title), 'author_id', json_array(NEW.author_id)));
  UPDATE posts SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE posts SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Post'
      AND _freshql_change.op <> 'D'
      AND posts.id = _freshql_change.id AND posts._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_posts_updated AFTER UPDATE ON posts
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.title IS NOT OLD.title COLLATE BINARY
  OR NEW.status IS NOT OLD.status
  OR NEW.author_id IS NOT OLD.author_id COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Post', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', NEW.id, 'U',
      trim(CASE WHEN NEW.title IS NOT OLD.title COLLATE BINARY THEN 'title ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.author_id IS NOT OLD.author_id COLLATE BINARY THEN 'author_id ' ELSE '' END),
      json_object('title', json_array(OLD.title, NEW.title), 'author_id', json_array(OLD.author_id, NEW.author_id)));
  UPDATE posts SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE posts SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Post'
      AND _freshql_change.op <> 'D'
      AND posts.id = _freshql_change.id AND posts._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_posts_rekeyed AFTER UPDATE ON posts
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', OLD.id, 'D', json_object('title', json_array(OLD.title), 'author_id', json_array(OLD.author_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', NEW.id, 'I', json_object('title', json_array(NEW.title), 'author_id', json_array(NEW.author_id)));
  UPDATE posts SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE posts SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Post'
      AND _freshql_change.op <> 'D'
      AND posts.id = _freshql_change.id AND posts._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_posts_deleted AFTER DELETE ON posts BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Post', OLD.id, 'D', json_object('title', json_array(OLD.title), 'author_id', json_array(OLD.author_id)));
END;

CREATE TRIGGER _freshql_posts_displaced_by_insert BEFORE INSERT ON posts BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Post', id, 'D', json_object('title', json_array(title), 'author_id', json_array(author_id))
    FROM posts
    WHERE id = NEW.id
      OR title = NEW.title
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_posts_displaced_by_update BEFORE UPDATE ON posts
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW.title IS NOT OLD.title COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Post', id, 'D', json_object('title', json_array(title), 'author_id', json_array(author_id))
    FROM posts
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR title = NEW.title
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of messages: kept for whoever writes.

CREATE TRIGGER _freshql_messages_inserted_within AFTER INSERT ON messages
WHEN NEW._version IS (SELECT _version FROM messages WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', NEW.id, 'I', json_object('to_id', json_array(NEW.to_id)));
END;

CREATE TRIGGER _freshql_messages_updated_within AFTER UPDATE ON messages
WHEN NEW._version IS (SELECT _version FROM messages WHERE id = NEW.id) AND (NEW.text IS NOT OLD.text COLLATE BINARY
  OR NEW.to_id IS NOT OLD.to_id COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', NEW.id, 'U',
      trim(CASE WHEN NEW.text IS NOT OLD.text COLLATE BINARY THEN 'text ' ELSE '' END
        || CASE WHEN NEW.to_id IS NOT OLD.to_id COLLATE BINARY THEN 'to_id ' ELSE '' END),
      json_object('to_id', json_array(OLD.to_id, NEW.to_id)));
END;

CREATE TRIGGER _freshql_messages_inserted AFTER INSERT ON messages BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', NEW.id, 'I', json_object('to_id', json_array(NEW.to_id)));
  UPDATE messages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE messages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Message'
      AND _freshql_change.op <> 'D'
      AND messages.id = _freshql_change.id AND messages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_messages_updated AFTER UPDATE ON messages
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.text IS NOT OLD.text COLLATE BINARY
  OR NEW.to_id IS NOT OLD.to_id COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Message', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', NEW.id, 'U',
      trim(CASE WHEN NEW.text IS NOT OLD.text COLLATE BINARY THEN 'text ' ELSE '' END
        || CASE WHEN NEW.to_id IS NOT OLD.to_id COLLATE BINARY THEN 'to_id ' ELSE '' END),
      json_object('to_id', json_array(OLD.to_id, NEW.to_id)));
  UPDATE messages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE messages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Message'
      AND _freshql_change.op <> 'D'
      AND messages.id = _freshql_change.id AND messages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_messages_rekeyed AFTER UPDATE ON messages
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', OLD.id, 'D', json_object('to_id', json_array(OLD.to_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', NEW.id, 'I', json_object('to_id', json_array(NEW.to_id)));
  UPDATE messages SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE messages SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Message'
      AND _freshql_change.op <> 'D'
      AND messages.id = _freshql_change.id AND messages._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_messages_deleted AFTER DELETE ON messages BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Message', OLD.id, 'D', json_object('to_id', json_array(OLD.to_id)));
END;

CREATE TRIGGER _freshql_messages_displaced_by_insert BEFORE INSERT ON messages BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Message', id, 'D', json_object('to_id', json_array(to_id))
    FROM messages
    WHERE id = NEW.id
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_messages_displaced_by_update BEFORE UPDATE ON messages
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Message', id, 'D', json_object('to_id', json_array(to_id))
    FROM messages
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR _rowid_ = NEW._rowid_);
END;
