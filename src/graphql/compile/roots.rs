//! The root fields of the generated API by name, built once per model.

use std::collections::HashMap;

use crate::graphql::plan::Action;
use crate::model::{ColumnId, EntityId, Model, generated};

/// The meaning of each root field of the generated API, by name.
#[derive(Debug)]
pub(crate) struct Roots {
    pub(super) query: HashMap<String, QueryField>,
    pub(super) mutation: HashMap<String, (Action, EntityId)>,
}

#[derive(Debug)]
pub(super) enum QueryField {
    /// One row, by these arguments and their columns.
    One(EntityId, Vec<(String, ColumnId)>),
    /// All rows.
    List(EntityId),
    /// Rows of any type by their global ids.
    Node { is_list: bool },
}

impl Roots {
    /// The root fields of this model's API.
    pub(crate) fn of(model: &Model) -> Self {
        let (mut query, mut mutation) = (HashMap::new(), HashMap::new());
        for entity in &model.entities {
            let argument = |id: &ColumnId| (entity.column(*id).field.clone(), *id);
            query.insert(
                entity.singular.clone(),
                QueryField::One(entity.id, vec![argument(&entity.key)]),
            );
            query.insert(entity.plural.clone(), QueryField::List(entity.id));
            for unique in &entity.uniques {
                let keys = unique.columns.iter().map(argument).collect();
                query.insert(unique.lookup.clone(), QueryField::One(entity.id, keys));
            }
            mutation.insert(generated::create(&entity.name), (Action::Create, entity.id));
            mutation.insert(generated::update(&entity.name), (Action::Update, entity.id));
            mutation.insert(generated::delete(&entity.name), (Action::Delete, entity.id));
        }
        if model.nodes().next().is_some() {
            query.insert("node".to_owned(), QueryField::Node { is_list: false });
            query.insert("nodes".to_owned(), QueryField::Node { is_list: true });
        }
        Self { query, mutation }
    }
}
