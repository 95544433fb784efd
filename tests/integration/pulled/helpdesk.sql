-- A web application that has grown for years, with an ORM's habits and triggers of its own.
CREATE EXTENSION pg_trgm;
CREATE EXTENSION hstore;
CREATE TABLE schema_migrations (version character varying PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying PRIMARY KEY, value character varying,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL);
CREATE TABLE accounts (
  id uuid DEFAULT gen_random_uuid() PRIMARY KEY, subdomain character varying(63) NOT NULL, plan integer DEFAULT 0 NOT NULL,
  credit numeric(10,2) DEFAULT 0.0 NOT NULL, settings jsonb DEFAULT '{}'::jsonb NOT NULL, flags json,
  created_at timestamp(6) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL);
CREATE UNIQUE INDEX index_accounts_on_lower_subdomain ON accounts (lower(subdomain));
CREATE TABLE users (
  id bigserial PRIMARY KEY, account_id uuid NOT NULL, type character varying, email character varying(255) DEFAULT ''::character varying NOT NULL,
  encrypted_password character varying DEFAULT ''::character varying NOT NULL, sign_in_count integer DEFAULT 0 NOT NULL,
  last_sign_in_ip inet, last_sign_in_at timestamp without time zone, extras hstore, roles character varying[] DEFAULT '{}'::character varying[],
  admin boolean DEFAULT false, born_on date, rating double precision DEFAULT 0.0, deleted_at timestamp without time zone,
  lock_version integer DEFAULT 0 NOT NULL, avatar bytea,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL);
CREATE UNIQUE INDEX index_users_on_email_alive ON users (account_id, email) WHERE deleted_at IS NULL;
CREATE INDEX index_users_on_type_and_email ON users (type, email);
ALTER TABLE ONLY users ADD CONSTRAINT fk_rails_61ac11da2b FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;
CREATE TABLE tickets (
  id bigserial PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts, number integer NOT NULL, requester_id bigint NOT NULL,
  assignee_id bigint, parent_id bigint, state integer DEFAULT 0 NOT NULL, priority character varying DEFAULT 'normal'::character varying NOT NULL,
  subject character varying NOT NULL, body text, metadata jsonb, comments_count integer DEFAULT 0 NOT NULL, search tsvector,
  spent interval, due_at timestamp with time zone,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL,
  CONSTRAINT priority_known CHECK (priority::text = ANY (ARRAY['low'::character varying, 'normal'::character varying, 'high'::character varying]::text[])));
