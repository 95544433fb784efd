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

-- merchants: one row for each Merchant.

CREATE TABLE merchants (
  id          TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*'),
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  city        TEXT NOT NULL,
  country     TEXT,
  website     TEXT,
  founded     TEXT CHECK (founded IS date(founded, '+0 days')),
  verified    INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
  created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) CHECK (created_at IS strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '+0 days')),
  _version    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX merchants_name_key ON merchants (name);

CREATE INDEX merchants_city_name_idx ON merchants (city, name, id);

-- products: one row for each Product.

CREATE TABLE products (
  id          TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*'),
  sku         TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  price       INTEGER NOT NULL CHECK (price / 100 BETWEEN -9999999999 AND 9999999999),
  stock       INTEGER NOT NULL DEFAULT 0 CHECK (stock BETWEEN -2147483648 AND 2147483647),
  status      TEXT NOT NULL DEFAULT 'DRAFT' CHECK (status IN ('DRAFT', 'ACTIVE', 'DISCONTINUED')),
  weight      REAL CHECK (abs(weight) < 9e999),
  attributes  TEXT CHECK (attributes IS NULL OR json_valid(attributes)),
  created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) CHECK (created_at IS strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '+0 days')),
  merchant_id TEXT NOT NULL REFERENCES merchants (id) ON DELETE CASCADE,
  _version    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX products_merchant_id_sku_key ON products (merchant_id, sku);

CREATE INDEX products_merchant_id_name_idx ON products (merchant_id, name, id);

CREATE INDEX products_name_idx ON products (name, id);

CREATE INDEX products_status_price_idx ON products (status, price, id);

-- reviews: one row for each Review.

CREATE TABLE reviews (
  id         TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*'),
  rating     INTEGER NOT NULL CHECK (rating BETWEEN -2147483648 AND 2147483647),
  title      TEXT,
  body       TEXT NOT NULL,
  author     TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) CHECK (created_at IS strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '+0 days')),
  product_id TEXT NOT NULL REFERENCES products (id) ON DELETE CASCADE,
  _version   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX reviews_product_id_created_at_idx ON reviews (product_id, created_at, id);

-- The versions of merchants: kept for whoever writes.

CREATE TRIGGER _freshql_merchants_inserted_within AFTER INSERT ON merchants
WHEN NEW._version IS (SELECT _version FROM merchants WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('name', json_array(NEW.name), 'city', json_array(NEW.city)));
END;

CREATE TRIGGER _freshql_merchants_updated_within AFTER UPDATE ON merchants
WHEN NEW._version IS (SELECT _version FROM merchants WHERE id = NEW.id) AND (NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.description IS NOT OLD.description COLLATE BINARY
  OR NEW.city IS NOT OLD.city COLLATE BINARY
  OR NEW.country IS NOT OLD.country COLLATE BINARY
  OR NEW.website IS NOT OLD.website COLLATE BINARY
  OR NEW.founded IS NOT OLD.founded
  OR NEW.verified IS NOT OLD.verified
  OR NEW.created_at IS NOT OLD.created_at)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.description IS NOT OLD.description COLLATE BINARY THEN 'description ' ELSE '' END
        || CASE WHEN NEW.city IS NOT OLD.city COLLATE BINARY THEN 'city ' ELSE '' END
        || CASE WHEN NEW.country IS NOT OLD.country COLLATE BINARY THEN 'country ' ELSE '' END
        || CASE WHEN NEW.website IS NOT OLD.website COLLATE BINARY THEN 'website ' ELSE '' END
        || CASE WHEN NEW.founded IS NOT OLD.founded THEN 'founded ' ELSE '' END
        || CASE WHEN NEW.verified IS NOT OLD.verified THEN 'verified ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END),
      json_object('name', json_array(OLD.name, NEW.name), 'city', json_array(OLD.city, NEW.city)));
END;

CREATE TRIGGER _freshql_merchants_inserted AFTER INSERT ON merchants BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('name', json_array(NEW.name), 'city', json_array(NEW.city)));
  UPDATE merchants SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE merchants SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Merchant'
      AND _freshql_change.op <> 'D'
      AND merchants.id = _freshql_change.id AND merchants._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_merchants_updated AFTER UPDATE ON merchants
