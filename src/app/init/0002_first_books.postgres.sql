-- Something to look at.

INSERT INTO authors (id, name, born) VALUES
  ('01890a5d-ac96-774b-bcce-b302099a8057', 'Ursula K. Le Guin', '1929-10-21'),
  ('01890a5d-ac96-774b-bcce-b302099a8058', 'Italo Calvino', '1923-10-15');

INSERT INTO books (id, title, pages, price, author_id) VALUES
  ('01890a5d-ac96-774b-bcce-b302099a8059', 'The Dispossessed', 341, 12.90, '01890a5d-ac96-774b-bcce-b302099a8057'),
  ('01890a5d-ac96-774b-bcce-b302099a805a', 'The Left Hand of Darkness', 286, 11.90, '01890a5d-ac96-774b-bcce-b302099a8057'),
  ('01890a5d-ac96-774b-bcce-b302099a805b', 'Invisible Cities', 165, 9.90, '01890a5d-ac96-774b-bcce-b302099a8058');
