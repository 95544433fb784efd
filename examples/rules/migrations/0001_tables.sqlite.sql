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
  id       TEXT PRIMARY KEY NOT NULL,
  name     TEXT NOT NULL,
  login    TEXT NOT NULL,
  _version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX merchants_login_key ON merchants (login);

-- products: one row for each Product.

CREATE TABLE products (
  id          TEXT PRIMARY KEY NOT NULL,
  sku         TEXT NOT NULL,
  name        TEXT NOT NULL,
  price       INTEGER NOT NULL CHECK (price / 100 BETWEEN -999999 AND 999999),
  status      TEXT NOT NULL DEFAULT 'ON_SALE' CHECK (status IN ('DRAFT', 'ON_SALE')),
  cost        INTEGER CHECK (cost / 100 BETWEEN -999999 AND 999999),
  merchant_id TEXT NOT NULL REFERENCES merchants (id) ON DELETE RESTRICT,
  _version    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX products_merchant_id_sku_key ON products (merchant_id, sku);

-- sales: one row for each Sale.

CREATE TABLE sales (
  id         TEXT PRIMARY KEY NOT NULL,
  day        TEXT NOT NULL CHECK (day IS date(day, '+0 days')),
  count      INTEGER NOT NULL CHECK (count BETWEEN -2147483648 AND 2147483647),
  product_id TEXT NOT NULL REFERENCES products (id) ON DELETE RESTRICT,
  _version   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX sales_day_idx ON sales (day, id);

CREATE INDEX sales_product_id_idx ON sales (product_id, id);

-- The versions of merchants: kept for whoever writes.

CREATE TRIGGER _freshql_merchants_inserted_within AFTER INSERT ON merchants
WHEN NEW._version IS (SELECT _version FROM merchants WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('login', json_array(NEW.login)));
END;

CREATE TRIGGER _freshql_merchants_updated_within AFTER UPDATE ON merchants
WHEN NEW._version IS (SELECT _version FROM merchants WHERE id = NEW.id) AND (NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.login IS NOT OLD.login COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.login IS NOT OLD.login COLLATE BINARY THEN 'login ' ELSE '' END),
      json_object('login', json_array(OLD.login, NEW.login)));
END;

CREATE TRIGGER _freshql_merchants_inserted AFTER INSERT ON merchants BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('login', json_array(NEW.login)));
  UPDATE merchants SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE merchants SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Merchant'
      AND _freshql_change.op <> 'D'
      AND merchants.id = _freshql_change.id AND merchants._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_merchants_updated AFTER UPDATE ON merchants
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.login IS NOT OLD.login COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Merchant', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'U',
      trim(CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.login IS NOT OLD.login COLLATE BINARY THEN 'login ' ELSE '' END),
      json_object('login', json_array(OLD.login, NEW.login)));
  UPDATE merchants SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE merchants SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Merchant'
      AND _freshql_change.op <> 'D'
      AND merchants.id = _freshql_change.id AND merchants._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_merchants_rekeyed AFTER UPDATE ON merchants
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', OLD.id, 'D', json_object('login', json_array(OLD.login)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Merchant', NEW.id, 'I', json_object('login', json_array(NEW.login)));
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
      'Merchant', OLD.id, 'D', json_object('login', json_array(OLD.login)));
END;

CREATE TRIGGER _freshql_merchants_displaced_by_insert BEFORE INSERT ON merchants BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Merchant', id, 'D', json_object('login', json_array(login))
    FROM merchants
    WHERE id = NEW.id
      OR login = NEW.login
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_merchants_displaced_by_update BEFORE UPDATE ON merchants
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW.login IS NOT OLD.login COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Merchant', id, 'D', json_object('login', json_array(login))
    FROM merchants
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR login = NEW.login
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of products: kept for whoever writes.

CREATE TRIGGER _freshql_products_inserted_within AFTER INSERT ON products
WHEN NEW._version IS (SELECT _version FROM products WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object('sku', json_array(NEW.sku), 'merchant_id', json_array(NEW.merchant_id)));
END;