WHEN NEW.id IS OLD.id AND (NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.description IS NOT OLD.description COLLATE BINARY
  OR NEW.city IS NOT OLD.city COLLATE BINARY
  OR NEW.country IS NOT OLD.country COLLATE BINARY
  OR NEW.website IS NOT OLD.website COLLATE BINARY
  OR NEW.founded IS NOT OLD.founded
  OR NEW.verified IS NOT OLD.verified
  OR NEW.created_at IS NOT OLD.created_at
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Merchant', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.description IS NOT OLD.description COLLATE BINARY THEN 'description ' ELSE '' END
        || CASE WHEN NEW.city IS NOT OLD.city COLLATE BINARY THEN 'city ' ELSE '' END
        || CASE WHEN NEW.country IS NOT OLD.country COLLATE BINARY THEN 'country ' ELSE '' END
        || CASE WHEN NEW.website IS NOT OLD.website COLLATE BINARY THEN 'website ' ELSE '' END
        || CASE WHEN NEW.founded IS NOT OLD.founded THEN 'founded ' ELSE '' END
        || CASE WHEN NEW.verified IS NOT OLD.verified THEN 'verified ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END),
      json_object('name', json_array(OLD.name, NEW.name), 'city', json_array(OLD.city, NEW.city)));
  UPDATE merchants SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE merchants SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Merchant'
      AND _freshql_change.op <> 'D'
      AND merchants.id = _freshql_change.id AND merchants._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_merchants_rekeyed AFTER UPDATE ON merchants
WHEN NEW.id IS NOT OLD.id
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', OLD.id, 'D', json_object('name', json_array(OLD.name), 'city', json_array(OLD.city)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('name', json_array(NEW.name), 'city', json_array(NEW.city)));
  UPDATE merchants SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE merchants SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Merchant'
      AND _freshql_change.op <> 'D'
      AND merchants.id = _freshql_change.id AND merchants._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_merchants_deleted AFTER DELETE ON merchants BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', OLD.id, 'D', json_object('name', json_array(OLD.name), 'city', json_array(OLD.city)));
END;

CREATE TRIGGER _freshql_merchants_displaced_by_insert BEFORE INSERT ON merchants BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Merchant', id, 'D', json_object('name', json_array(name), 'city', json_array(city))
    FROM merchants
    WHERE id = NEW.id
      OR name = NEW.name
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_merchants_displaced_by_update BEFORE UPDATE ON merchants
WHEN NEW.id IS NOT OLD.id
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Merchant', id, 'D', json_object('name', json_array(name), 'city', json_array(city))
    FROM merchants
    WHERE id IS NOT OLD.id
      AND (id = NEW.id
        OR name = NEW.name
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of products: kept for whoever writes.

CREATE TRIGGER _freshql_products_inserted_within AFTER INSERT ON products
WHEN NEW._version IS (SELECT _version FROM products WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object(
        'sku', json_array(NEW.sku),
        'name', json_array(NEW.name),
        'price', json_array(NEW.price),
        'status', json_array(NEW.status),
        'merchant_id', json_array(NEW.merchant_id)));
END;

CREATE TRIGGER _freshql_products_updated_within AFTER UPDATE ON products
WHEN NEW._version IS (SELECT _version FROM products WHERE id = NEW.id) AND (NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.description IS NOT OLD.description COLLATE BINARY
  OR NEW.price IS NOT OLD.price
  OR NEW.stock IS NOT OLD.stock
  OR NEW.status IS NOT OLD.status
  OR NEW.weight IS NOT OLD.weight
  OR NEW.attributes IS NOT OLD.attributes COLLATE BINARY
  OR NEW.created_at IS NOT OLD.created_at
  OR NEW.merchant_id IS NOT OLD.merchant_id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'U',
      trim(CASE WHEN NEW.sku IS NOT OLD.sku COLLATE BINARY THEN 'sku ' ELSE '' END
        || CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.description IS NOT OLD.description COLLATE BINARY THEN 'description ' ELSE '' END
        || CASE WHEN NEW.price IS NOT OLD.price THEN 'price ' ELSE '' END
        || CASE WHEN NEW.stock IS NOT OLD.stock THEN 'stock ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.weight IS NOT OLD.weight THEN 'weight ' ELSE '' END
        || CASE WHEN NEW.attributes IS NOT OLD.attributes COLLATE BINARY THEN 'attributes ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END
        || CASE WHEN NEW.merchant_id IS NOT OLD.merchant_id THEN 'merchant_id ' ELSE '' END),
      json_object(
        'sku', json_array(OLD.sku, NEW.sku),
        'name', json_array(OLD.name, NEW.name),
        'price', json_array(OLD.price, NEW.price),
        'status', json_array(OLD.status, NEW.status),
        'merchant_id', json_array(OLD.merchant_id, NEW.merchant_id)));
END;

CREATE TRIGGER _freshql_products_inserted AFTER INSERT ON products BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object(
        'sku', json_array(NEW.sku),
        'name', json_array(NEW.name),
        'price', json_array(NEW.price),
        'status', json_array(NEW.status),
        'merchant_id', json_array(NEW.merchant_id)));
  UPDATE products SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE products SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Product'
      AND _freshql_change.op <> 'D'
      AND products.id = _freshql_change.id AND products._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_products_updated AFTER UPDATE ON products
