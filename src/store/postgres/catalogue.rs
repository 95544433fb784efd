//! The schema of a PostgreSQL database as its own catalogue lists it: tables, columns, constraints,
//! indexes, triggers, and freshql's functions. This compares nothing. It includes all tables, and
//! marks those that an unqualified name finds.

mod rows;

use std::collections::BTreeMap;

use super::client::{Blocking, ClientError, Execute, RowRef, Rows};
use crate::model::OnDelete;

/// The schema of a database.
#[derive(Debug, Default)]
pub(in crate::store) struct Catalogue {
    /// In order of creation, including partitions and inheriting tables.
    pub(in crate::store) tables: Vec<FoundTable>,
    pub(in crate::store) functions: Vec<FoundFunction>,
}

/// A table, or something similar.
#[derive(Debug, Default)]
pub(in crate::store) struct FoundTable {
    pub(in crate::store) oid: i64,
    pub(in crate::store) schema: String,
    pub(in crate::store) name: String,
    /// Whether an unqualified name finds it.
    pub(in crate::store) is_visible: bool,
    /// `r`: a table, `p`: a partitioned table, `v`, `m`: views, `f`: a foreign table.
    pub(in crate::store) kind: String,
    /// What it is a partition of, or inherits from: several tables, perhaps.
    pub(in crate::store) parents: Vec<i64>,
    pub(in crate::store) is_partition: bool,
    /// Whether policies hide rows of it from the role of this connection.
    pub(in crate::store) is_filtered: bool,
    /// Whether rules rewrite statements on it.
    pub(in crate::store) has_rules: bool,
    pub(in crate::store) columns: Vec<FoundColumn>,
    pub(in crate::store) constraints: Vec<FoundConstraint>,
    pub(in crate::store) indexes: Vec<FoundIndex>,
    /// Without those that PostgreSQL creates for foreign keys.
    pub(in crate::store) triggers: Vec<FoundTrigger>,
}

#[derive(Debug, Default)]
pub(in crate::store) struct FoundColumn {
    pub(in crate::store) name: String,
    /// As PostgreSQL spells it: `numeric(12,2)`.
    pub(in crate::store) sql_type: String,
    /// The type's name without parameters; for a domain, that of its underlying type: `numeric`.
    pub(in crate::store) base: String,
    /// `e` if that is an enum.
    pub(in crate::store) kind: String,
    /// The underlying type of a domain: `numeric(12,2)`.
    pub(in crate::store) base_type: String,
    pub(in crate::store) not_null: bool,
    pub(in crate::store) default: Option<String>,
    pub(in crate::store) is_identity: bool,
    pub(in crate::store) is_generated: bool,
    /// None if its type has no collation.
    pub(in crate::store) collation: Option<String>,
    /// Whether two strings are equal only if their bytes are.
    pub(in crate::store) is_deterministic: bool,
    /// The values of an enum, in its order.
    pub(in crate::store) values: Vec<String>,
    /// Whether this role may read it.
    pub(in crate::store) is_readable: bool,
}

#[derive(Debug, Default)]
pub(in crate::store) struct FoundConstraint {
    /// `p`: a primary key, `u`: unique, `f`: a foreign key, `c`: a check.
    pub(in crate::store) kind: String,
    pub(in crate::store) name: String,
    pub(in crate::store) columns: Vec<String>,
    /// For a foreign key: the other table, and its columns.
    pub(in crate::store) target: Option<i64>,
    pub(in crate::store) target_columns: Vec<String>,
    /// `a`, `r`, `c`, `n`, `d`
    pub(in crate::store) on_delete: String,
    pub(in crate::store) definition: String,
    pub(in crate::store) is_valid: bool,
}

#[derive(Debug, Default)]
pub(in crate::store) struct FoundIndex {
    #[expect(dead_code, reason = "for people who debug")]
    pub(in crate::store) name: String,
    pub(in crate::store) unique: bool,
    pub(in crate::store) is_primary: bool,
    /// Whether it has a WHERE, is invalid because its creation failed, or serves no equality, as GIN's.
    pub(in crate::store) is_partial: bool,
    /// None for an expression.
    pub(in crate::store) columns: Vec<Option<String>>,
}

#[derive(Debug, Default)]
pub(in crate::store) struct FoundTrigger {
    pub(in crate::store) name: String,
    /// `A`: always, `O`: except on replicas, `R`: only on replicas, `D`: never.
    pub(in crate::store) enabled: String,
    /// The bits of `pg_trigger.tgtype`.
    pub(in crate::store) bits: i64,
    pub(in crate::store) function: String,
    pub(in crate::store) has_when: bool,
}

/// One of freshql's functions.
#[derive(Debug, Default)]
pub(in crate::store) struct FoundFunction {
    pub(in crate::store) name: String,
    pub(in crate::store) source: String,
    pub(in crate::store) is_definer: bool,
    /// `search_path=public, pg_temp`
    pub(in crate::store) settings: Vec<String>,
}