CREATE UNIQUE INDEX index_tickets_on_account_id_and_number ON tickets USING btree (account_id, number);
CREATE INDEX index_tickets_on_subject ON tickets USING gin (subject gin_trgm_ops);
CREATE INDEX index_tickets_on_requester_id ON tickets (requester_id);
ALTER TABLE ONLY tickets ADD CONSTRAINT fk_requester FOREIGN KEY (requester_id) REFERENCES users(id);
ALTER TABLE ONLY tickets ADD CONSTRAINT fk_assignee FOREIGN KEY (assignee_id) REFERENCES users(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY tickets ADD CONSTRAINT fk_parent FOREIGN KEY (parent_id) REFERENCES tickets(id) ON DELETE SET NULL;
CREATE TABLE comments (
  id bigserial PRIMARY KEY, commentable_type character varying NOT NULL, commentable_id bigint NOT NULL, author_id bigint REFERENCES users ON DELETE SET NULL,
  body text NOT NULL, created_at timestamp(6) without time zone DEFAULT now() NOT NULL);
CREATE INDEX index_comments_on_commentable ON comments (commentable_type, commentable_id);
CREATE TABLE tags (id serial PRIMARY KEY, name character varying NOT NULL CONSTRAINT tags_name_key UNIQUE);
CREATE TABLE taggings (ticket_id bigint NOT NULL REFERENCES tickets ON DELETE CASCADE, tag_id integer NOT NULL REFERENCES tags ON DELETE CASCADE, PRIMARY KEY (ticket_id, tag_id));
CREATE TABLE groups (id bigserial PRIMARY KEY, name character varying NOT NULL, account_id uuid REFERENCES accounts);
CREATE TABLE groups_users (group_id bigint NOT NULL, user_id bigint NOT NULL);
CREATE UNIQUE INDEX index_groups_users ON groups_users (group_id, user_id);
CREATE VIEW open_tickets AS SELECT id, subject FROM tickets WHERE state = 0;
CREATE MATERIALIZED VIEW ticket_stats AS SELECT account_id, count(*) AS n FROM tickets GROUP BY account_id;
-- The program's own triggers: a counter, a search vector, and the time of the last change.
CREATE FUNCTION count_comments() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'DELETE' AND NEW.commentable_type = 'Ticket' THEN UPDATE tickets SET comments_count = comments_count + 1 WHERE id = NEW.commentable_id; END IF;
  IF TG_OP <> 'INSERT' AND OLD.commentable_type = 'Ticket' THEN UPDATE tickets SET comments_count = comments_count - 1 WHERE id = OLD.commentable_id; END IF;
  RETURN NULL; END $$;
CREATE TRIGGER count_comments AFTER INSERT OR UPDATE OF commentable_type, commentable_id OR DELETE ON comments FOR EACH ROW EXECUTE FUNCTION count_comments();
CREATE TRIGGER tickets_search BEFORE INSERT OR UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(search, 'pg_catalog.english', subject, body);
CREATE FUNCTION squish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.subject := trim(NEW.subject); RETURN NEW; END $$;
CREATE TRIGGER zzz_squish BEFORE INSERT OR UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION squish();
INSERT INTO schema_migrations VALUES ('20190101000000'), ('20240229120000');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', now(), now());
INSERT INTO accounts (id, subdomain, settings, flags, created_at) VALUES
  ('11111111-1111-4111-8111-111111111111', 'acme', '{"z": 1, "a": [1.10, null]}', '{"b":1,"a":2,"b":3}', '2019-02-03 04:05:06.789012'),
  ('22222222-2222-4222-8222-222222222222', 'Globex', '{}', NULL, '1970-01-01');
INSERT INTO users (account_id, type, email, roles, extras, last_sign_in_ip, born_on, rating, created_at, updated_at)
  SELECT '11111111-1111-4111-8111-111111111111', CASE WHEN n % 3 = 0 THEN 'Agent' END, 'user' || n || '@acme.test', ARRAY['a', 'b'], 'k=>v', '10.0.0.1', '1900-02-28', n / 8.0, now(), now()
  FROM generate_series(1, 9) AS n;
INSERT INTO users (account_id, type, email, created_at, updated_at) VALUES ('22222222-2222-4222-8222-222222222222', 'Admin', 'root@globex.test', 'infinity', now());
UPDATE users SET created_at = '2000-01-01' WHERE email LIKE 'root%';
INSERT INTO tickets (account_id, number, requester_id, assignee_id, subject, metadata, due_at, created_at, updated_at)
  SELECT '11111111-1111-4111-8111-111111111111', n, 1 + n % 9, CASE WHEN n % 2 = 0 THEN 3 END, 'Printer ' || n || ' on fire', jsonb_build_object('n', n), '2024-10-27 02:30+02', now(), now()
  FROM generate_series(1, 30) AS n;
UPDATE tickets SET parent_id = 1 WHERE id IN (2, 3);
INSERT INTO comments (commentable_type, commentable_id, author_id, body) SELECT CASE WHEN n % 4 = 0 THEN 'Group' ELSE 'Ticket' END, n, 3, 'Comment ' || n FROM generate_series(1, 12) AS n;
INSERT INTO tags (name) VALUES ('urgent'), ('Ünïcode'), ('');
INSERT INTO taggings VALUES (1, 1), (2, 2);
INSERT INTO groups (name, account_id) VALUES ('support', '11111111-1111-4111-8111-111111111111'), ('lost', NULL);
INSERT INTO groups_users VALUES (1, 3);
REFRESH MATERIALIZED VIEW ticket_stats;