WHEN NEW.id IS OLD.id AND (NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.description IS NOT OLD.description COLLATE BINARY
  OR NEW.price IS NOT OLD.price
  OR NEW.stock IS NOT OLD.stock
  OR NEW.status IS NOT OLD.status
  OR NEW.weight IS NOT OLD.weight
  OR NEW.attributes IS NOT OLD.attributes COLLATE BINARY
  OR NEW.created_at IS NOT OLD.created_at
  OR NEW.merchant_id IS NOT OLD.merchant_id
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Product', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'U',
      trim(CASE WHEN NEW.sku IS NOT OLD.sku COLLATE BINARY THEN 'sku ' ELSE '' END
        || CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.description IS NOT OLD.description COLLATE BINARY THEN 'description ' ELSE '' END
        || CASE WHEN NEW.price IS NOT OLD.price THEN 'price ' ELSE '' END
        || CASE WHEN NEW.stock IS NOT OLD.stock THEN 'stock ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.weight IS NOT OLD.weight THEN 'weight ' ELSE '' END
        || CASE WHEN NEW.attributes IS NOT OLD.attributes COLLATE BINARY THEN 'attributes ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END
        || CASE WHEN NEW.merchant_id IS NOT OLD.merchant_id THEN 'merchant_id ' ELSE '' END),
      json_object(
        'sku', json_array(OLD.sku, NEW.sku),
        'name', json_array(OLD.name, NEW.name),
        'price', json_array(OLD.price, NEW.price),
        'status', json_array(OLD.status, NEW.status),
        'merchant_id', json_array(OLD.merchant_id, NEW.merchant_id)));
  UPDATE products SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE products SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Product'
      AND _freshql_change.op <> 'D'
      AND products.id = _freshql_change.id AND products._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_products_rekeyed AFTER UPDATE ON products
WHEN NEW.id IS NOT OLD.id
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', OLD.id, 'D', json_object(
        'sku', json_array(OLD.sku),
        'name', json_array(OLD.name),
        'price', json_array(OLD.price),
        'status', json_array(OLD.status),
        'merchant_id', json_array(OLD.merchant_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object(
        'sku', json_array(NEW.sku),
        'name', json_array(NEW.name),
        'price', json_array(NEW.price),
        'status', json_array(NEW.status),
        'merchant_id', json_array(NEW.merchant_id)));
  UPDATE products SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE products SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Product'
      AND _freshql_change.op <> 'D'
      AND products.id = _freshql_change.id AND products._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_products_deleted AFTER DELETE ON products BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', OLD.id, 'D', json_object(
        'sku', json_array(OLD.sku),
        'name', json_array(OLD.name),
        'price', json_array(OLD.price),
        'status', json_array(OLD.status),
        'merchant_id', json_array(OLD.merchant_id)));
END;

