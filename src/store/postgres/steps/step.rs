//! The statements of one field of a mutation.

use std::sync::Arc;

use super::flight::{Call, Gives, Text, Values};
use super::{Run, Stop};
use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, Entity, Value};
use crate::store::postgres::ahead;
use crate::store::postgres::client::Analysed;
use crate::store::postgres::guarded::{self, At, Guarded, GuardedStatement, TableWatch};
use crate::store::postgres::transaction::id_text;
use crate::store::postgres::values::{Encoded, encode};
use crate::store::reading::Levels;
use crate::store::select::Shape;
use crate::store::source::Wanted;
use crate::store::statement::{Parameter, Statement};
use crate::store::steps::{Change, Expects, Rules, Step};

fn columns(row: &[(ColumnId, Value)]) -> Vec<ColumnId> {
    row.iter().map(|(id, _)| *id).collect()
}

/// Versions as PostgreSQL writes an array of them.
fn array_text(versions: &[Version]) -> String {
    let numbers: Vec<String> = versions.iter().map(|version| version.0.to_string()).collect();
    format!("{{{}}}", numbers.join(","))
}

impl<'w> Run<'w, '_> {
    pub(super) async fn step<L: Levels<'w>>(&mut self, step: Step<'w, L>) -> Result<(), Stop> {
        let Step { entity, key, change, rules, answer } = step;
        self.keys.push(key.clone().unwrap_or(Value::Null));
        match (change, key) {
            (Change::Insert(row), key) => self.insert(entity, key, &row, &rules, answer).await,
            (Change::Update(expects, row), Some(key)) => {
                let values = Values::new(entity, &key, &row);
                let is_simple = rules.before.is_empty() && rules.either.is_empty();
                if is_simple && !matches!(expects, Expects::OneOf(_)) {
                    return self.update(values, &expects, answer(&key)).await;
                }
                self.lock(entity, &key, &expects, &rules)?;
                self.guarded(&values, Guarded::UpdateLocked(columns(&row)))?;
                self.check_left(entity, &key, &rules)?;
                self.answer_all(answer(&key)).await
            }
            (Change::Delete(expects), Some(key)) => {
                self.lock(entity, &key, &expects, &rules)?;
                self.answer_all(answer(&key)).await?;
                let values = Values::new(entity, &key, &[]);
                self.guarded(&values, Guarded::Delete)?;
                self.guarded(&values, Guarded::Gone)
            }
            (Change::Update(..) | Change::Delete(_), None) => Err(Stop::InTheWay),
        }
    }

    /// Creates a row. If the database gives it its key, and the statement that creates it cannot
    /// return all that is needed of it, the key has to be waited for: what is read or compared by
    /// it follows in another flight.
    async fn insert<L: Levels<'w>>(
        &mut self,
        entity: &'w Entity,
        key: Option<Value>,
        row: &[(ColumnId, Value)],
        rules: &Rules,
        answer: impl Fn(&Value) -> L,
    ) -> Result<(), Stop> {
        if !rules.before.is_empty() {
            // What follows creates the row whatever this finds, so it must fail, and the server
            // logs that.
            let (required, slots) = guarded::before(rules, &Value::Null);
            let values = Values { rules: &slots, ..Values::new(entity, &Value::Null, &[]) };
            self.guarded(&values, Guarded::BeforeNew(required))?;
        }
        if let Some(key) = key {
            self.guarded(&Values::new(entity, &key, row), Guarded::Insert(columns(row)))?;
            self.check_left(entity, &key, rules)?;
            return self.answer_all(answer(&key)).await;
        }
        let values = Values::new(entity, &Value::Null, row);
        if rules.either.is_empty() {
            let mut answer = answer(&Value::Null);
            let mut first = answer.next(&self.fetched);
            if let Some(read) = self.returned(entity, &first, &answer) {
                let whole = Guarded::New(columns(row), Some(read));
                // Rolling back to check first would use up the keys that earlier fields were given.
                if !self.is_open || self.can_rely(entity, &whole) {
                    return self.whole_row(&values, whole, first.remove(0));
                }
            }
        }
        self.guarded(&values, Guarded::New(columns(row), None))?;
        self.flush().await?;
        let key = self.keys.last().cloned().unwrap_or(Value::Null);
        if key == Value::Null {
            return Err(Stop::InTheWay);
        }
        self.check_left(entity, &key, rules)?;
        self.answer_all(answer(&key)).await
    }

    async fn update<L: Levels<'w>>(
        &mut self,
        values: Values<'_>,
        expects: &Expects,
        mut answer: L,
    ) -> Result<(), Stop> {
        let version = match expects {
            Expects::One(version) => Some(*version),
            Expects::Any | Expects::OneOf(_) => None,
        };
        let values = Values {
            version: version.map_or(ValueRef::Null, |version| ValueRef::Int(version.0)),
            ..values
        };
        let columns = columns(values.row);
        let mut first = answer.next(&self.fetched);
        if self.is_alone
            && let Some(read) = self.returned(values.entity, &first, &answer)
        {
            let whole = Guarded::Whole(columns, version.is_some(), read);
            let omits_identity = guarded::omits_identity(&whole, self.watch(values.entity));
            self.whole_row(&values, whole, first.remove(0))?;
            if self.frame.is_checked && omits_identity {
                // The connection may run it for the first time, in any database. Not before it: it
                // may have to wait for a migration.
                self.guarded(&values, Guarded::Same)?;
            }
            return Ok(());
        }
        self.guarded(&values, Guarded::Update(columns, version.is_some()))?;
        self.answer(first, answer).await
    }

    /// Locks a row that is to be changed, at the expected version, and checks what rules require of
    /// it.
    fn lock(
        &mut self,
        entity: &'w Entity,
        key: &Value,
        expects: &Expects,
        rules: &Rules,
    ) -> Result<(), Stop> {
        let (required, slots) = guarded::before(rules, key);
        let mut values = Values { rules: &slots, ..Values::new(entity, key, &[]) };
        let at = match expects {
            Expects::Any => At::Any,
            Expects::One(version) => {
                values.version = ValueRef::Int(version.0);
                At::One
            }
            Expects::OneOf(versions) => {
                values.versions = versions;
                At::Several
            }
        };
        let is_required = !required.is_empty();
        self.guarded(&values, Guarded::Lock(at, required.clone()))?;
        if is_required {
            self.guarded(&values, Guarded::Before(required))?;
        }
        Ok(())
    }

    /// Checks what rules require of a row that was written.
    fn check_left(&mut self, entity: &'w Entity, key: &Value, rules: &Rules) -> Result<(), Stop> {
        let Some((required, slots)) = guarded::after(rules, key) else { return Ok(()) };
        let values = Values { rules: &slots, ..Values::new(entity, key, &[]) };
        self.guarded(&values, Guarded::After(required))
    }

    async fn answer_all<L: Levels<'w>>(&mut self, mut answer: L) -> Result<(), Stop> {
        let first = answer.next(&self.fetched);
        self.answer(first, answer).await
    }

    /// The columns of the row that the answer needs, if it needs nothing else, and the statement
    /// that writes the row can return them in a form that can be shown.
    fn returned<L: Levels<'w>>(
        &self,
        entity: &Entity,
        first: &[Wanted<'w>],
        answer: &L,
    ) -> Option<Vec<ColumnId>> {
        let read = self.only_row(entity, first)?;
        let sound = first[0].query.sound(|shape| guarded::sound(self.frame.model, shape));
        (!answer.may_go_on() && sound.is_some() && self.rows < answer.most_rows()).then_some(read)
    }

    /// The columns of the row that the answer needs, if it needs nothing else, and if the statement
    /// that changes the row can return them: nothing changes the row after that statement, and this
    /// is known, or the statement will notice if it is wrong.
    fn only_row(&self, entity: &Entity, first: &[Wanted<'w>]) -> Option<Vec<ColumnId>> {
        let [wanted] = first else { return None };
        let Shape::Row { from, keys, columns } = wanted.query.shape() else { return None };
        let is_known = self.frame.is_checked || self.watch(entity).is_some();
        let is_by_key =
            from.entity() == entity.id && from.only().is_none() && **keys == [entity.key];
        let is_plain = self.frame.schema.is_plain(entity.id);
        (is_known && is_by_key && is_plain).then(|| columns.to_vec())
    }

    /// How a statement notices that the entity's table was altered, if it can.
    fn watch(&self, entity: &Entity) -> Option<&TableWatch> {
        // A statement that is not prepared is analysed every time.
        if self.frame.pooled { None } else { self.frame.schema.watch(entity.id) }
    }

    /// Whether this statement, which relies on the known state of its table, can be sent without a
    /// check before it.
    fn can_rely(&self, entity: &Entity, guarded: &Guarded) -> bool {
        let is_known = |statement: &GuardedStatement| {
            let analysed = self.connection.analysed(&statement.statement.sql);
            analysed.is_some_and(|analysed| self.frame.feed.has_checked_since(analysed.checks))
        };
        self.frame.is_checked || (*self.statement(entity, guarded)).as_ref().is_some_and(is_known)
    }

    fn guarded(&mut self, values: &Values<'_>, guarded: Guarded) -> Result<(), Stop> {
        let kept = self.statement(values.entity, &guarded);
        let Some(statement) = &*kept else { return Err(Stop::InTheWay) };
        let gives = match guarded {
            Guarded::New(..) => Gives::Key(self.keys.len() - 1),
            _ if statement.analysed => Gives::Analysed,
            _ => Gives::Verdict,
        };
        self.call(values, &guarded, statement, gives)
    }

    /// Changes or creates a row by the statement that also returns it.
    fn whole_row(
        &mut self,
        values: &Values<'_>,
        whole: Guarded,
        wanted: Wanted<'w>,
    ) -> Result<(), Stop> {
        let kept = self.statement(values.entity, &whole);
        let Some(statement) = &*kept else { return Err(Stop::InTheWay) };
        self.rows += 1;
        let read = ahead::statement(self.frame.model, &wanted);
        let at = self.flight.want(wanted, read);
        let gives = match whole {
            Guarded::New(..) => Gives::New(at, statement.analysed, self.keys.len() - 1),
            _ => Gives::Whole(at, statement.analysed),
        };
        self.call(values, &whole, statement, gives)
    }

    fn statement(&self, entity: &Entity, guarded: &Guarded) -> Arc<Option<GuardedStatement>> {
        let schema = self.frame.schema;
        let watch = self.watch(entity);
        let render = || guarded::statement(self.frame.model, entity, guarded, watch);
        schema.statements.get(entity.id, guarded.clone(), render)
    }

    fn call(
        &mut self,
        values: &Values<'_>,
        guarded: &Guarded,
        statement: &GuardedStatement,
        gives: Gives,
    ) -> Result<(), Stop> {
        let schema = self.frame.schema;
        let Statement { sql, parameters, .. } = &statement.statement;
        let own = parameters.iter().map(|place| encode(values.of(place.slot), place.ty));
        let mut all: Vec<Encoded> = own.collect();
        if statement.identity {
            all.extend([&schema.epoch, &schema.history].map(|text| Encoded::Text(text.clone())));
        }
        if statement.may_be_nothing {
            all.push(Encoded::Binary(vec![u8::from(self.is_alone)]));
        }
        let analysed = self.analysed(guarded, statement)?;
        all.extend(statement.analysed.then_some(analysed));
        all.extend(statement.key.then(|| Encoded::Text(id_text(values.key))));
        all.extend(statement.versions.then(|| Encoded::Text(array_text(values.versions))));
        let of_rules = |place: &Parameter| match values.rules.get(usize::from(place.slot)) {
            Some(value) => ahead::slot_value(value, place.ty),
            None => Encoded::Null,
        };
        all.extend(statement.rules.iter().map(of_rules));
        self.flight.push(Call {
            text: Text::Of(sql.clone()),
            parameters: all,
            gives,
            is_bounded: statement.most_bytes,
        });
        Ok(())
    }

    /// When a statement was analysed while the table that it relies on was in the known state: a
    /// later check has ended, so all alterations until then are known, and the statement notices
    /// later ones. NULL if a check replaces this.
    fn analysed(
        &mut self,
        guarded: &Guarded,
        statement: &GuardedStatement,
    ) -> Result<Encoded, Stop> {
        let is_known = |analysed: &Analysed| self.frame.feed.has_checked_since(analysed.checks);
        let kept = self.connection.analysed(&statement.statement.sql);
        match kept.filter(|analysed| statement.analysed && is_known(analysed)) {
            Some(analysed) if !self.frame.is_checked && self.frame.is_current() => {
                self.relies = true;
                Ok(Encoded::Binary(analysed.at.to_be_bytes().to_vec()))
            }
            _ if self.frame.is_checked || !guarded::rests_on_table(guarded) => {
                self.is_unconfirmed |= guarded::compares_version(guarded);
                Ok(Encoded::Null)
            }
            _ => Err(Stop::Unchecked),
        }
    }
}