/// `pg_trigger.tgtype`
pub(in crate::store) mod bits {
    pub(in crate::store) const ROW: i64 = 1;
    pub(in crate::store) const BEFORE: i64 = 2;
    pub(in crate::store) const INSERT: i64 = 4;
    pub(in crate::store) const DELETE: i64 = 8;
    pub(in crate::store) const UPDATE: i64 = 16;
    pub(in crate::store) const TRUNCATE: i64 = 32;
}

/// Schemas that contain no users' tables.
const THEIR_SCHEMAS: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

/// The statements whose rows [`Catalogue::of`] reads.
pub(in crate::store) fn statements() -> [String; 6] {
    let tables =
        format!("pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {THEIR_SCHEMAS}");
    let kinds = "c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let names = |array: &str, relation: &str| {
        format!(
            "(SELECT json_agg(a.attname ORDER BY k.n) FROM unnest({array}) WITH ORDINALITY AS k (attnum, n) \
             JOIN pg_attribute a ON a.attrelid = {relation} AND a.attnum = k.attnum)"
        )
    };
    [
        format!(
            "SELECT c.oid, n.nspname, c.relname, pg_table_is_visible(c.oid), c.relkind,
                    (SELECT json_agg(inhparent::bigint) FROM pg_inherits WHERE inhrelid = c.oid), c.relispartition, c.relhasrules,
                    c.relrowsecurity AND row_security_active(c.oid)
             FROM {tables} WHERE {kinds} ORDER BY c.oid"
        ),
        format!(
            "SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), base.typname, base.typtype,
                    format_type(base.oid, bottom.mod),
                    a.attnotnull OR bottom.required, pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> '',
                    coll.collname, coalesce(coll.collisdeterministic, true),
                    (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = base.oid),
                    has_column_privilege(c.oid, a.attnum, 'SELECT')
             FROM {tables} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               JOIN pg_type t ON t.oid = a.atttypid
               JOIN LATERAL (WITH RECURSIVE down AS (SELECT t.oid, t.typbasetype, t.typnotnull AS required,
                   CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS mod
                 UNION ALL SELECT p.oid, p.typbasetype, down.required OR p.typnotnull,
                   CASE WHEN down.mod < 0 AND p.typtype = 'd' THEN p.typtypmod ELSE down.mod END
                 FROM pg_type p JOIN down ON p.oid = down.typbasetype)
                 SELECT * FROM down WHERE typbasetype = 0) AS bottom ON true
               JOIN pg_type base ON base.oid = bottom.oid
               LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
               LEFT JOIN pg_collation coll ON coll.oid = a.attcollation
             WHERE {kinds} ORDER BY c.oid, a.attnum"
        ),
        format!(
            "SELECT o.conrelid, o.contype, o.conname, {}, o.confrelid, {}, o.confdeltype, pg_get_constraintdef(o.oid),
                    o.convalidated
             FROM pg_constraint o JOIN {tables} ON c.oid = o.conrelid WHERE o.contype IN ('p', 'u', 'f', 'c')
             ORDER BY o.conrelid, o.oid",
            names("o.conkey", "o.conrelid"),
            names("o.confkey", "o.confrelid"),
        ),
        format!(
            "SELECT x.indrelid, i.relname, x.indisunique, x.indisprimary,
                    x.indpred IS NOT NULL OR NOT x.indisvalid OR method.amname NOT IN ('btree', 'hash'),
                    (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY AS k (attnum, n)
                       LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum AND k.attnum > 0
                      WHERE k.n <= x.indnkeyatts)
             FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am method ON method.oid = i.relam
               JOIN {tables} ON c.oid = x.indrelid ORDER BY x.indexrelid"
        ),
        format!(
            "SELECT g.tgrelid, g.tgname, g.tgenabled, g.tgtype, p.proname, g.tgqual IS NOT NULL
             FROM pg_trigger g JOIN {tables} ON c.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid
             WHERE NOT g.tgisinternal ORDER BY g.tgrelid, g.tgname COLLATE \"C\""
        ),
        "SELECT proname, prosrc, prosecdef, to_json(proconfig) FROM pg_proc
         WHERE proname LIKE '\\_freshql\\_%' AND pg_function_is_visible(oid)"
            .to_owned(),
    ]
}

impl Catalogue {
    /// Reads the schema.
    ///
    /// # Errors
    /// Those of the database.
    pub(in crate::store) fn read(connection: &mut Blocking) -> Result<Self, ClientError> {
        let statements = statements();
        let executes: Vec<Execute<'_>> =
            statements.iter().map(|sql| Execute::text(sql, &[])).collect();
        Ok(Self::of(&connection.flight(&executes)?))
    }

