-- What identifies this database. The epoch is part of every ETag; renew it after a restore from a backup.

CREATE TABLE _freshql_meta (
  key   text PRIMARY KEY,
  value text NOT NULL
);

INSERT INTO _freshql_meta (key, value) VALUES ('epoch', replace(gen_random_uuid()::text, '-', ''));

-- The change log: a record for every changed row, written by triggers in the changing transaction. Who reads it
-- goes by transactions: the numbers only order the records of one.

CREATE TABLE _freshql_change (
  xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq     bigint GENERATED ALWAYS AS IDENTITY,
  entity  text NOT NULL,
  id      text,
  op      "char" NOT NULL,
  changed text,
  parts   text[],
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (xid, seq)
);

-- Empty after a crash, on a server that takes over, and in a copy of the database: then servers forget what they know.
CREATE UNLOGGED TABLE _freshql_run (
  one   boolean PRIMARY KEY CHECK (one),
  life  uuid NOT NULL,
  self  oid NOT NULL,
  db    oid NOT NULL,
  floor xid8 NOT NULL
);

-- When which transactions were still running: what of the log is old.
CREATE UNLOGGED TABLE _freshql_note (
  at     timestamptz PRIMARY KEY,
  oldest xid8 NOT NULL
);

-- A long value is written down, and looked for, as its hash.
CREATE FUNCTION _freshql_part(text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN octet_length($1) > 200 THEN encode(sha256(convert_to($1, 'UTF8')), 'hex') ELSE $1 END;

-- The documents that were registered over HTTP, and those of query files: these stay for a while after they left.

CREATE TABLE _freshql_document (
  id            text PRIMARY KEY,
  text          text NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now(),
  source        text NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file')),
  retired_at    timestamptz
);

-- The other names of these documents: what the tools of clients call them.

CREATE TABLE _freshql_alias (
  alias text PRIMARY KEY,
  id    text NOT NULL REFERENCES _freshql_document (id) ON DELETE CASCADE
);

-- The answers to mutations that came with an Idempotency-Key: a retry gets the same.

CREATE TABLE _freshql_idempotency (
  key     text PRIMARY KEY,
  request bytea NOT NULL,
  answer  bytea NOT NULL,
  at      timestamptz NOT NULL DEFAULT now()
);

-- How strings are compared where upper and lower case count as the same.

CREATE FUNCTION _freshql_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(lower($1 COLLATE "und-x-icu"), 'ς', 'σ');

-- pages: one row for each Page.

CREATE TABLE pages (
  id       text COLLATE "C" CONSTRAINT pages_pkey PRIMARY KEY,
  text     text COLLATE "C" NOT NULL,
  notes    text COLLATE "C",
  _version bigint NOT NULL DEFAULT 0
);

-- users: one row for each User.

CREATE TABLE users (
  id       text COLLATE "C" CONSTRAINT users_pkey PRIMARY KEY,
  name     text COLLATE "C" NOT NULL,
  _version bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX users_name_key ON users (name);

-- posts: one row for each Post.

CREATE TABLE posts (
  id        text COLLATE "C" CONSTRAINT posts_pkey PRIMARY KEY,
  title     text COLLATE "C" NOT NULL,
  status    text COLLATE "C" NOT NULL DEFAULT 'DRAFT' CONSTRAINT posts_status_check CHECK (status IN ('DRAFT', 'PUBLISHED')),
  author_id text COLLATE "C" NOT NULL CONSTRAINT posts_author_id_fkey REFERENCES users (id) ON DELETE RESTRICT,
  _version  bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX posts_title_key ON posts (title);

CREATE INDEX posts_author_id_idx ON posts (author_id, id);

-- messages: one row for each Message.

CREATE TABLE messages (
  id       text COLLATE "C" CONSTRAINT messages_pkey PRIMARY KEY,
  text     text COLLATE "C" NOT NULL,
  to_id    text COLLATE "C" NOT NULL CONSTRAINT messages_to_id_fkey REFERENCES users (id) ON DELETE RESTRICT,
  _version bigint NOT NULL DEFAULT 0
);

CREATE INDEX messages_to_id_idx ON messages (to_id, id);

-- The versions of pages: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_pages_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.text, OLD.notes)::record
    *<> ROW(NEW.id, NEW.text, NEW.notes)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_pages_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Page', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      changed := concat_ws(' ', CASE WHEN (OLD.text::text COLLATE "C" IS DISTINCT FROM NEW.text::text COLLATE "C") THEN 'text' END,
          CASE WHEN (OLD.notes::text COLLATE "C" IS DISTINCT FROM NEW.notes::text COLLATE "C") THEN 'notes' END);
      parts := '{}';
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Page', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := '{}';
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Page', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := '{}';
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Page', NEW.id::text, 'I', parts);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON pages
  FOR EACH ROW EXECUTE FUNCTION _freshql_pages_version();

ALTER TABLE pages ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON pages
  FOR EACH ROW EXECUTE FUNCTION _freshql_pages_log();

ALTER TABLE pages ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON pages
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_pages_log();

ALTER TABLE pages ENABLE ALWAYS TRIGGER zz_freshql_truncate;

-- The versions of users: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_users_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.name)::record
    *<> ROW(NEW.id, NEW.name)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_users_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('User', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      changed := concat_ws(' ', CASE WHEN (OLD.name::text COLLATE "C" IS DISTINCT FROM NEW.name::text COLLATE "C") THEN 'name' END);
      parts := ARRAY['name', _freshql_part(OLD.name::text), _freshql_part(NEW.name::text)]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('User', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['name', _freshql_part(OLD.name::text), NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('User', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['name', NULL, _freshql_part(NEW.name::text)]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('User', NEW.id::text, 'I', parts);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON users
  FOR EACH ROW EXECUTE FUNCTION _freshql_users_version();

ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION _freshql_users_log();

ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON users
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_users_log();

ALTER TABLE users ENABLE ALWAYS TRIGGER zz_freshql_truncate;

-- The versions of posts: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_posts_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.title, OLD.status, OLD.author_id)::record
    *<> ROW(NEW.id, NEW.title, NEW.status, NEW.author_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_posts_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Post', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      changed := concat_ws(' ', CASE WHEN (OLD.title::text COLLATE "C" IS DISTINCT FROM NEW.title::text COLLATE "C") THEN 'title' END,
          CASE WHEN (OLD.status::text COLLATE "C" IS DISTINCT FROM NEW.status::text COLLATE "C") THEN 'status' END,
          CASE WHEN (OLD.author_id::text COLLATE "C" IS DISTINCT FROM NEW.author_id::text COLLATE "C") THEN 'author_id' END);
      parts := ARRAY['title', _freshql_part(OLD.title::text), _freshql_part(NEW.title::text),
          'author_id', _freshql_part(OLD.author_id::text), _freshql_part(NEW.author_id::text)]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Post', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['title', _freshql_part(OLD.title::text), NULL,
          'author_id', _freshql_part(OLD.author_id::text), NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Post', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['title', NULL, _freshql_part(NEW.title::text),
          'author_id', NULL, _freshql_part(NEW.author_id::text)]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Post', NEW.id::text, 'I', parts);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON posts
  FOR EACH ROW EXECUTE FUNCTION _freshql_posts_version();

ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON posts
  FOR EACH ROW EXECUTE FUNCTION _freshql_posts_log();

ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON posts
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_posts_log();

ALTER TABLE posts ENABLE ALWAYS TRIGGER zz_freshql_truncate;

-- The versions of messages: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_messages_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.text, OLD.to_id)::record
    *<> ROW(NEW.id, NEW.text, NEW.to_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_messages_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Message', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      changed := concat_ws(' ', CASE WHEN (OLD.text::text COLLATE "C" IS DISTINCT FROM NEW.text::text COLLATE "C") THEN 'text' END,
          CASE WHEN (OLD.to_id::text COLLATE "C" IS DISTINCT FROM NEW.to_id::text COLLATE "C") THEN 'to_id' END);
      parts := ARRAY['to_id', _freshql_part(OLD.to_id::text), _freshql_part(NEW.to_id::text)]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Message', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['to_id', _freshql_part(OLD.to_id::text), NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Message', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['to_id', NULL, _freshql_part(NEW.to_id::text)]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Message', NEW.id::text, 'I', parts);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON messages
  FOR EACH ROW EXECUTE FUNCTION _freshql_messages_version();

ALTER TABLE messages ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON messages
  FOR EACH ROW EXECUTE FUNCTION _freshql_messages_log();

ALTER TABLE messages ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON messages
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_messages_log();

ALTER TABLE messages ENABLE ALWAYS TRIGGER zz_freshql_truncate;
