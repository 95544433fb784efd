-- What identifies this database. The epoch is part of every ETag; renew it after a restore from a backup.

CREATE TABLE _freshql_meta (
  key   text PRIMARY KEY,
  value text NOT NULL
);

INSERT INTO _freshql_meta (key, value) VALUES ('epoch', replace(gen_random_uuid()::text, '-', ''));

-- The change log: a record for every changed row, written by triggers in the changing transaction. The numbers
-- are not in the order of the commits; who reads it goes by transactions.

CREATE TABLE _freshql_change (
  seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  entity  text NOT NULL,
  id      text,
  op      text NOT NULL CHECK (op IN ('I', 'U', 'D')),
  changed text,
  parts   jsonb,
  at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX _freshql_change_xid_idx ON _freshql_change (xid, seq);

-- Wakes those who read the log, once for each transaction; what they read is the log.
CREATE FUNCTION _freshql_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('_freshql_change', '');
  RETURN NULL;
END $$;

CREATE TRIGGER _freshql_wake AFTER INSERT ON _freshql_change FOR EACH STATEMENT EXECUTE FUNCTION _freshql_wake();

CREATE FUNCTION _freshql_version() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  NEW._version := nextval('_freshql_change_seq_seq');
  RETURN NEW;
END $$;

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

CREATE OR REPLACE FUNCTION _freshql_merchants_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts)
      SELECT 'Merchant', id::text, 'D', jsonb_build_object('name', jsonb_build_array(name), 'city', jsonb_build_array(city)) FROM merchants;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NOT (ROW(OLD.id)::record *<> ROW(NEW.id)::record) THEN
      INSERT INTO _freshql_change (seq, entity, id, op, changed, parts) OVERRIDING SYSTEM VALUE VALUES (
        NEW._version, 'Merchant', NEW.id::text, 'U',
        trim(CASE WHEN (ROW(OLD.name)::record *<> ROW(NEW.name)::record) THEN 'name ' ELSE '' END
        || CASE WHEN (ROW(OLD.description)::record *<> ROW(NEW.description)::record) THEN 'description ' ELSE '' END
        || CASE WHEN (ROW(OLD.city)::record *<> ROW(NEW.city)::record) THEN 'city ' ELSE '' END
        || CASE WHEN (ROW(OLD.country)::record *<> ROW(NEW.country)::record) THEN 'country ' ELSE '' END
        || CASE WHEN (ROW(OLD.website)::record *<> ROW(NEW.website)::record) THEN 'website ' ELSE '' END
        || CASE WHEN (ROW(OLD.founded)::record *<> ROW(NEW.founded)::record) THEN 'founded ' ELSE '' END
        || CASE WHEN (ROW(OLD.verified)::record *<> ROW(NEW.verified)::record) THEN 'verified ' ELSE '' END
        || CASE WHEN (ROW(OLD.created_at)::record *<> ROW(NEW.created_at)::record) THEN 'created_at ' ELSE '' END),
        jsonb_build_object('name', jsonb_build_array(OLD.name, NEW.name), 'city', jsonb_build_array(OLD.city, NEW.city)));
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('Merchant', OLD.id::text, 'D', jsonb_build_object('name', jsonb_build_array(OLD.name), 'city', jsonb_build_array(OLD.city)));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (seq, entity, id, op, parts) OVERRIDING SYSTEM VALUE
      VALUES (NEW._version, 'Merchant', NEW.id::text, 'I', jsonb_build_object('name', jsonb_build_array(NEW.name), 'city', jsonb_build_array(NEW.city)));
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_inserted_version BEFORE INSERT ON merchants FOR EACH ROW EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER zz_freshql_updated_version BEFORE UPDATE ON merchants FOR EACH ROW
  WHEN ((ROW(OLD.id, OLD.name, OLD.description, OLD.city, OLD.country, OLD.website, OLD.founded, OLD.verified, OLD.created_at)::record *<> ROW(NEW.id, NEW.name, NEW.description, NEW.city, NEW.country, NEW.website, NEW.founded, NEW.verified, NEW.created_at)::record)
    OR NEW._version <> OLD._version)
  EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER _freshql_log AFTER INSERT OR DELETE ON merchants FOR EACH ROW EXECUTE FUNCTION _freshql_merchants_log();

