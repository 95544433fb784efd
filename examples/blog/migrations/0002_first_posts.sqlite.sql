INSERT INTO pages (id, text, notes) VALUES ('1', 'for everybody', 'for editors');
INSERT INTO users (id, name) VALUES ('ada', 'Ada'), ('bob', 'Bob'), ('eve', 'Eve'), ('emil', 'Emil');
INSERT INTO posts (id, title, status, author_id) VALUES
  ('1', 'ada draft', 'DRAFT', 'ada'), ('2', 'ada published', 'PUBLISHED', 'ada'),
  ('3', 'bob draft', 'DRAFT', 'bob'), ('4', 'bob published', 'PUBLISHED', 'bob');
INSERT INTO messages (id, text, to_id) VALUES ('1', 'to ada', 'ada'), ('2', 'to bob', 'bob');
