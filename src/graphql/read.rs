//! Writes the reading part of an answer directly into bytes, in the order of the answer. Each row's
//! values go from the [`Source`] into the JSON; along the way its version goes into the ETag and
//! its key into the dependencies. A SQLite snapshot is such a source: a relation runs its prepared
//! statement once per parent, since there is no round trip to save in process. For other databases
//! the rows are fetched ahead ([`super::fetch`]).

use super::bound::{Arguments, BoundList, BoundPlan};
use super::cursor;
use super::error::{Code, GraphqlError, MAX_ERRORS, PathSegment};
use super::plan::{
    ConnectionField, ConnectionFieldKind, EdgeField, EdgeFieldKind, ListPlan, NodePlan, Object,
    ObjectFieldKind, OneRow, PageInfoField, ResponseKey, RowPlan,
};
use super::residual::Residual;
use super::unreadable::{self, UnreadableValue};
use crate::config::AnswerLimits;
use crate::dependency::{Dependencies, Dependency, Version};
use crate::etag::{EntityEtagKey, ResponseHasher};
use crate::model::global_id;
use crate::model::scalar::ValueRef;
use crate::model::{Access, ColumnId, EntityId, Model, Scalar, Value};
use crate::store::{Ask, Kept, Query, Row, SlotValue, Source, StoreError, keep};

/// The cost of a row, in SQLite's steps, in addition to those that SQLite counts and to one for
/// each of its fields.
const ROW_STEPS: u32 = 50;

/// Why a field has no result.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Its error is recorded; the nearest enclosing nullable field becomes null.
    Null,
    /// The store failed; there is no answer.
    Store(StoreError),
    /// The answer exceeds a limit; there is no answer.
    Limit(Box<GraphqlError>),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What an answer needs besides its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Names and types.
    pub model: &'a Model,
    /// Indexed by entity.
    pub etag_keys: &'a [EntityEtagKey],
    /// The coerced arguments.
    pub bound: &'a BoundPlan,
    /// The limits of the answer.
    pub limits: AnswerLimits,
}

/// An answer in progress.
pub(crate) struct Reader<'a> {
    context: Context<'a>,
    /// The JSON so far.
    pub out: Vec<u8>,
    /// The ETag's ingredients so far.
    pub hasher: ResponseHasher,
    dependencies: Vec<Dependency>,
    /// Errors in the data with their paths: the first [`MAX_ERRORS`].
    pub errors: Vec<GraphqlError>,
    /// The values in the database that cause them, for the log.
    pub unreadable: Vec<UnreadableValue>,
    path: Vec<Step<'a>>,
    /// The number of rows and lists so far.
    rows: u64,
    /// The number of bytes of the answer that are in other buffers than `out`.
    aside: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A page whose rows have been written.
#[derive(Default)]
struct Page {
    length: usize,
    more: bool,
    start: Cursor,
    end: Cursor,
}

/// The position of a row in its list.
#[derive(Default, Clone)]
struct Cursor {
    text: String,
    /// The column whose value no cursor can hold, and the key of the row.
    unwritten: Option<(ColumnId, Value)>,
}

/// A value of a row in the database.
#[derive(Clone, Copy)]
struct Cell<'r> {
    entity: EntityId,
    column: ColumnId,
    /// The key of the row.
    id: &'r Value,
}

impl<'a> Reader<'a> {
    /// Starts an answer.
    pub(crate) fn new(context: Context<'a>, hasher: ResponseHasher) -> Self {
        let out = Vec::with_capacity(4096);
        // A rule may depend on rows that are not part of the answer.
        let dependencies = context.bound.grants.foreign().cloned().collect();
        Self {
            context,
            out,
            hasher,
            dependencies,
            errors: Vec::new(),
            unreadable: Vec::new(),
            path: Vec::new(),
            rows: 0,
            aside: 0,
        }
    }

    /// Everything that was read.
    pub(crate) fn dependencies(&mut self) -> Dependencies {
        Dependencies { all: std::mem::take(&mut self.dependencies) }
    }