CREATE OR REPLACE TRIGGER _freshql_updated_log AFTER UPDATE ON merchants FOR EACH ROW
  WHEN (NEW._version <> OLD._version) EXECUTE FUNCTION _freshql_merchants_log();

CREATE OR REPLACE TRIGGER _freshql_truncated_log BEFORE TRUNCATE ON merchants FOR EACH STATEMENT EXECUTE FUNCTION _freshql_merchants_log();

-- The versions of products: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_products_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts)
      SELECT 'Product', id::text, 'D', jsonb_build_object('sku', jsonb_build_array(sku), 'name', jsonb_build_array(name), 'price', jsonb_build_array((price * 100)::bigint), 'status', jsonb_build_array(status), 'merchant_id', jsonb_build_array(merchant_id)) FROM products;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NOT (ROW(OLD.id)::record *<> ROW(NEW.id)::record) THEN
      INSERT INTO _freshql_change (seq, entity, id, op, changed, parts) OVERRIDING SYSTEM VALUE VALUES (
        NEW._version, 'Product', NEW.id::text, 'U',
        trim(CASE WHEN (ROW(OLD.sku)::record *<> ROW(NEW.sku)::record) THEN 'sku ' ELSE '' END
        || CASE WHEN (ROW(OLD.name)::record *<> ROW(NEW.name)::record) THEN 'name ' ELSE '' END
        || CASE WHEN (ROW(OLD.description)::record *<> ROW(NEW.description)::record) THEN 'description ' ELSE '' END
        || CASE WHEN (ROW(OLD.price)::record *<> ROW(NEW.price)::record) THEN 'price ' ELSE '' END
        || CASE WHEN (ROW(OLD.stock)::record *<> ROW(NEW.stock)::record) THEN 'stock ' ELSE '' END
        || CASE WHEN (ROW(OLD.status)::record *<> ROW(NEW.status)::record) THEN 'status ' ELSE '' END
        || CASE WHEN (ROW(OLD.weight)::record *<> ROW(NEW.weight)::record) THEN 'weight ' ELSE '' END
        || CASE WHEN (ROW(OLD.attributes)::record *<> ROW(NEW.attributes)::record) THEN 'attributes ' ELSE '' END
        || CASE WHEN (ROW(OLD.created_at)::record *<> ROW(NEW.created_at)::record) THEN 'created_at ' ELSE '' END
        || CASE WHEN (ROW(OLD.merchant_id)::record *<> ROW(NEW.merchant_id)::record) THEN 'merchant_id ' ELSE '' END),
        jsonb_build_object('sku', jsonb_build_array(OLD.sku, NEW.sku), 'name', jsonb_build_array(OLD.name, NEW.name), 'price', jsonb_build_array((OLD.price * 100)::bigint, (NEW.price * 100)::bigint), 'status', jsonb_build_array(OLD.status, NEW.status), 'merchant_id', jsonb_build_array(OLD.merchant_id, NEW.merchant_id)));
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('Product', OLD.id::text, 'D', jsonb_build_object('sku', jsonb_build_array(OLD.sku), 'name', jsonb_build_array(OLD.name), 'price', jsonb_build_array((OLD.price * 100)::bigint), 'status', jsonb_build_array(OLD.status), 'merchant_id', jsonb_build_array(OLD.merchant_id)));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (seq, entity, id, op, parts) OVERRIDING SYSTEM VALUE
      VALUES (NEW._version, 'Product', NEW.id::text, 'I', jsonb_build_object('sku', jsonb_build_array(NEW.sku), 'name', jsonb_build_array(NEW.name), 'price', jsonb_build_array((NEW.price * 100)::bigint), 'status', jsonb_build_array(NEW.status), 'merchant_id', jsonb_build_array(NEW.merchant_id)));
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_inserted_version BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER zz_freshql_updated_version BEFORE UPDATE ON products FOR EACH ROW
  WHEN ((ROW(OLD.id, OLD.sku, OLD.name, OLD.description, OLD.price, OLD.stock, OLD.status, OLD.weight, OLD.attributes, OLD.created_at, OLD.merchant_id)::record *<> ROW(NEW.id, NEW.sku, NEW.name, NEW.description, NEW.price, NEW.stock, NEW.status, NEW.weight, NEW.attributes, NEW.created_at, NEW.merchant_id)::record)
    OR NEW._version <> OLD._version)
  EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER _freshql_log AFTER INSERT OR DELETE ON products FOR EACH ROW EXECUTE FUNCTION _freshql_products_log();