CREATE TRIGGER _freshql_products_updated_within AFTER UPDATE ON products
WHEN NEW._version IS (SELECT _version FROM products WHERE id = NEW.id) AND (NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.price IS NOT OLD.price
  OR NEW.status IS NOT OLD.status
  OR NEW.cost IS NOT OLD.cost
  OR NEW.merchant_id IS NOT OLD.merchant_id COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'U',
      trim(CASE WHEN NEW.sku IS NOT OLD.sku COLLATE BINARY THEN 'sku ' ELSE '' END
        || CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.price IS NOT OLD.price THEN 'price ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.cost IS NOT OLD.cost THEN 'cost ' ELSE '' END
        || CASE WHEN NEW.merchant_id IS NOT OLD.merchant_id COLLATE BINARY THEN 'merchant_id ' ELSE '' END),
      json_object('sku', json_array(OLD.sku, NEW.sku), 'merchant_id', json_array(OLD.merchant_id, NEW.merchant_id)));
END;

CREATE TRIGGER _freshql_products_inserted AFTER INSERT ON products BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object('sku', json_array(NEW.sku), 'merchant_id', json_array(NEW.merchant_id)));
  UPDATE products SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE products SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Product'
      AND _freshql_change.op <> 'D'
      AND products.id = _freshql_change.id AND products._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_products_updated AFTER UPDATE ON products
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW.name IS NOT OLD.name COLLATE BINARY
  OR NEW.price IS NOT OLD.price
  OR NEW.status IS NOT OLD.status
  OR NEW.cost IS NOT OLD.cost
  OR NEW.merchant_id IS NOT OLD.merchant_id COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Product', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'U',
      trim(CASE WHEN NEW.sku IS NOT OLD.sku COLLATE BINARY THEN 'sku ' ELSE '' END
        || CASE WHEN NEW.name IS NOT OLD.name COLLATE BINARY THEN 'name ' ELSE '' END
        || CASE WHEN NEW.price IS NOT OLD.price THEN 'price ' ELSE '' END
        || CASE WHEN NEW.status IS NOT OLD.status THEN 'status ' ELSE '' END
        || CASE WHEN NEW.cost IS NOT OLD.cost THEN 'cost ' ELSE '' END
        || CASE WHEN NEW.merchant_id IS NOT OLD.merchant_id COLLATE BINARY THEN 'merchant_id ' ELSE '' END),
      json_object('sku', json_array(OLD.sku, NEW.sku), 'merchant_id', json_array(OLD.merchant_id, NEW.merchant_id)));
  UPDATE products SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE products SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Product'
      AND _freshql_change.op <> 'D'
      AND products.id = _freshql_change.id AND products._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_products_rekeyed AFTER UPDATE ON products
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', OLD.id, 'D', json_object('sku', json_array(OLD.sku), 'merchant_id', json_array(OLD.merchant_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Product', NEW.id, 'I', json_object('sku', json_array(NEW.sku), 'merchant_id', json_array(NEW.merchant_id)));
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
      'Product', OLD.id, 'D', json_object('sku', json_array(OLD.sku), 'merchant_id', json_array(OLD.merchant_id)));
END;

CREATE TRIGGER _freshql_products_displaced_by_insert BEFORE INSERT ON products BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Product', id, 'D', json_object('sku', json_array(sku), 'merchant_id', json_array(merchant_id))
    FROM products
    WHERE id = NEW.id
      OR (merchant_id = NEW.merchant_id AND sku = NEW.sku)
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_products_displaced_by_update BEFORE UPDATE ON products
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW.merchant_id IS NOT OLD.merchant_id COLLATE BINARY
  OR NEW.sku IS NOT OLD.sku COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Product', id, 'D', json_object('sku', json_array(sku), 'merchant_id', json_array(merchant_id))
    FROM products
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR (merchant_id = NEW.merchant_id AND sku = NEW.sku)
        OR _rowid_ = NEW._rowid_);
END;

-- The versions of sales: kept for whoever writes.

CREATE TRIGGER _freshql_sales_inserted_within AFTER INSERT ON sales
WHEN NEW._version IS (SELECT _version FROM sales WHERE id = NEW.id)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', NEW.id, 'I', json_object('day', json_array(NEW.day), 'product_id', json_array(NEW.product_id)));
END;

