//! Introspection, alone and next to data fields. This file cuts what an operation selects of
//! `__schema` and `__type` out of it, merges it and resolves fragments, directives and variables,
//! because async-graphql's executor gets these wrong. Only then is it passed to that executor. The
//! caller inserts the results into its data by their response keys, and decides whether
//! introspection is allowed.

use std::collections::{BTreeMap, HashMap};

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, InlineFragment, OperationDefinition,
    OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Request, Value as ConstValue};
use async_graphql_value::Value;
use serde_json::value::RawValue;

use super::error::{Code, GraphqlError};
use super::parsed;
use super::schema::Api;
use super::selections::{self, Fragments, Selected, resolve};

/// What one operation selects of the schema.
#[derive(Debug, Clone)]
pub(crate) struct Introspection {
    /// The root selection without data fields; the fragments of the root are inlined.
    selection: SelectionSet,
    /// The fragments that the selection still needs.
    fragments: Fragments,
    /// The defaults of the variables.
    defaults: HashMap<Name, ConstValue>,
}

impl Introspection {
    /// Cuts the introspection out of a validated document, from the operation with this name or the
    /// only one. None if the operation does not query the schema, or is not a query.
    pub(crate) fn of(document: &ExecutableDocument, operation_name: Option<&str>) -> Option<Self> {
        let operation = parsed::operation(document, operation_name)?;
        if operation.ty != OperationType::Query {
            return None;
        }
        let selection = cut(document, &operation.selection_set.node);
        if selection.items.is_empty() {
            return None;
        }
        let mut fragments = HashMap::new();
        keep_needed(document, &selection, &mut fragments);
        let variables = operation.variable_definitions.iter();
        let defaults = variables.filter_map(|variable| {
            let default = variable.node.default_value.as_ref()?;
            Some((variable.node.name.node.clone(), default.node.clone()))
        });
        Some(Self { selection, fragments, defaults: defaults.collect() })
    }

