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

-- merchants: one row for each Merchant.

CREATE TABLE merchants (
  id          uuid CONSTRAINT merchants_pkey PRIMARY KEY,
  name        text COLLATE "C" NOT NULL,
  description text COLLATE "C" NOT NULL,
  city        text COLLATE "C" NOT NULL,
  country     text COLLATE "C",
  website     text COLLATE "C",
  founded     date CONSTRAINT merchants_founded_check CHECK (founded BETWEEN '0001-01-01' AND '9999-12-31'),
  verified    boolean NOT NULL DEFAULT false,
  created_at  timestamptz(3) NOT NULL DEFAULT now() CONSTRAINT merchants_created_at_check CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'),
  _version    bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX merchants_name_key ON merchants (name);

CREATE INDEX merchants_city_name_idx ON merchants (city, name, id);

-- products: one row for each Product.

CREATE TABLE products (
  id          uuid CONSTRAINT products_pkey PRIMARY KEY,
  sku         text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  description text COLLATE "C" NOT NULL,
  price       numeric(12, 2) NOT NULL CONSTRAINT products_price_check CHECK (price <> 'NaN'),
  stock       integer NOT NULL DEFAULT 0,
  status      text COLLATE "C" NOT NULL DEFAULT 'DRAFT' CONSTRAINT products_status_check CHECK (status IN ('DRAFT', 'ACTIVE', 'DISCONTINUED')),
  weight      double precision CONSTRAINT products_weight_check CHECK (abs(weight) < 'Infinity'),
  attributes  jsonb,
  created_at  timestamptz(3) NOT NULL DEFAULT now() CONSTRAINT products_created_at_check CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'),
  merchant_id uuid NOT NULL CONSTRAINT products_merchant_id_fkey REFERENCES merchants (id) ON DELETE CASCADE,
  _version    bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX products_merchant_id_sku_key ON products (merchant_id, sku);

CREATE INDEX products_merchant_id_name_idx ON products (merchant_id, name, id);

CREATE INDEX products_name_idx ON products (name, id);

CREATE INDEX products_status_price_idx ON products (status, price, id);

-- reviews: one row for each Review.

CREATE TABLE reviews (
  id         uuid CONSTRAINT reviews_pkey PRIMARY KEY,
  rating     integer NOT NULL,
  title      text COLLATE "C",
  body       text COLLATE "C" NOT NULL,
  author     text COLLATE "C" NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT now() CONSTRAINT reviews_created_at_check CHECK (created_at BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'),
  product_id uuid NOT NULL CONSTRAINT reviews_product_id_fkey REFERENCES products (id) ON DELETE CASCADE,
  _version   bigint NOT NULL DEFAULT 0
);

CREATE INDEX reviews_product_id_created_at_idx ON reviews (product_id, created_at, id);

-- The versions of merchants: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_merchants_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.name, OLD.description, OLD.city, OLD.country, OLD.website, OLD.founded, OLD.verified, OLD.created_at)::record
    *<> ROW(NEW.id, NEW.name, NEW.description, NEW.city, NEW.country, NEW.website, NEW.founded, NEW.verified, NEW.created_at)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_merchants_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Merchant', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id IS DISTINCT FROM NEW.id) THEN
      changed := concat_ws(' ', CASE WHEN (OLD.name::text COLLATE "C" IS DISTINCT FROM NEW.name::text COLLATE "C") THEN 'name' END,
          CASE WHEN (OLD.description::text COLLATE "C" IS DISTINCT FROM NEW.description::text COLLATE "C") THEN 'description' END,
          CASE WHEN (OLD.city::text COLLATE "C" IS DISTINCT FROM NEW.city::text COLLATE "C") THEN 'city' END,
          CASE WHEN (OLD.country::text COLLATE "C" IS DISTINCT FROM NEW.country::text COLLATE "C") THEN 'country' END,
          CASE WHEN (OLD.website::text COLLATE "C" IS DISTINCT FROM NEW.website::text COLLATE "C") THEN 'website' END,
          CASE WHEN (OLD.founded IS DISTINCT FROM NEW.founded) THEN 'founded' END,
          CASE WHEN (OLD.verified IS DISTINCT FROM NEW.verified) THEN 'verified' END,
          CASE WHEN (OLD.created_at IS DISTINCT FROM NEW.created_at) THEN 'created_at' END);
      parts := ARRAY['name', _freshql_part(OLD.name::text), _freshql_part(NEW.name::text),
          'city', _freshql_part(OLD.city::text), _freshql_part(NEW.city::text)]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Merchant', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['name', _freshql_part(OLD.name::text), NULL,
          'city', _freshql_part(OLD.city::text), NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Merchant', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['name', NULL, _freshql_part(NEW.name::text),
          'city', NULL, _freshql_part(NEW.city::text)]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Merchant', NEW.id::text, 'I', parts);
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
  ELSIF ROW(OLD.id, OLD.sku, OLD.name, OLD.description, OLD.price, OLD.stock, OLD.status, OLD.weight, OLD.attributes, OLD.created_at, OLD.merchant_id)::record
    *<> ROW(NEW.id, NEW.sku, NEW.name, NEW.description, NEW.price, NEW.stock, NEW.status, NEW.weight, NEW.attributes, NEW.created_at, NEW.merchant_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_products_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Product', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id IS DISTINCT FROM NEW.id) THEN
      changed := concat_ws(' ', CASE WHEN (OLD.sku::text COLLATE "C" IS DISTINCT FROM NEW.sku::text COLLATE "C") THEN 'sku' END,
          CASE WHEN (OLD.name::text COLLATE "C" IS DISTINCT FROM NEW.name::text COLLATE "C") THEN 'name' END,
          CASE WHEN (OLD.description::text COLLATE "C" IS DISTINCT FROM NEW.description::text COLLATE "C") THEN 'description' END,
          CASE WHEN (OLD.price IS DISTINCT FROM NEW.price) THEN 'price' END,
          CASE WHEN (OLD.stock IS DISTINCT FROM NEW.stock) THEN 'stock' END,
          CASE WHEN (OLD.status::text COLLATE "C" IS DISTINCT FROM NEW.status::text COLLATE "C") THEN 'status' END,
          CASE WHEN (OLD.weight IS DISTINCT FROM NEW.weight) THEN 'weight' END,
          CASE WHEN (ROW(OLD.attributes)::record *<> ROW(NEW.attributes)::record) THEN 'attributes' END,
          CASE WHEN (OLD.created_at IS DISTINCT FROM NEW.created_at) THEN 'created_at' END,
          CASE WHEN (OLD.merchant_id IS DISTINCT FROM NEW.merchant_id) THEN 'merchant_id' END);
      parts := ARRAY['sku', _freshql_part(OLD.sku::text), _freshql_part(NEW.sku::text),
          'name', _freshql_part(OLD.name::text), _freshql_part(NEW.name::text),
          'price', OLD.price::text, NEW.price::text,
          'status', OLD.status::text, NEW.status::text,
          'merchant_id', OLD.merchant_id::text, NEW.merchant_id::text]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Product', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['sku', _freshql_part(OLD.sku::text), NULL,
          'name', _freshql_part(OLD.name::text), NULL,
          'price', OLD.price::text, NULL,
          'status', OLD.status::text, NULL,
          'merchant_id', OLD.merchant_id::text, NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Product', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['sku', NULL, _freshql_part(NEW.sku::text),
          'name', NULL, _freshql_part(NEW.name::text),
          'price', NULL, NEW.price::text,
          'status', NULL, NEW.status::text,
          'merchant_id', NULL, NEW.merchant_id::text]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Product', NEW.id::text, 'I', parts);
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

-- The versions of reviews: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_reviews_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW._version := now;
  ELSIF ROW(OLD.id, OLD.rating, OLD.title, OLD.body, OLD.author, OLD.created_at, OLD.product_id)::record
    *<> ROW(NEW.id, NEW.rating, NEW.title, NEW.body, NEW.author, NEW.created_at, NEW.product_id)::record
    OR NEW._version IS DISTINCT FROM OLD._version THEN
    NEW._version := greatest(OLD._version + 1, now);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION _freshql_reviews_log() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  changed text;
  parts text[];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ('Review', 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW._version = OLD._version THEN
      RETURN NULL;
    END IF;
    IF NOT (OLD.id IS DISTINCT FROM NEW.id) THEN
      changed := concat_ws(' ', CASE WHEN (OLD.rating IS DISTINCT FROM NEW.rating) THEN 'rating' END,
          CASE WHEN (OLD.title::text COLLATE "C" IS DISTINCT FROM NEW.title::text COLLATE "C") THEN 'title' END,
          CASE WHEN (OLD.body::text COLLATE "C" IS DISTINCT FROM NEW.body::text COLLATE "C") THEN 'body' END,
          CASE WHEN (OLD.author::text COLLATE "C" IS DISTINCT FROM NEW.author::text COLLATE "C") THEN 'author' END,
          CASE WHEN (OLD.created_at IS DISTINCT FROM NEW.created_at) THEN 'created_at' END,
          CASE WHEN (OLD.product_id IS DISTINCT FROM NEW.product_id) THEN 'product_id' END);
      parts := ARRAY['created_at', floor(extract(epoch FROM OLD.created_at) * 1000)::text, floor(extract(epoch FROM NEW.created_at) * 1000)::text,
          'product_id', OLD.product_id::text, NEW.product_id::text]::text[];
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ('Review', NEW.id::text, 'U', changed, parts);
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    parts := ARRAY['created_at', floor(extract(epoch FROM OLD.created_at) * 1000)::text, NULL,
          'product_id', OLD.product_id::text, NULL]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Review', OLD.id::text, 'D', parts);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    parts := ARRAY['created_at', NULL, floor(extract(epoch FROM NEW.created_at) * 1000)::text,
          'product_id', NULL, NEW.product_id::text]::text[];
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ('Review', NEW.id::text, 'I', parts);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_version BEFORE INSERT OR UPDATE ON reviews
  FOR EACH ROW EXECUTE FUNCTION _freshql_reviews_version();

ALTER TABLE reviews ENABLE ALWAYS TRIGGER zz_freshql_version;

CREATE OR REPLACE TRIGGER zz_freshql_log AFTER INSERT OR UPDATE OR DELETE ON reviews
  FOR EACH ROW EXECUTE FUNCTION _freshql_reviews_log();

ALTER TABLE reviews ENABLE ALWAYS TRIGGER zz_freshql_log;

CREATE OR REPLACE TRIGGER zz_freshql_truncate BEFORE TRUNCATE ON reviews
  FOR EACH STATEMENT EXECUTE FUNCTION _freshql_reviews_log();

ALTER TABLE reviews ENABLE ALWAYS TRIGGER zz_freshql_truncate;
