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
  op      "char" NOT NULL CHECK (op IN ('I', 'U', 'D', 'T')),
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

-- merchants: one row for each Merchant.

CREATE TABLE merchants (
  id       text COLLATE "C" CONSTRAINT merchants_pkey PRIMARY KEY,
  name     text COLLATE "C" NOT NULL,
  login    text COLLATE "C" NOT NULL,
  _version bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX merchants_login_key ON merchants (login);

-- products: one row for each Product.

CREATE TABLE products (
  id          text COLLATE "C" CONSTRAINT products_pkey PRIMARY KEY,
  sku         text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  price       numeric(8, 2) NOT NULL CONSTRAINT products_price_check CHECK (price <> 'NaN'),
  status      text COLLATE "C" NOT NULL DEFAULT 'ON_SALE' CONSTRAINT products_status_check CHECK (status IN ('DRAFT', 'ON_SALE')),
  cost        numeric(8, 2) CONSTRAINT products_cost_check CHECK (cost <> 'NaN'),
  merchant_id text COLLATE "C" NOT NULL CONSTRAINT products_merchant_id_fkey REFERENCES merchants (id) ON DELETE RESTRICT,
  _version    bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX products_merchant_id_sku_key ON products (merchant_id, sku);

-- sales: one row for each Sale.

CREATE TABLE sales (
  id         text COLLATE "C" CONSTRAINT sales_pkey PRIMARY KEY,
  day        date NOT NULL CONSTRAINT sales_day_check CHECK (day BETWEEN '0001-01-01' AND '9999-12-31'),
  count      integer NOT NULL,
  product_id text COLLATE "C" NOT NULL CONSTRAINT sales_product_id_fkey REFERENCES products (id) ON DELETE RESTRICT,
  _version   bigint NOT NULL DEFAULT 0
);

CREATE INDEX sales_day_idx ON sales (day, id);

CREATE INDEX sales_product_id_idx ON sales (product_id, id);

-- The versions of merchants: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_merchants_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.name, OLD.login)::record
    *<> ROW(NEW.id, NEW.name, NEW.login)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_merchants_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Merchant', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      INSERT INTO _freshql_change (entity, id, op, changed, parts) VALUES (
        'Merchant', NEW.id::text, 'U',
        concat_ws(' ', CASE WHEN (OLD.name::text COLLATE "C" IS DISTINCT FROM NEW.name::text COLLATE "C") THEN 'name' END,
          CASE WHEN (OLD.login::text COLLATE "C" IS DISTINCT FROM NEW.login::text COLLATE "C") THEN 'login' END),
        ARRAY['login', _freshql_part(OLD.login::text), _freshql_part(NEW.login::text)]::text[]);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Merchant', OLD.id::text, 'D',
      ARRAY['login', _freshql_part(OLD.login::text), NULL]::text[]);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Merchant', NEW.id::text, 'I',
      ARRAY['login', NULL, _freshql_part(NEW.login::text)]::text[]);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON merchants
  FOR EACH ROW EXECUTE FUNCTION _freshql_merchants_version();

ALTER TABLE merchants ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON merchants
  FOR EACH ROW EXECUTE FUNCTION _freshql_merchants_log();

ALTER TABLE merchants ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON merchants
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_merchants_log();

ALTER TABLE merchants ENABLE ALWAYS TRIGGER zz_freshql_truncate;

-- The versions of products: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_products_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.sku, OLD.name, OLD.price, OLD.status, OLD.cost, OLD.merchant_id)::record
    *<> ROW(NEW.id, NEW.sku, NEW.name, NEW.price, NEW.status, NEW.cost, NEW.merchant_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_products_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Product', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      INSERT INTO _freshql_change (entity, id, op, changed, parts) VALUES (
        'Product', NEW.id::text, 'U',
        concat_ws(' ', CASE WHEN (OLD.sku::text COLLATE "C" IS DISTINCT FROM NEW.sku::text COLLATE "C") THEN 'sku' END,
          CASE WHEN (OLD.name::text COLLATE "C" IS DISTINCT FROM NEW.name::text COLLATE "C") THEN 'name' END,
          CASE WHEN (OLD.price IS DISTINCT FROM NEW.price) THEN 'price' END,
          CASE WHEN (OLD.status::text COLLATE "C" IS DISTINCT FROM NEW.status::text COLLATE "C") THEN 'status' END,
          CASE WHEN (OLD.cost IS DISTINCT FROM NEW.cost) THEN 'cost' END,
          CASE WHEN (OLD.merchant_id::text COLLATE "C" IS DISTINCT FROM NEW.merchant_id::text COLLATE "C") THEN 'merchant_id' END),
        ARRAY['sku', _freshql_part(OLD.sku::text), _freshql_part(NEW.sku::text),
          'merchant_id', _freshql_part(OLD.merchant_id::text), _freshql_part(NEW.merchant_id::text)]::text[]);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Product', OLD.id::text, 'D',
      ARRAY['sku', _freshql_part(OLD.sku::text), NULL,
          'merchant_id', _freshql_part(OLD.merchant_id::text), NULL]::text[]);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Product', NEW.id::text, 'I',
      ARRAY['sku', NULL, _freshql_part(NEW.sku::text),
          'merchant_id', NULL, _freshql_part(NEW.merchant_id::text)]::text[]);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON products
  FOR EACH ROW EXECUTE FUNCTION _freshql_products_version();

ALTER TABLE products ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON products
  FOR EACH ROW EXECUTE FUNCTION _freshql_products_log();

ALTER TABLE products ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON products
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_products_log();

ALTER TABLE products ENABLE ALWAYS TRIGGER zz_freshql_truncate;

-- The versions of sales: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_sales_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.day, OLD.count, OLD.product_id)::record
    *<> ROW(NEW.id, NEW.day, NEW.count, NEW.product_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_sales_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Sale', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id::text COLLATE "C" IS DISTINCT FROM NEW.id::text COLLATE "C") THEN
      INSERT INTO _freshql_change (entity, id, op, changed, parts) VALUES (
        'Sale', NEW.id::text, 'U',
        concat_ws(' ', CASE WHEN (OLD.day IS DISTINCT FROM NEW.day) THEN 'day' END,
          CASE WHEN (OLD.count IS DISTINCT FROM NEW.count) THEN 'count' END,
          CASE WHEN (OLD.product_id::text COLLATE "C" IS DISTINCT FROM NEW.product_id::text COLLATE "C") THEN 'product_id' END),
        ARRAY['day', to_char(OLD.day, 'YYYY-MM-DD'), to_char(NEW.day, 'YYYY-MM-DD'),
          'product_id', _freshql_part(OLD.product_id::text), _freshql_part(NEW.product_id::text)]::text[]);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Sale', OLD.id::text, 'D',
      ARRAY['day', to_char(OLD.day, 'YYYY-MM-DD'), NULL,
          'product_id', _freshql_part(OLD.product_id::text), NULL]::text[]);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES (
      'Sale', NEW.id::text, 'I',
      ARRAY['day', NULL, to_char(NEW.day, 'YYYY-MM-DD'),
          'product_id', NULL, _freshql_part(NEW.product_id::text)]::text[]);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON sales
  FOR EACH ROW EXECUTE FUNCTION _freshql_sales_version();

ALTER TABLE sales ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON sales
  FOR EACH ROW EXECUTE FUNCTION _freshql_sales_log();

ALTER TABLE sales ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON sales
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_sales_log();

ALTER TABLE sales ENABLE ALWAYS TRIGGER zz_freshql_truncate;