    /// Starts the root field at this index.
    pub(crate) fn begin_root(&mut self, index: usize, key: &'a ResponseKey) {
        if index > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&key.json);
        self.path.clear();
        self.path.push(Step::Key(&key.name));
    }

    /// Ends the answer to a mutation.
    ///
    /// # Errors
    /// A field could not be read. The client must know, and nothing is written.
    pub(crate) fn end_mutation(&mut self) -> Result<(), GraphqlError> {
        match self.errors.drain(..).next() {
            Some(error) => Err(error),
            None => {
                self.out.extend_from_slice(b"}}");
                Ok(())
            }
        }
    }

    /// Inserts a value that comes from the schema instead of the store.
    pub(crate) fn splice(&mut self, json: &str) -> Result<(), ReadError> {
        // The model's fingerprint does not cover descriptions.
        self.hasher.value(json.as_bytes());
        self.out.extend_from_slice(json.as_bytes());
        self.weigh()
    }

    /// One row by the arguments of a root field, or `null`.
    pub(crate) fn one<S: Source>(&mut self, source: &S, plan: &'a OneRow) -> Result<(), ReadError> {
        let Arguments::Keys(keys) = &self.context.bound.arguments[plan.bound] else {
            unreachable!("a look-up's arguments are keys");
        };
        let entity = self.context.model.entity(plan.row.entity);
        let by_key = plan.keys.len() == 1 && plan.keys[0].0 == entity.key;
        let Some(keys) = keys else {
            // No row can have this key, so the answer depends on the variables only.
            self.hasher.missing(plan.row.entity);
            self.null();
            return Ok(());
        };
        if !by_key {
            // Any of the columns could define the part that a matching row would enter; the last
            // one distinguishes most rows.
            let (last, others) = plan.keys.split_last().expect("a look-up has a key");
            self.dependencies.push(Dependency::Part {
                entity: plan.row.entity,
                column: last.0,
                value: keys.last.clone(),
                watching: others
                    .iter()
                    .map(|(column, _)| *column)
                    .chain(self.rule_columns(entity.id))
                    .collect(),
            });
        }
        let (start, aside) = (self.out.len(), self.aside);
        match self.row(source, &plan.row, keys.first.as_ref(), &keys.others) {
            Ok(true) => {}
            Ok(false) => {
                self.hasher.missing(plan.row.entity);
                if by_key {
                    self.dependencies.push(Dependency::Row(plan.row.entity, keys.first.clone()));
                }
                self.null();
            }
            Err(ReadError::Null) => {
                self.out.truncate(start);
                self.aside = aside;
                self.null();
            }
            Err(halt) => return Err(halt),
        }
        Ok(())
    }

    /// The row with this key; false (and nothing is written) if there is none.
    pub(crate) fn row_by_key<S: Source>(
        &mut self,
        source: &S,
        plan: &'a RowPlan,
        key: &Value,
    ) -> Result<bool, ReadError> {
        self.row(source, plan, key.as_ref(), self.context.bound.grants.values(plan.entity))
    }

    /// The columns that decide whether the viewer may read a row.
    fn rule_columns(&self, entity: EntityId) -> impl Iterator<Item = ColumnId> + use<'a> {
        let columns: &[ColumnId] = match self.context.bound.grants.rows(entity, Access::Read) {
            Residual::Rows(rows) => &rows.watching,
            Residual::Everything | Residual::Nothing => &[],
        };
        columns.iter().copied()
    }

    fn row<S: Source>(
        &mut self,
        source: &S,
        plan: &'a RowPlan,
        key: ValueRef<'_>,
        more: &[SlotValue],
    ) -> Result<bool, ReadError> {
        let mut found = false;
        let asked = Ask { place: plan.place, query: &plan.query, parent: key, values: more };
        let done = source.rows(asked, |row| {
            found = true;
            self.count(source)?;
            let (id, version) = self.touch(plan.entity, row);
            self.object(source, &plan.object, row, &id, version)
        });
        done.map_err(|halt| self.incomplete(halt))?;
        Ok(found)
    }

    /// Counts a row or a list.
    fn count<S: Source>(&mut self, source: &S) -> Result<(), ReadError> {
        self.rows += 1;
        if self.rows > self.context.limits.max_rows {
            return Err(self.too_many_rows());
        }
        Ok(source.take_steps(ROW_STEPS)?)
    }

    fn too_many_rows(&self) -> ReadError {
        self.beyond(format!("reads more than {} rows", self.context.limits.max_rows))
    }

    /// Rows that were fetched ahead are incomplete only if there were too many.
    fn incomplete(&self, halt: ReadError) -> ReadError {
        match halt {
            ReadError::Store(StoreError::NotFetched) => self.too_many_rows(),
            halt => halt,
        }
    }

    /// Checks the size of the answer after it has grown.
    #[inline]
    fn weigh(&self) -> Result<(), ReadError> {
        let is_within = self.out.len() + self.aside <= self.context.limits.max_response_bytes;
        if is_within { Ok(()) } else { Err(self.too_many_bytes()) }
    }

    #[cold]
    fn too_many_bytes(&self) -> ReadError {
        self.beyond(format!("has more than {} bytes", self.context.limits.max_response_bytes))
    }

    fn beyond(&self, what: String) -> ReadError {
        let message = format!(
            "the answer {what}, which is the limit; ask for shorter lists, or for fewer within others"
        );
        ReadError::Limit(Box::new(
            GraphqlError::new(Code::QueryTooComplex, message).with_path(self.segments()),
        ))
    }

    /// Continues in another buffer, until it is swapped back.
    fn swap(&mut self, buffer: &mut Vec<u8>) {
        self.aside += self.out.len();
        std::mem::swap(&mut self.out, buffer);
        self.aside -= self.out.len();
    }

    /// Records that this row was read at its version.
    fn touch(&mut self, entity: EntityId, row: &(impl Row + ?Sized)) -> (Value, Version) {
        let id = row.get(0).to_value();
        let version = match row.get(1) {
            ValueRef::Int(version) => Version(version),
            _ => Version(0),
        };
        self.hasher.row(entity, &id, version);
        self.dependencies.push(Dependency::Row(entity, id.clone()));
        (id, version)
    }

    fn object<S: Source>(
        &mut self,
        source: &S,
        object: &'a Object,
        row: &(impl Row + ?Sized),
        id: &Value,
        version: Version,
    ) -> Result<(), ReadError> {
        source.take_steps(u32::try_from(object.fields.len()).unwrap_or(u32::MAX))?;
        self.out.push(b'{');
        for (i, field) in object.fields.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key.json);
            match &field.kind {
                ObjectFieldKind::Value { column, index, scalar, nullable } => {
                    let value = row.get(*index);
                    let written = match value {
                        ValueRef::Null if *nullable => {
                            self.null();
                            Ok(())
                        }
                        ValueRef::Null => {
                            Err("has no value in the database, but is not nullable".to_owned())
                        }
                        // To clients, JSON's null and SQL's are the same.
                        ValueRef::Text(text)
                            if !nullable
                                && *scalar == Scalar::Json
                                && text.trim_ascii() == "null" =>
                        {
                            Err("has null in the database, but is not nullable".to_owned())
                        }
                        value => scalar
                            .write_json(self.context.model, value, &mut self.out)
                            .map_err(|e| e.to_string()),
                    };
                    if let Err(why) = written {
                        let cell = Cell { entity: object.entity, column: *column, id };
                        self.fail(&field.key.name, cell, &why);
                        if !nullable {
                            return Err(ReadError::Null);
                        }
                        self.null();
                    }
                }
                ObjectFieldKind::Id { column, index, scalar, target, nullable } => {
                    let value = row.get(*index);
                    if *nullable && matches!(value, ValueRef::Null) {
                        self.null();
                    } else if let Err(why) = self.id(*scalar, *target, value) {
                        let cell = Cell { entity: object.entity, column: *column, id };
                        self.fail(&field.key.name, cell, &why);
                        if !nullable {
                            return Err(ReadError::Null);
                        }
                        self.null();
                    }
                }
                ObjectFieldKind::Etag => {
                    let etag =
                        self.context.etag_keys[usize::from(object.entity.0)].etag(id, version);
                    self.string(etag.as_str());
                }
                ObjectFieldKind::Typename => {
                    self.string(&self.context.model.entity(object.entity).name);
                }
                ObjectFieldKind::ToOne { column, index, nullable, row: target } => {
                    self.path.push(Step::Key(&field.key.name));
                    let cell = Cell { entity: object.entity, column: *column, id };
                    self.related_row(source, target, row.get(*index), cell, *nullable)?;
                    self.path.pop();
                }
                ObjectFieldKind::ToMany(list) => {
                    self.path.push(Step::Key(&field.key.name));
                    self.connection(source, list, row.get(0))?;
                    self.path.pop();
                }
            }
            self.weigh()?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn related_row<S: Source>(
        &mut self,
        source: &S,
        target: &'a RowPlan,
        key: ValueRef<'_>,
        cell: Cell<'_>,
        nullable: bool,
    ) -> Result<(), ReadError> {
        if let ValueRef::Null = key {
            if nullable {
                self.null();
                return Ok(());
            }
            self.fail_here(cell, "has no value in the database, but is not nullable");
            return Err(ReadError::Null);
        }
        let (start, depth, aside) = (self.out.len(), self.path.len(), self.aside);
        let found = self.row(source, target, key, self.context.bound.grants.values(target.entity));
        let why = match found {
            Ok(true) => return Ok(()),
            Ok(false) => {
                self.hasher.missing(target.entity);
                self.dependencies.push(Dependency::Row(target.entity, key.to_value()));
                if !self.context.model.is_open(target.entity, Access::Read) {
                    // Clients must not learn whether the row does not exist or may not be read.
                    self.out.truncate(start);
                    self.null();
                    return Ok(());
                }
                // A dangling foreign key can only come from a writer that had turned foreign keys
                // off.
                Some("points to a row that does not exist")
            }
            Err(ReadError::Null) => None,
            Err(halt) => return Err(halt),
        };
        self.out.truncate(start);
        self.path.truncate(depth);
        self.aside = aside;
        if let Some(why) = why {
            self.fail_here(cell, why);
        }
        if !nullable {
            return Err(ReadError::Null);
        }
        self.null();
        Ok(())
    }

    /// A list. `parent` is the key that restricts it, if the list has a cut.
    pub(crate) fn connection<S: Source>(
        &mut self,
        source: &S,
        plan: &'a ListPlan,
        parent: ValueRef<'_>,
    ) -> Result<(), ReadError> {
        let Arguments::List(bound) = &self.context.bound.arguments[plan.bound] else {
            unreachable!("a connection's arguments are a list's");
        };
        self.count(source)?;
        self.dependencies.push(match plan.cut {
            Some(column) => Dependency::Part {
                entity: plan.entity,
                column,
                value: parent.to_value(),
                watching: bound.watching.clone(),
            },
            None => bound.whole.clone(),
        });
        self.dependencies.extend_from_slice(&bound.foreign);

        let is_rows = |field: &ConnectionField| {
            matches!(field.kind, ConnectionFieldKind::Nodes(_) | ConnectionFieldKind::Edges(_))
        };
        let is_info =
            |field: &ConnectionField| matches!(field.kind, ConnectionFieldKind::PageInfo(_));
        let rows = plan.fields.iter().filter(|field| is_rows(field)).count();
        let first = plan.fields.iter().find(|field| is_rows(field) || is_info(field));
        // The rows are written in place, unless a field before them needs them, or two fields do.
        let straight = rows == 1 && first.is_some_and(is_rows);

        let (mut page, mut buffers) = (Page::default(), Vec::new());
        let (mut next, mut previous) = (false, false);
        if plan.wants.rows && !straight {
            buffers =
                plan.fields.iter().filter(|field| is_rows(field)).map(|_| Vec::new()).collect();
            page = self.page(source, plan, bound, parent, Some(&mut buffers))?;
            (next, previous) = self.flags(source, plan, bound, parent, &page)?;
        }
        let mut buffers = buffers.into_iter();
        self.out.push(b'{');
        for (i, field) in plan.fields.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key.json);
            match &field.kind {
                ConnectionFieldKind::Typename(json) => self.out.extend_from_slice(json),
                ConnectionFieldKind::Nodes(_) | ConnectionFieldKind::Edges(_) => {
                    self.out.push(b'[');
                    if straight {
                        self.path.push(Step::Key(&field.key.name));
                        page = self.page(source, plan, bound, parent, None)?;
                        self.path.pop();
                        (next, previous) = self.flags(source, plan, bound, parent, &page)?;
                    } else if let Some(buffer) = buffers.next() {
                        self.aside -= buffer.len();
                        self.out.extend_from_slice(&buffer);
                    }
                    self.out.push(b']');
                }
                ConnectionFieldKind::PageInfo(fields) => {
                    self.path.push(Step::Key(&field.key.name));
                    self.out.push(b'{');
                    for (i, (key, field)) in fields.iter().enumerate() {
                        if i > 0 {
                            self.out.push(b',');
                        }
                        self.out.extend_from_slice(&key.json);
                        match field {
                            PageInfoField::Typename => self.out.extend_from_slice(b"\"PageInfo\""),
                            PageInfoField::HasNextPage => self.boolean(next),
                            PageInfoField::HasPreviousPage => self.boolean(previous),
                            PageInfoField::StartCursor | PageInfoField::EndCursor
                                if page.length == 0 =>
                            {
                                self.null()
                            }
                            PageInfoField::StartCursor | PageInfoField::EndCursor => {
                                let is_start = matches!(field, PageInfoField::StartCursor);
                                let cursor = if is_start { &page.start } else { &page.end };
                                if !self.cursor(&key.name, plan.entity, cursor) {
                                    self.null();
                                }
                            }
                        }
                        self.weigh()?;
                    }
                    self.out.push(b'}');
                    self.path.pop();
                }
                ConnectionFieldKind::TotalCount => {
                    let asked = ask(plan, bound, parent, ListPlan::COUNT, &bound.queries.count);
                    let count =
                        source.integer(asked).map_err(|error| self.incomplete(error.into()))?;
                    self.hasher.total(count);
                    self.integer(count);
                }
            }
            self.weigh()?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Reads the rows of a page: into `out` if one field selects them, otherwise into one buffer
    /// per field.
    fn page<S: Source>(
        &mut self,
        source: &S,
        plan: &'a ListPlan,
        bound: &'a BoundList,
        parent: ValueRef<'_>,
        mut buffers: Option<&mut Vec<Vec<u8>>>,
    ) -> Result<Page, ReadError> {
        let asked = ask(plan, bound, parent, ListPlan::PAGE, &bound.queries.page);
        let mut page = Page::default();
        if bound.queries.list.backward {
            // The rows come in reverse, from the end of the list.
            let width = bound.columns.len() + 2;
            let mut kept: Vec<Vec<Kept>> = Vec::with_capacity(bound.size + 1);
            let before = self.aside;
            let done = source.rows(asked, |row| {
                let mut copy = |value: ValueRef<'_>| {
                    if let ValueRef::Text(text) = value {
                        self.aside += text.len();
                    }
                    keep(value)
                };
                kept.push((0..width).map(|i| copy(row.get(i))).collect());
                self.weigh()
            });
            done.map_err(|halt| self.incomplete(halt))?;
            let kept_bytes = self.aside - before;
            page.more = kept.len() > bound.size;
            kept.truncate(bound.size);
            for values in kept.iter().rev() {
                self.page_row(
                    source,
                    plan,
                    bound,
                    values.as_slice(),
                    &mut page,
                    buffers.as_deref_mut(),
                )?;
            }
            self.aside -= kept_bytes;
        } else {
            let done = source.rows(asked, |row| {
                if page.length == bound.size {
                    page.more = true;
                    return Ok(());
                }
                self.page_row(source, plan, bound, row, &mut page, buffers.as_deref_mut())
            });
            done.map_err(|halt| self.incomplete(halt))?;
        }
        Ok(page)
    }

    fn page_row<S: Source>(
        &mut self,
        source: &S,
        plan: &'a ListPlan,
        bound: &'a BoundList,
        row: &(impl Row + ?Sized),
        page: &mut Page,
        mut buffers: Option<&mut Vec<Vec<u8>>>,
    ) -> Result<(), ReadError> {
        self.count(source)?;
        let (id, version) = self.touch(plan.entity, row);
        if plan.wants.cursors {
            page.end.text.clear();
            let of = self.context.model.entity(plan.entity);
            // Key and version come before the other columns.
            let column =
                |index: usize| index.checked_sub(2).map_or(of.key, |index| bound.columns[index]);
            let values = bound.cursor.iter().map(|index| (column(*index), row.get(*index)));
            let encoded = cursor::encode(bound.ordering, of, values, &mut page.end.text);
            page.end.unwritten = encoded.err().map(|column| (column, id.clone()));
            if page.length == 0 {
                page.start.clone_from(&page.end);
            }
        }
        let mut number = 0;
        for field in &plan.fields {
            if !matches!(field.kind, ConnectionFieldKind::Nodes(_) | ConnectionFieldKind::Edges(_))
            {
                continue;
            }
            if let Some(buffers) = &mut buffers {
                self.swap(&mut buffers[number]);
                self.path.push(Step::Key(&field.key.name));
            }
            if page.length > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(page.length));
            let written = match &field.kind {
                ConnectionFieldKind::Nodes(object) => {
                    self.object(source, object, row, &id, version)
                }
                ConnectionFieldKind::Edges(fields) => {
                    self.edge(source, fields, (plan.entity, row), &id, version, &page.end)
                }
                _ => Ok(()),
            };
            if let Some(buffers) = &mut buffers {
                self.swap(&mut buffers[number]);
                number += 1;
            }
            written?;
            self.path.pop();
            if buffers.is_some() {
                self.path.pop();
            }
        }
        page.length += 1;
        Ok(())
    }

    fn edge<S: Source>(
        &mut self,
        source: &S,
        fields: &'a [EdgeField],
        (entity, row): (EntityId, &(impl Row + ?Sized)),
        id: &Value,
        version: Version,
        cursor: &Cursor,
    ) -> Result<(), ReadError> {
        self.out.push(b'{');
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key.json);
            match &field.kind {
                EdgeFieldKind::Typename(json) => self.out.extend_from_slice(json),
                EdgeFieldKind::Cursor => {
                    if !self.cursor(&field.key.name, entity, cursor) {
                        return Err(ReadError::Null);
                    }
                }
                EdgeFieldKind::Node(object) => {
                    self.path.push(Step::Key(&field.key.name));
                    self.object(source, object, row, id, version)?;
                    self.path.pop();
                }
            }
            self.weigh()?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Whether rows follow and precede this page, if that was requested; both go into the ETag.
    fn flags<S: Source>(
        &mut self,
        source: &S,
        plan: &'a ListPlan,
        bound: &'a BoundList,
        parent: ValueRef<'_>,
        page: &Page,
    ) -> Result<(bool, bool), ReadError> {
        let flag = |wanted: bool, more: bool, beyond: &'a Option<Query>, place: usize| match beyond
        {
            _ if !wanted => Ok::<_, StoreError>(false),
            _ if more => Ok(true),
            None => Ok(false),
            Some(query) => Ok(source.integer(ask(plan, bound, parent, place, query))? != 0),
        };
        let (queries, backward) = (&bound.queries, bound.queries.list.backward);
        let next =
            flag(plan.wants.next, !backward && page.more, &queries.any_behind, ListPlan::BEHIND);
        let previous = flag(
            plan.wants.previous,
            backward && page.more,
            &queries.any_in_front,
            ListPlan::IN_FRONT,
        );
        let (next, previous) =
            next.and_then(|next| Ok((next, previous?))).map_err(|e| self.incomplete(e.into()))?;
        self.hasher.list(
            page.length,
            plan.wants.next.then_some(next),
            plan.wants.previous.then_some(previous),
        );
        Ok((next, previous))
    }

    /// A key as the global id of its row.
    fn id(&mut self, scalar: Scalar, target: EntityId, value: ValueRef<'_>) -> Result<(), String> {
        if let ValueRef::Null = value {
            return Err("has no value in the database, but is not nullable".to_owned());
        }
        let mut json = Vec::with_capacity(40);
        scalar
            .write_json(self.context.model, value, &mut json)
            .map_err(|error| error.to_string())?;
        let key: String = serde_json::from_slice(&json).expect("an id is written as a string");
        self.string(&global_id::encode(&self.context.model.entity(target).name, &key));
        Ok(())
    }

    /// Rows of any type by their ids.
    pub(crate) fn nodes<S: Source>(
        &mut self,
        source: &S,
        plan: &'a NodePlan,
    ) -> Result<(), ReadError> {
        let Arguments::Nodes(keys) = &self.context.bound.arguments[plan.bound] else {
            unreachable!("the arguments of nodes are ids");
        };
        if !plan.is_list {
            return keys.iter().try_for_each(|(at, key)| self.node(source, &plan.rows[*at], key));
        }
        self.count(source)?;
        self.out.push(b'[');
        for (i, (at, key)) in keys.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(i));
            self.node(source, &plan.rows[*at], key)?;
            self.path.pop();
            self.weigh()?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// A row, or `null` if it does not exist or cannot be read.
    fn node<S: Source>(
        &mut self,
        source: &S,
        plan: &'a RowPlan,
        key: &Value,
    ) -> Result<(), ReadError> {
        let (start, depth, aside) = (self.out.len(), self.path.len(), self.aside);
        match self.row(source, plan, key.as_ref(), self.context.bound.grants.values(plan.entity)) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                self.hasher.missing(plan.entity);
                self.dependencies.push(Dependency::Row(plan.entity, key.clone()));
            }
            Err(ReadError::Null) => {
                self.out.truncate(start);
                self.path.truncate(depth);
                self.aside = aside;
            }
            Err(halt) => return Err(halt),
        }
        self.null();
        Ok(())
    }

    /// Writes a cursor; false if it has none, which is an error of this field.
    fn cursor(&mut self, field: &'a str, entity: EntityId, cursor: &Cursor) -> bool {
        let Some((column, id)) = &cursor.unwritten else {
            self.string(&cursor.text);
            return true;
        };
        let name = &self.context.model.entity(entity).column(*column).field;
        let why = format!(
            "cannot be written, because {name}, which orders the list, has a value in the database \
             that its type does not have"
        );
        self.fail(field, Cell { entity, column: *column, id }, &why);
        false
    }

    fn fail(&mut self, key: &'a str, cell: Cell<'_>, why: &str) {
        self.path.push(Step::Key(key));
        self.fail_here(cell, why);
        self.path.pop();
    }

    /// The current path in the answer.
    fn segments(&self) -> Vec<PathSegment> {
        let path = self.path.iter().map(|step| match step {
            Step::Key(key) => PathSegment::Key((*key).to_owned()),
            Step::Index(index) => PathSegment::Index(*index),
        });
        path.collect()
    }

    fn fail_here(&mut self, cell: Cell<'_>, why: &str) {
        if self.errors.len() == MAX_ERRORS {
            return;
        }
        let path = self.segments();
        let field = path.iter().rev().find_map(|step| match step {
            PathSegment::Key(key) => Some(key.as_str()),
            PathSegment::Index(_) => None,
        });
        let model = self.context.model;
        let error = unreadable::error(model, cell.entity, cell.id, field.unwrap_or_default(), why);
        let value = UnreadableValue::new(model, cell.entity, cell.column, cell.id, why);
        self.errors.push(error.with_path(path).because(value.clone()));
        self.unreadable.push(value);
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A string that needs no escapes: names and tokens.
    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }
}

/// The query at one of a list's places.
fn ask<'b>(
    plan: &ListPlan,
    bound: &'b BoundList,
    parent: ValueRef<'b>,
    place: usize,
    query: &'b Query,
) -> Ask<'b> {
    Ask { place: plan.place + place, query, parent, values: &bound.values }
}