    /// From the rows of [`statements`].
    pub(in crate::store) fn of(rows: &[Rows]) -> Self {
        let [tables, columns, constraints, indexes, triggers, functions] = rows else {
            return Self::default();
        };
        let mut found: BTreeMap<i64, FoundTable> =
            tables.iter().map(|row| FoundTable::read(&row)).map(|t| (t.oid, t)).collect();
        let mut each = |rows: &Rows, add: &dyn Fn(&mut FoundTable, &RowRef<'_>)| {
            for row in rows.iter() {
                if let Some(table) = found.get_mut(&row.int(0).unwrap_or_default()) {
                    add(table, &row);
                }
            }
        };
        each(columns, &|table, row| table.columns.push(FoundColumn::read(row)));
        each(constraints, &|table, row| table.constraints.push(FoundConstraint::read(row)));
        each(indexes, &|table, row| table.indexes.push(FoundIndex::read(row)));
        each(triggers, &|table, row| table.triggers.push(FoundTrigger::read(row)));
        Self {
            tables: found.into_values().collect(),
            functions: functions.iter().map(|row| FoundFunction::read(&row)).collect(),
        }
    }

    /// The table that this unqualified name finds.
    pub(in crate::store) fn table(&self, name: &str) -> Option<&FoundTable> {
        self.tables.iter().find(|table| table.is_visible && table.name == name)
    }

    pub(in crate::store) fn by_oid(&self, oid: i64) -> Option<&FoundTable> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    /// Its partitions and the tables that inherit from it, recursively.
    pub(in crate::store) fn descendants(&self, table: &FoundTable) -> Vec<&FoundTable> {
        let mut all: Vec<&FoundTable> = Vec::new();
        let mut above = vec![table.oid];
        while let Some(oid) = above.pop() {
            for child in self.tables.iter().filter(|child| child.parents.contains(&oid)) {
                // Several ways may lead to it.
                if !all.iter().any(|known| known.oid == child.oid) {
                    above.push(child.oid);
                    all.push(child);
                }
            }
        }
        all
    }

    pub(in crate::store) fn function(&self, name: &str) -> Option<&FoundFunction> {
        self.functions.iter().find(|function| function.name == name)
    }
}

impl FoundTable {
    pub(in crate::store) fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(in crate::store) fn trigger(&self, name: &str) -> Option<&FoundTrigger> {
        self.triggers.iter().find(|trigger| trigger.name == name)
    }

    /// The columns of the primary key.
    pub(in crate::store) fn key(&self) -> &[String] {
        self.constraints
            .iter()
            .find(|constraint| constraint.kind == "p")
            .map_or(&[], |key| &key.columns)
    }

    /// Whether it existed before freshql: the name of a constraint on its version column says so.
    pub(in crate::store) fn is_adopted(&self) -> bool {
        self.constraints.iter().any(|constraint| constraint.name == super::ddl::ADOPTED)
    }

    /// Its name with the schema, as in statements.
    pub(in crate::store) fn qualified(&self) -> String {
        use crate::store::schema::layout::SqlName;
        format!("{}.{}", SqlName::new(&self.schema), SqlName::new(&self.name))
    }
}

impl FoundConstraint {
    /// The SQL after `ON DELETE`. `NO ACTION`, the default, is `RESTRICT` as far as freshql is
    /// concerned: it only checks later.
    pub(in crate::store) fn on_delete_sql(&self) -> &'static str {
        match self.on_delete.as_str() {
            "c" => OnDelete::Cascade.sql(),
            "n" => OnDelete::SetNull.sql(),
            "d" => "SET DEFAULT",
            _ => OnDelete::Restrict.sql(),
        }
    }
}

impl FoundIndex {
    /// Whether rows can be looked up by these columns through this index; if `unique`, at most one.
    pub(in crate::store) fn covers(&self, wanted: &[&str], key: &str, unique: bool) -> bool {
        let columns: Option<Vec<&str>> = self.columns.iter().map(Option::as_deref).collect();
        let Some(columns) = columns.filter(|_| !self.is_partial) else { return false };
        if unique {
            let is_same = columns.len() == wanted.len()
                && wanted.iter().all(|column| columns.contains(column));
            return self.unique && is_same;
        }
        columns.starts_with(wanted) && columns.get(wanted.len()).is_none_or(|next| *next == key)
    }
}

impl FoundColumn {
    /// Whether two values are equal only if their bytes are.
    pub(in crate::store) fn is_compared_by_bytes(&self) -> bool {
        self.is_deterministic && !matches!(self.base.as_str(), "citext" | "bpchar")
    }

    /// Whether rows can be created without a value for it.
    pub(in crate::store) fn may_be_left_out(&self) -> bool {
        !self.not_null || self.default.is_some() || self.is_identity || self.is_generated
    }
}
