#!/bin/sh
# Fills a migrated database of the demo's model with the market that the performance figures are measured on:
# 10 000 merchants in 100 cities, 20 products each (inserted in turn, so that no merchant's products lie side by side),
# and two reviews of each of the first five products of every merchant. What the database held before is removed.
#
# Nothing in it is random: the same rows with the same keys each time. The triggers run as for any writer.
#
#   benches/market.sh market.db        (after: freshql --database sqlite:market.db migrate up)
set -eu

if [ $# -ne 1 ] || [ ! -f "$1" ]; then
  echo "usage: $0 DATABASE (a migrated SQLite file)" >&2
  exit 2
fi

sqlite3 -bail "$1" <<'SQL'
PRAGMA foreign_keys = ON;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -200000;
BEGIN IMMEDIATE;
DELETE FROM merchants;

CREATE TEMP TABLE word (n INTEGER PRIMARY KEY, adjective TEXT, noun TEXT, place TEXT);
INSERT INTO word VALUES
  (0, 'Amber', 'Kettle', 'Harbour'), (1, 'Brass', 'Lamp', 'Garden'), (2, 'Cedar', 'Bowl', 'Mill'),
  (3, 'Copper', 'Chair', 'Bridge'), (4, 'Dusty', 'Blanket', 'Market'), (5, 'Early', 'Basket', 'Station'),
  (6, 'Felt', 'Notebook', 'Tower'), (7, 'Golden', 'Teapot', 'Orchard'), (8, 'Hollow', 'Mirror', 'Quay'),
  (9, 'Indigo', 'Clock', 'Square'), (10, 'Juniper', 'Candle', 'Corner'), (11, 'Knitted', 'Scarf', 'Hill'),
  (12, 'Linen', 'Apron', 'River'), (13, 'Mossy', 'Planter', 'Island'), (14, 'Narrow', 'Shelf', 'Lane'),
  (15, 'Oaken', 'Table', 'Park'), (16, 'Painted', 'Tray', 'Castle'), (17, 'Quiet', 'Radio', 'Lake'),
  (18, 'Rustic', 'Stool', 'Gate'), (19, 'Silver', 'Spoon', 'Forest');

-- Sentences of about fifty characters each.
CREATE TEMP TABLE sentence (n INTEGER PRIMARY KEY, text TEXT);
INSERT INTO sentence VALUES
  (0, 'Everything here is made in small numbers by hand.'), (1, 'The workshop stands at the end of a narrow lane.'),
  (2, 'Orders leave the house within two working days.'), (3, 'Repairs are free for as long as we are in trade.'),
  (4, 'The wood comes from the forest behind the village.'), (5, 'On Saturdays there is cake and a guided tour, too.'),
  (6, 'What does not please may come back within a month.'), (7, 'We answer every letter, even the ones with stamps.'),
  (8, 'Each piece carries the initials of its own maker.'), (9, 'It will outlive most of the things around it here.'),
  (10, 'The colours are mixed in the morning, by daylight.'), (11, 'No two are alike, and that is quite as it should be.'),
  (12, 'Wash it by hand, dry it well, and keep it for long.'), (13, 'It was tested by three children and a patient dog.'),
  (14, 'Spare parts are kept for twenty years, or longer.'), (15, 'Packed in paper and straw, without any plastic.');

CREATE TEMP TABLE number AS
  WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 199999) SELECT n FROM number;

-- The n-th key of a kind, in the form of a version 7 UUID: a time, and digits that follow from n.
CREATE TEMP TABLE key AS
  SELECT kind, n,
         printf('%08x-%04x-7%03x-8%03x-%012x', 26246000 + kind, n / 4, n * 1009 % 4096, n * 523 % 4096,
                n * 2654435761 % 281474976710656) AS id
  FROM number, (SELECT 1 AS kind UNION ALL SELECT 2 UNION ALL SELECT 3)
  WHERE n < CASE kind WHEN 1 THEN 10000 WHEN 2 THEN 200000 ELSE 100000 END;
CREATE UNIQUE INDEX temp.key_by_number ON key (kind, n);

INSERT INTO merchants (id, name, description, city, country, founded, verified, created_at)
  SELECT id,
         adjective || ' ' || place || ' ' || (1000 + n),
         (SELECT group_concat(text, ' ') FROM (SELECT text FROM sentence WHERE sentence.n BETWEEN key.n % 9 AND key.n % 9 + 7)),
         printf('City %02d', n * 37 % 100),
         'Utopia',
         date('1950-01-01', (n * 7 % 25000) || ' days'),
         n % 3 > 0,
         strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + n * 60, 'unixepoch')
  FROM key
  JOIN (SELECT n AS a, adjective FROM word) ON a = key.n * 13 % 20
  JOIN (SELECT n AS p, place FROM word) ON p = key.n / 20 % 20
  WHERE kind = 1
  ORDER BY n;

-- 7919 has no factor in common with 10 000: each round of 10 000 products visits every merchant once.
INSERT INTO products (id, sku, name, description, price, stock, status, weight, created_at, merchant_id)
  SELECT product.id,
         printf('SKU-%05d', product.n / 10000 * 100 + product.n % 89),
         adjective || ' ' || noun || ' ' || (100 + product.n % 900),
         (SELECT text FROM sentence WHERE n = product.n % 16) || ' ' || (SELECT text FROM sentence WHERE n = product.n / 16 % 16)
           || ' Number ' || product.n || ' of all.',
         500 + product.n * 7919 % 25000,
         product.n % 100,
         CASE product.n % 20 WHEN 7 THEN 'DRAFT' WHEN 13 THEN 'DISCONTINUED' ELSE 'ACTIVE' END,
         (1 + product.n % 400) / 100.0,
         strftime('%Y-%m-%dT%H:%M:%fZ', 1701000000 + product.n * 60, 'unixepoch'),
         merchant.id
  FROM key AS product
  JOIN key AS merchant ON merchant.kind = 1 AND merchant.n = product.n * 7919 % 10000
  JOIN (SELECT n AS a, adjective FROM word) ON a = product.n / 10000
  JOIN (SELECT n AS o, noun FROM word) ON o = product.n * 11 % 20
  WHERE product.kind = 2
  ORDER BY product.n;

INSERT INTO reviews (id, rating, title, body, author, created_at, product_id)
  SELECT review.id,
         1 + review.n * 3 % 5,
         CASE WHEN review.n % 3 > 0 THEN 'Opinion ' || review.n END,
         (SELECT text FROM sentence WHERE n = review.n * 5 % 16),
         'Customer ' || (review.n * 17 % 5000),
         strftime('%Y-%m-%dT%H:%M:%fZ', 1714000000 + review.n * 60, 'unixepoch'),
         product.id
  FROM key AS review
  JOIN key AS product ON product.kind = 2 AND product.n = review.n % 50000
  WHERE review.kind = 3
  ORDER BY review.n;

COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
SELECT (SELECT count(*) FROM merchants) || ' merchants, ' || (SELECT count(*) FROM products) || ' products, '
  || (SELECT count(*) FROM reviews) || ' reviews';
SQL