    /// Runs it: response key to JSON. A field that `@skip` or `@include` excludes is not in the
    /// answer.
    ///
    /// # Errors
    /// async-graphql refused it; after validation, that is a bug.
    pub(crate) async fn run(
        &self,
        api: &Api,
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<BTreeMap<String, Box<RawValue>>, Vec<GraphqlError>> {
        let merged = self.merge(&[&self.selection], variables);
        if merged.items.is_empty() {
            return Ok(BTreeMap::new());
        }
        let descriptions = descriptions(&merged);
        let operation = OperationDefinition {
            ty: OperationType::Query,
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: unplaced(merged),
        };
        let mut request = Request::new("");
        request.set_parsed_query(ExecutableDocument {
            operations: DocumentOperations::Single(unplaced(operation)),
            fragments: HashMap::new(),
        });
        let response = api.introspection.execute(request).await;
        if !response.errors.is_empty() {
            return Err(response.errors.into_iter().map(internal).collect());
        }
        let ConstValue::Object(mut data) = response.data else { return Ok(BTreeMap::new()) };
        for (schema, description) in &descriptions {
            if let Some(ConstValue::Object(members)) = data.get_mut(schema) {
                members.insert(description.clone(), ConstValue::Null);
            }
        }
        let members =
            data.into_iter().map(|(key, value)| match serde_json::value::to_raw_value(&value) {
                Ok(json) => Ok((key.to_string(), json)),
                Err(error) => {
                    Err(vec![GraphqlError::new(Code::InternalServerError, error.to_string())])
                }
            });
        members.collect()
    }

    /// Merges the selection sets of one object, without fragments, directives and variables.
    fn merge(
        &self,
        sets: &[&SelectionSet],
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> SelectionSet {
        let by_key = selections::collect(&self.fragments, sets, None, |directives| {
            !self.is_left_out(directives, variables)
        });
        let fields = by_key.into_values().filter_map(|same| {
            let first = *same.first()?;
            let inner: Vec<_> = same.iter().map(|field| &field.node.selection_set.node).collect();
            let field = Field {
                alias: first.node.alias.clone(),
                name: first.node.name.clone(),
                arguments: self.constant_arguments(&first.node, variables),
                directives: Vec::new(),
                selection_set: unplaced(self.merge(&inner, variables)),
            };
            Some(Positioned::new(Selection::Field(Positioned::new(field, first.pos)), first.pos))
        });
        SelectionSet { items: fields.collect() }
    }

    fn is_left_out(
        &self,
        directives: &[Positioned<Directive>],
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> bool {
        directives.iter().any(|directive| {
            let leaves_out_if = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = directive
                .node
                .get_argument("if")
                .and_then(|value| self.constant(&value.node, variables));
            condition == Some(ConstValue::Boolean(leaves_out_if))
        })
    }

    fn constant_arguments(
        &self,
        field: &Field,
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> Vec<(Positioned<Name>, Positioned<Value>)> {
        let arguments = field.arguments.iter().filter_map(|(name, value)| {
            let constant = self.constant(&value.node, variables)?;
            Some((name.clone(), value.position_node(constant.into_value())))
        });
        arguments.collect()
    }

    /// None for a variable that was not given.
    fn constant(
        &self,
        value: &Value,
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> Option<ConstValue> {
        let constant = value.clone().into_const_with(|name| match variables.get(name.as_str()) {
            Some(given) => Ok(crate::syntax::from_json(given)),
            None => self.defaults.get(&name).cloned().ok_or(()),
        });
        constant.ok()
    }
}

/// The root selection reduced to `__schema` and `__type`. Fragments become inline fragments and
/// keep their directives.
fn cut(document: &ExecutableDocument, set: &SelectionSet) -> SelectionSet {
    let items = set.items.iter().filter_map(|selection| {
        let fragment = match resolve(&document.fragments, &selection.node)? {
            Selected::Field(field) => {
                let is_ours = matches!(field.node.name.node.as_str(), "__schema" | "__type");
                return is_ours.then(|| selection.clone());
            }
            Selected::Fragment(fragment) => fragment,
        };
        let inner = cut(document, fragment.set);
        if inner.items.is_empty() {
            return None;
        }
        let fragment = InlineFragment {
            type_condition: None,
            directives: fragment.directives.to_vec(),
            selection_set: unplaced(inner),
        };
        Some(selection.position_node(Selection::InlineFragment(selection.position_node(fragment))))
    });
    SelectionSet { items: items.collect() }
}

/// The response keys of the schema's description. A model has no description of its own, so
/// async-graphql's text must be removed.
fn descriptions(root: &SelectionSet) -> Vec<(Name, Name)> {
    let mut keys = Vec::new();
    for schema in fields(root).filter(|field| field.name.node == "__schema") {
        for field in
            fields(&schema.selection_set.node).filter(|field| field.name.node == "description")
        {
            keys.push((schema.response_key().node.clone(), field.response_key().node.clone()));
        }
    }
    keys
}

fn fields(set: &SelectionSet) -> impl Iterator<Item = &Field> {
    set.items.iter().filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(&field.node),
        _ => None,
    })
}

fn keep_needed(document: &ExecutableDocument, set: &SelectionSet, fragments: &mut Fragments) {
    for selection in &set.items {
        let set = match resolve(&document.fragments, &selection.node) {
            Some(Selected::Field(field)) => &field.node.selection_set.node,
            Some(Selected::Fragment(fragment)) => match fragment.name {
                Some(name) if fragments.contains_key(name) => continue,
                Some(name) => {
                    fragments.insert(name.clone(), document.fragments[name].clone());
                    fragment.set
                }
                None => fragment.set,
            },
            None => continue,
        };
        keep_needed(document, set, fragments);
    }
}

fn unplaced<T>(node: T) -> Positioned<T> {
    Positioned::new(node, async_graphql::Pos::default())
}

/// The library answers no introspection that validation has let pass.
#[derive(Debug, thiserror::Error)]
#[error("introspection failed: {0}")]
struct IntrospectionFailed(String);

fn internal(error: async_graphql::ServerError) -> GraphqlError {
    let locations = error.locations;
    let error = GraphqlError::internal(IntrospectionFailed(error.message));
    locations.into_iter().fold(error, |error, pos| error.at(pos.line, pos.column))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graphql::fixture::marketplace;
    use crate::graphql::schema::build_schema;
    use crate::graphql::validate::validate;

    /// The answer to a document's introspection; None if there is none.
    async fn ask(text: &str, variables: serde_json::Value) -> Option<serde_json::Value> {
        let api = build_schema(&marketplace()).unwrap();
        let document = validate(&api, text).await.unwrap_or_else(|errors| panic!("{errors:?}"));
        let introspection = Introspection::of(&document, None)?;
        let answer = introspection.run(&api, variables.as_object().unwrap()).await.unwrap();
        Some(serde_json::to_value(answer).unwrap())
    }

    #[tokio::test]
    async fn data_fields_are_left_out() {
        assert_eq!(ask("{ tags { totalCount } }", json!({})).await, None);
        assert_eq!(ask("mutation { deleteTag(slug: 1) { slug } }", json!({})).await, None);
        let text =
            "{ tags { ...T } s: __schema { queryType { name } } __type(name: \"Tag\") { kind } }
                    fragment T on TagConnection { totalCount }";
        let expected = json!({"s": {"queryType": {"name": "Query"}}, "__type": {"kind": "OBJECT"}});
        assert_eq!(ask(text, json!({})).await, Some(expected));
    }

    #[tokio::test]
    async fn fields_are_merged_through_fragments() {
        let text = "{ __schema { queryType { name } } ...F ... on Query { __schema { queryType { ...K } } } }
                    fragment F on Query { tags { totalCount } __schema { mutationType { name } } }
                    fragment K on __Type { kind t: __typename }";
        let expected = json!({"__schema": {
            "queryType": {"name": "Query", "kind": "OBJECT", "t": "__Type"},
            "mutationType": {"name": "Mutation"},
        }});
        assert_eq!(ask(text, json!({})).await, Some(expected));
    }

    #[tokio::test]
    async fn variables_and_conditions_hold() {
        let text = "query($name: String!, $all: Boolean = true, $x: Boolean!, $later: Boolean) {
            a: __type(name: $name) { name @skip(if: $x) fields(includeDeprecated: $later) { name @include(if: false) __typename @skip(if: $x) } }
            b: __type(name: \"Nothing\") { name }
            ... @include(if: $x) { c: __schema { queryType { name } } }
            ...F @skip(if: $all)
        }
        fragment F on Query { d: __schema { queryType { name } } }";
        let answer = ask(text, json!({"name": "PageInfo", "x": false})).await.unwrap();
        assert_eq!(answer["a"]["name"], "PageInfo");
        assert_eq!(
            answer["a"]["fields"],
            json!([{"__typename": "__Field"}, {"__typename": "__Field"}, {"__typename": "__Field"}, {"__typename": "__Field"}])
        );
        assert_eq!(answer["b"], json!(null));
        assert_eq!(answer.as_object().unwrap().len(), 2);
        let answer = ask(text, json!({"name": "Status", "x": true, "all": false})).await.unwrap();
        assert_eq!(answer["a"], json!({"fields": null}));
        assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(
            ask("{ __schema @skip(if: true) { queryType { name } } }", json!({})).await,
            Some(json!({}))
        );
    }

    #[tokio::test]
    async fn each_operation_of_a_document_is_introspected_separately() {
        let api = build_schema(&marketplace()).unwrap();
        let text = "query A { tags { totalCount } } query B { __schema { queryType { name } } }";
        let document = validate(&api, text).await.unwrap();
        assert!(Introspection::of(&document, Some("A")).is_none());
        assert!(Introspection::of(&document, Some("B")).is_some());
        assert!(Introspection::of(&document, Some("C")).is_none());
    }

    /// The output of graphql-js's `getIntrospectionQuery` with all its options, as sent by
    /// GraphiQL, codegen and Apollo.
    const STANDARD: &str = "
    query IntrospectionQuery {
      __schema {
        description
        queryType { name kind }
        mutationType { name kind }
        subscriptionType { name kind }
        types { ...FullType }
        directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description specifiedByURL isOneOf
      fields(includeDeprecated: true) {
        name description
        args(includeDeprecated: true) { ...InputValue }
        type { ...TypeRef }
        isDeprecated deprecationReason
      }
      inputFields(includeDeprecated: true) { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
    fragment TypeRef on __Type {
      kind name
      ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
    }";

    #[tokio::test]
    async fn standard_introspection_works() {
        let answer = ask(STANDARD, json!({})).await.unwrap();
        assert_eq!(answer["__schema"].get("description"), Some(&json!(null)));
        let types = answer["__schema"]["types"].as_array().unwrap();
        let order = types.iter().find(|ty| ty["name"] == "ProductOrderBy").unwrap();
        assert_eq!((&order["kind"], &order["isOneOf"]), (&json!("INPUT_OBJECT"), &json!(true)));
        let uuid = types.iter().find(|ty| ty["name"] == "UUID").unwrap();
        assert_eq!(uuid["specifiedByURL"], "https://www.rfc-editor.org/rfc/rfc9562");
        let create = types.iter().find(|ty| ty["name"] == "ProductInput").unwrap();
        let status = create["inputFields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["name"] == "status")
            .unwrap();
        assert_eq!(status["defaultValue"], "DRAFT");
        let directives = answer["__schema"]["directives"].as_array().unwrap();
        let names: Vec<_> =
            directives.iter().map(|directive| directive["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["deprecated", "include", "oneOf", "skip", "specifiedBy"]);
    }
}
