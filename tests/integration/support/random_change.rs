//! Random changes to random models, as between two releases.

use crate::random_choices::Choices;
use crate::random_model::{DEFAULTS, Default, Kind, RandomEntity, RandomModel};

impl RandomModel {
    /// Makes one change.
    pub(crate) fn change(&mut self, choices: &mut Choices<'_>) {
        for _ in 0..1 + choices.below(4) {
            self.change_once(choices);
        }
    }

    fn change_once(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(self.entities.len());
        match choices.below(12) {
            0 | 1 => {
                let kind = self.kind(choices);
                self.add_field_of(at, kind, choices);
            }
            2 => self.add_entity(choices),
            3 if self.entities.len() > 1 => {
                let gone = self.entities.remove(at).name;
                let points =
                    |kind: &Kind| matches!(kind, Kind::Relation(target, _) if *target == gone);
                for entity in &mut self.entities {
                    let fields: Vec<String> = entity
                        .fields
                        .iter()
                        .filter(|f| points(&f.kind))
                        .map(|f| f.name.clone())
                        .collect();
                    fields.iter().for_each(|field| entity.forget(field));
                }
            }
            4 if self.entities[at].fields.len() > 1 => {
                let entity = &mut self.entities[at];
                let field = entity.fields[1 + choices.below(entity.fields.len() - 1)].name.clone();
                entity.forget(&field);
            }
            5 => {
                let value = self.plain_name("VALUE_");
                if let Some(changed) = self.enums.last_mut() {
                    if changed.values.len() > 1 && choices.one_in(3) {
                        changed.values.pop();
                    } else {
                        changed.values.push(value);
                    }
                }
            }
            6 => self.cut(at, choices, true),
            7 => self.cut(at, choices, false),
            _ => self.change_field(at, choices),
        }
    }

    fn change_field(&mut self, at: usize, choices: &mut Choices<'_>) {
        if self.entities[at].fields.is_empty() {
            return;
        }
        let which = choices.below(self.entities[at].fields.len());
        let change = choices.below(8);
        let kind = if change == 7 { self.kind(choices) } else { Kind::Scalar("String") };
        let entity = &mut self.entities[at];
        let field = &mut entity.fields[which];
        let is_relation = matches!(field.kind, Kind::Relation(..));
        let can_cut = field.kind != Kind::Scalar("JSON");
        match change {
            0 | 1 if !is_relation => {
                field.default = *choices.of(&DEFAULTS);
                field.readonly &= field.default != Default::None;
            }
            2 | 3 if !is_relation && which > 0 => {
                field.nullable = !field.nullable;
                field.readonly &= field.default != Default::None;
            }
            2 | 3 => field.nullable = true,
            4 if can_cut => {
                field.unique = !field.unique;
                field.index = false;
            }
            5 if can_cut && !field.unique => field.index = !field.index,
            6 => {
                if let Kind::Relation(_, on_delete) = &mut field.kind {
                    *on_delete = *choices.of(if field.nullable {
                        &["SET_NULL", "CASCADE"]
                    } else {
                        &["RESTRICT", "CASCADE"]
                    });
                }
            }
            // Changes the type under the same name: neither from nor to a relation, whose column
            // has another name.
            7 if which > 0 && !is_relation && !matches!(kind, Kind::Relation(..)) && can_cut => {
                let name = field.name.clone();
                if kind == Kind::Scalar("JSON") {
                    (field.unique, field.index) = (false, false);
                    entity.forget_cuts(&name);
                }
                entity.fields[which].kind = kind;
            }
            _ => {}
        }
    }
}

impl RandomEntity {
    fn forget(&mut self, field: &str) {
        self.fields.retain(|known| known.name != field);
        self.forget_cuts(field);
    }

    /// Removes what lists are filtered and ordered by.
    fn forget_cuts(&mut self, field: &str) {
        self.uniques.retain(|names| names.iter().all(|known| known != field));
        self.indexes.retain(|names| names.iter().all(|known| known != field));
        self.order_by.retain(|(known, _)| known != field);
    }
}