CREATE OR REPLACE TRIGGER _freshql_updated_log AFTER UPDATE ON products FOR EACH ROW
  WHEN (NEW._version <> OLD._version) EXECUTE FUNCTION _freshql_products_log();

CREATE OR REPLACE TRIGGER _freshql_truncated_log BEFORE TRUNCATE ON products FOR EACH STATEMENT EXECUTE FUNCTION _freshql_products_log();

-- The versions of reviews: kept for whoever writes.

CREATE OR REPLACE FUNCTION _freshql_reviews_log() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts)
      SELECT 'Review', id::text, 'D', jsonb_build_object('created_at', jsonb_build_array(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'product_id', jsonb_build_array(product_id)) FROM reviews;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NOT (ROW(OLD.id)::record *<> ROW(NEW.id)::record) THEN
      INSERT INTO _freshql_change (seq, entity, id, op, changed, parts) OVERRIDING SYSTEM VALUE VALUES (
        NEW._version, 'Review', NEW.id::text, 'U',
        trim(CASE WHEN (ROW(OLD.rating)::record *<> ROW(NEW.rating)::record) THEN 'rating ' ELSE '' END
        || CASE WHEN (ROW(OLD.title)::record *<> ROW(NEW.title)::record) THEN 'title ' ELSE '' END
        || CASE WHEN (ROW(OLD.body)::record *<> ROW(NEW.body)::record) THEN 'body ' ELSE '' END
        || CASE WHEN (ROW(OLD.author)::record *<> ROW(NEW.author)::record) THEN 'author ' ELSE '' END
        || CASE WHEN (ROW(OLD.created_at)::record *<> ROW(NEW.created_at)::record) THEN 'created_at ' ELSE '' END
        || CASE WHEN (ROW(OLD.product_id)::record *<> ROW(NEW.product_id)::record) THEN 'product_id ' ELSE '' END),
        jsonb_build_object('created_at', jsonb_build_array(to_char(OLD.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), to_char(NEW.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'product_id', jsonb_build_array(OLD.product_id, NEW.product_id)));
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('Review', OLD.id::text, 'D', jsonb_build_object('created_at', jsonb_build_array(to_char(OLD.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'product_id', jsonb_build_array(OLD.product_id)));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (seq, entity, id, op, parts) OVERRIDING SYSTEM VALUE
      VALUES (NEW._version, 'Review', NEW.id::text, 'I', jsonb_build_object('created_at', jsonb_build_array(to_char(NEW.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'product_id', jsonb_build_array(NEW.product_id)));
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER zz_freshql_inserted_version BEFORE INSERT ON reviews FOR EACH ROW EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER zz_freshql_updated_version BEFORE UPDATE ON reviews FOR EACH ROW
  WHEN ((ROW(OLD.id, OLD.rating, OLD.title, OLD.body, OLD.author, OLD.created_at, OLD.product_id)::record *<> ROW(NEW.id, NEW.rating, NEW.title, NEW.body, NEW.author, NEW.created_at, NEW.product_id)::record)
    OR NEW._version <> OLD._version)
  EXECUTE FUNCTION _freshql_version();

CREATE OR REPLACE TRIGGER _freshql_log AFTER INSERT OR DELETE ON reviews FOR EACH ROW EXECUTE FUNCTION _freshql_reviews_log();

CREATE OR REPLACE TRIGGER _freshql_updated_log AFTER UPDATE ON reviews FOR EACH ROW
  WHEN (NEW._version <> OLD._version) EXECUTE FUNCTION _freshql_reviews_log();

CREATE OR REPLACE TRIGGER _freshql_truncated_log BEFORE TRUNCATE ON reviews FOR EACH STATEMENT EXECUTE FUNCTION _freshql_reviews_log();
