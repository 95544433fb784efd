INSERT INTO merchants (id, name, login) VALUES ('m1', 'Teekontor', 'ada'), ('m2', 'Kaffeehaus', 'bob');
INSERT INTO products (id, sku, name, price, status, cost, merchant_id) VALUES
  ('p1', 'TEA-1', 'Assam', 1250, 'ON_SALE', 600, 'm1'),
  ('p2', 'TEA-2', 'Sencha', 1800, 'ON_SALE', 900, 'm1'),
  ('p3', 'COF-1', 'Mokka', 1490, 'ON_SALE', 700, 'm2'),
  ('p4', 'COF-2', 'Not roasted yet', 1990, 'DRAFT', 800, 'm2');
INSERT INTO sales (id, day, count, product_id) VALUES
  ('s1', '2026-11-20', 3, 'p1'), ('s2', '2026-11-21', 5, 'p3'), ('s3', '2026-11-22', 2, 'p2');