CREATE TRIGGER _freshql_sales_updated_within AFTER UPDATE ON sales
WHEN NEW._version IS (SELECT _version FROM sales WHERE id = NEW.id) AND (NEW.day IS NOT OLD.day
  OR NEW.count IS NOT OLD.count
  OR NEW.product_id IS NOT OLD.product_id COLLATE BINARY)
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', NEW.id, 'U',
      trim(CASE WHEN NEW.day IS NOT OLD.day THEN 'day ' ELSE '' END
        || CASE WHEN NEW.count IS NOT OLD.count THEN 'count ' ELSE '' END
        || CASE WHEN NEW.product_id IS NOT OLD.product_id COLLATE BINARY THEN 'product_id ' ELSE '' END),
      json_object('day', json_array(OLD.day, NEW.day), 'product_id', json_array(OLD.product_id, NEW.product_id)));
END;

CREATE TRIGGER _freshql_sales_inserted AFTER INSERT ON sales BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', NEW.id, 'I', json_object('day', json_array(NEW.day), 'product_id', json_array(NEW.product_id)));
  UPDATE sales SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE sales SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Sale'
      AND _freshql_change.op <> 'D'
      AND sales.id = _freshql_change.id AND sales._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_sales_updated AFTER UPDATE ON sales
WHEN NEW.id IS OLD.id COLLATE BINARY AND (NEW.day IS NOT OLD.day
  OR NEW.count IS NOT OLD.count
  OR NEW.product_id IS NOT OLD.product_id COLLATE BINARY
  OR (NEW._version IS NOT OLD._version AND (NEW._version, 'Sale', NEW.id) IS NOT
    (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1)))
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', NEW.id, 'U',
      trim(CASE WHEN NEW.day IS NOT OLD.day THEN 'day ' ELSE '' END
        || CASE WHEN NEW.count IS NOT OLD.count THEN 'count ' ELSE '' END
        || CASE WHEN NEW.product_id IS NOT OLD.product_id COLLATE BINARY THEN 'product_id ' ELSE '' END),
      json_object('day', json_array(OLD.day, NEW.day), 'product_id', json_array(OLD.product_id, NEW.product_id)));
  UPDATE sales SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE sales SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Sale'
      AND _freshql_change.op <> 'D'
      AND sales.id = _freshql_change.id AND sales._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_sales_rekeyed AFTER UPDATE ON sales
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', OLD.id, 'D', json_object('day', json_array(OLD.day), 'product_id', json_array(OLD.product_id)));
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', NEW.id, 'I', json_object('day', json_array(NEW.day), 'product_id', json_array(NEW.product_id)));
  UPDATE sales SET _version = last_insert_rowid() WHERE id = NEW.id;
  UPDATE sales SET _version = last_insert_rowid() FROM _freshql_change
    WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = 'Sale'
      AND _freshql_change.op <> 'D'
      AND sales.id = _freshql_change.id AND sales._version < last_insert_rowid();
END;

CREATE TRIGGER _freshql_sales_deleted AFTER DELETE ON sales BEGIN
  INSERT INTO _freshql_change (seq, entity, id, op, parts)
    VALUES (max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)),
      'Sale', OLD.id, 'D', json_object('day', json_array(OLD.day), 'product_id', json_array(OLD.product_id)));
END;

CREATE TRIGGER _freshql_sales_displaced_by_insert BEFORE INSERT ON sales BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Sale', id, 'D', json_object('day', json_array(day), 'product_id', json_array(product_id))
    FROM sales
    WHERE id = NEW.id
      OR _rowid_ = NEW._rowid_;
END;

CREATE TRIGGER _freshql_sales_displaced_by_update BEFORE UPDATE ON sales
WHEN NEW.id IS NOT OLD.id COLLATE BINARY
  OR NEW._rowid_ IS NOT OLD._rowid_
BEGIN
  INSERT INTO _freshql_change (entity, id, op, parts)
    SELECT 'Sale', id, 'D', json_object('day', json_array(day), 'product_id', json_array(product_id))
    FROM sales
    WHERE id IS NOT OLD.id COLLATE BINARY
      AND (id = NEW.id
        OR _rowid_ = NEW._rowid_);
END;
