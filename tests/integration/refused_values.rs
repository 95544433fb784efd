//! Values that the model allows and the database does not: the error names the field and says what
//! its column takes, and nothing is written.

use freshql::graphql::Code;
use serde_json::{Value, json};

use crate::shop::Shop;

const MODEL: &str = "
type Host @entity {
  name: ID! @id
  label: String
  address: String
  cores: Int
  price: Decimal
  mood: String
  total: Int
  seen: DateTime
}
";

const CREATE: &str = "mutation($input: HostInput!) { createHost(input: $input) { name } }";
const UPDATE: &str =
    "mutation($patch: HostPatch!) { updateHost(name: \"a\", patch: $patch) { name } }";

/// The message and the fields of a refused mutation, whether it creates or updates.
fn refused(shop: &Shop, values: &Value) -> String {
    let mut input = values.clone();
    input["name"] = json!("b");
    let mut said = Vec::new();
    for (text, variables) in [(CREATE, json!({"input": input})), (UPDATE, json!({"patch": values}))]
    {
        let errors = shop.run(text, &variables).unwrap_err();
        let error = &errors[0];
        assert_eq!((errors.len(), error.code), (1, Code::BadUserInput), "{errors:?}");
        assert!(error.path.len() == 1 && error.locations.len() == 1, "{errors:?}");
        let cause = error.cause.as_ref().unwrap().to_string();
        assert!(!format!("{} {cause}", error.message).contains("hush"), "{errors:?}");
        said.push(format!("{} {}", error.extensions[0].1, error.message));
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(shop.outsider.int("SELECT count(*) FROM hosts"), 1);
    said.remove(0)
}

#[test]
fn postgresql_says_which_field_it_does_not_take() {
    let shop = Shop::on_postgres(MODEL);
    shop.outsider.execute(
        "CREATE TYPE mood AS ENUM ('calm', 'wild');
         ALTER TABLE hosts ALTER label TYPE varchar(5), ALTER address TYPE inet USING NULL,
           ALTER cores TYPE smallint, ALTER price TYPE numeric(5, 2), ALTER mood TYPE mood USING NULL, DROP total,
           ADD total bigint GENERATED ALWAYS AS (cores * 2) STORED;
         INSERT INTO hosts (name) VALUES ('a')",
    );
    let all = [
        json!({"cores": 1, "label": "hush-hush"}),
        json!({"label": "short", "cores": 40000}),
        json!({"label": "short", "price": "12345.00", "cores": 7}),
        json!({"cores": 1, "address": "hush"}),
        json!({"mood": "hush", "label": "x"}),
        json!({"label": "x", "total": 3}),
        json!({"label": "hush-hush", "mood": "calm", "seen": "2026-11-22T09:30:00Z"}),
    ];
    let all: Vec<String> = all.iter().map(|values| refused(&shop, values)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    ["label"] label is too long: in the database it is character varying(5)
    ["cores"] cores is out of range: in the database it is smallint
    ["price"] price is out of range: in the database it is numeric(5,2)
    ["address"] address does not have the form that the database's type inet requires
    ["mood"] mood does not have the form that the database's type mood requires
    ["total"] total cannot be written, because the database computes it
    ["label"] label is too long: in the database it is character varying(5)
    "#);
    // What fits is written.
    let fits = json!({"name": "b", "label": "short", "address": "::1", "cores": 7, "price": "1.00", "mood": "calm"});
    shop.body(CREATE, &json!({"input": fits}));
}

#[test]
fn what_a_trigger_of_postgresql_cannot_convert_is_no_fault_of_a_field() {
    let shop = Shop::on_postgres(MODEL);
    shop.outsider.execute(
        "CREATE FUNCTION halve() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN NEW.cores := 'hush'::text::int; RETURN NEW; END $$;
         CREATE TRIGGER halves BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION halve()",
    );
    let errors = shop.run(CREATE, &json!({"input": {"name": "b", "label": "x"}})).unwrap_err();
    assert_eq!(errors[0].code, Code::Conflict);
    insta::assert_snapshot!(errors[0].message, @"the trigger `halves` of the database cannot run here: invalid input syntax for type integer: … (22P02)");
}

#[test]
fn sqlite_says_which_field_it_does_not_take() {
    let shop = Shop::on_sqlite(MODEL, |statement| {
        statement.replace("label    TEXT", "label INTEGER").replace("label   TEXT", "label INTEGER")
    });
    shop.outsider.execute("INSERT INTO hosts (name) VALUES ('a')");
    insta::assert_snapshot!(refused(&shop, &json!({"cores": 1, "label": "hush"})), @r#"["label"] label does not have the form that the database's type INTEGER requires"#);
}