CREATE TRIGGER _freshql_products_displaced_by_insert BEFORE INSERT ON products BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Product', id, 'D', json_object(
        'sku', json_array(sku),
        'name', json_array(name),
        'price', json_array(price),
        'status', json_array(status),
        'merchant_id', json_array(merchant_id))
    FROM products
    WHERE id = NEW.id
      OR (merchant_id = NEW.merchant_id AND sku = NEW.sku)
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_products_displaced_by_update BEFORE UPDATE ON products
WHEN NEW.id IS NOT OLD.id
  OR NEW.merchant_id IS NOT OLD.merchant_id
  OR NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Product', id, 'D', json_object(
        'sku', json_array(sku),
        'name', json_array(name),
        'price', json_array(price),
        'status', json_array(status),
        'merchant_id', json_array(merchant_id))
    FROM products
    WHERE id IS NOT OLD.id
      AND (id = NEW.id
        OR (merchant_id = NEW.merchant_id AND sku = NEW.sku)
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of reviews: kept for whoever writes.

CREATE TRIGGER _freshql_reviews_inserted_within AFTER INSERT ON reviews
WHEN NEW._version IS (SELECT _version FROM reviews WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', NEW.id, 'I', json_object('created_at', json_array(NEW.created_at), 'product_id', json_array(NEW.product_id)));
END;

CREATE TRIGGER _freshql_reviews_updated_within AFTER UPDATE ON reviews
WHEN NEW._version IS (SELECT _version FROM reviews WHERE id = NEW.id) AND (NEW.rating IS NOT OLD.rating
  OR NEW.title IS NOT OLD.title COLLATE BINARY
  OR NEW.body IS NOT OLD.body COLLATE BINARY
  OR NEW.author IS NOT OLD.author COLLATE BINARY
  OR NEW.created_at IS NOT OLD.created_at
  OR NEW.product_id IS NOT OLD.product_id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', NEW.id, 'U',
      trim(CASE WHEN NEW.rating IS NOT OLD.rating THEN 'rating ' ELSE '' END
        || CASE WHEN NEW.title IS NOT OLD.title COLLATE BINARY THEN 'title ' ELSE '' END
        || CASE WHEN NEW.body IS NOT OLD.body COLLATE BINARY THEN 'body ' ELSE '' END
        || CASE WHEN NEW.author IS NOT OLD.author COLLATE BINARY THEN 'author ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END
        || CASE WHEN NEW.product_id IS NOT OLD.product_id THEN 'product_id ' ELSE '' END),
      json_object('created_at', json_array(OLD.created_at, NEW.created_at), 'product_id', json_array(OLD.product_id, NEW.product_id)));
END;

CREATE TRIGGER _freshql_reviews_inserted AFTER INSERT ON reviews BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', NEW.id, 'I', json_object('created_at', json_array(NEW.created_at), 'product_id', json_array(NEW.product_id)));
  UPDATE reviews SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE reviews SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Review'
      AND _freshql_change.op <> 'D'
      AND reviews.id = _freshql_change.id AND reviews._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_reviews_updated AFTER UPDATE ON reviews
WHEN NEW.id IS OLD.id AND (NEW.rating IS NOT OLD.rating
  OR NEW.title IS NOT OLD.title COLLATE BINARY
  OR NEW.body IS NOT OLD.body COLLATE BINARY
  OR NEW.author IS NOT OLD.author COLLATE BINARY
  OR NEW.created_at IS NOT OLD.created_at
  OR NEW.product_id IS NOT OLD.product_id
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Review', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', NEW.id, 'U',
      trim(CASE WHEN NEW.rating IS NOT OLD.rating THEN 'rating ' ELSE '' END
        || CASE WHEN NEW.title IS NOT OLD.title COLLATE BINARY THEN 'title ' ELSE '' END
        || CASE WHEN NEW.body IS NOT OLD.body COLLATE BINARY THEN 'body ' ELSE '' END
        || CASE WHEN NEW.author IS NOT OLD.author COLLATE BINARY THEN 'author ' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN 'created_at ' ELSE '' END
        || CASE WHEN NEW.product_id IS NOT OLD.product_id THEN 'product_id ' ELSE '' END),
      json_object('created_at', json_array(OLD.created_at, NEW.created_at), 'product_id', json_array(OLD.product_id, NEW.product_id)));
  UPDATE reviews SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE reviews SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Review'
      AND _freshql_change.op <> 'D'
      AND reviews.id = _freshql_change.id AND reviews._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_reviews_rekeyed AFTER UPDATE ON reviews
WHEN NEW.id IS NOT OLD.id
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', OLD.id, 'D', json_object('created_at', json_array(OLD.created_at), 'product_id', json_array(OLD.product_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', NEW.id, 'I', json_object('created_at', json_array(NEW.created_at), 'product_id', json_array(NEW.product_id)));
  UPDATE reviews SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE reviews SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Review'
      AND _freshql_change.op <> 'D'
      AND reviews.id = _freshql_change.id AND reviews._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_reviews_deleted AFTER DELETE ON reviews BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Review', OLD.id, 'D', json_object('created_at', json_array(OLD.created_at), 'product_id', json_array(OLD.product_id)));
END;

CREATE TRIGGER _freshql_reviews_displaced_by_insert BEFORE INSERT ON reviews BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Review', id, 'D', json_object('created_at', json_array(created_at), 'product_id', json_array(product_id))
    FROM reviews
    WHERE id = NEW.id
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_reviews_displaced_by_update BEFORE UPDATE ON reviews
WHEN NEW.id IS NOT OLD.id
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Review', id, 'D', json_object('created_at', json_array(created_at), 'product_id', json_array(product_id))
    FROM reviews
    WHERE id IS NOT OLD.id
      AND (id = NEW.id
        OR _rowid_ = NEW._rowid_);
END;
