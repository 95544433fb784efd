//! The names that the generated API derives from the model. The generator, the check for name
//! clashes and the names that `model pull` chooses all use these functions.

/// Types that every generated API has, besides the scalars and their filters.
pub(crate) const SHARED_TYPES: [&str; 6] =
    ["Query", "Mutation", "Subscription", "PageInfo", "OrderDirection", "StringMode"];

/// The types that are generated for each entity.
pub(crate) fn types_of(entity: &str) -> [String; 7] {
    [
        connection(entity),
        edge(entity),
        condition(entity),
        list_condition(entity),
        order(entity),
        input(entity),
        patch(entity),
    ]
}

/// The filters for a type: for columns that are not null, and for nullable ones.
pub(crate) fn filters_of(ty: &str) -> [String; 2] {
    [filter(ty, false), filter(ty, true)]
}

/// The filter on a column: `StringFilter`, or `NullableStringFilter`, which has `isNull`.
pub(crate) fn filter(ty: &str, nullable: bool) -> String {
    format!("{}{ty}Filter", if nullable { "Nullable" } else { "" })
}

/// `ProductConnection`
pub(crate) fn connection(entity: &str) -> String {
    format!("{entity}Connection")
}

/// `ProductEdge`
pub(crate) fn edge(entity: &str) -> String {
    format!("{entity}Edge")
}

/// `ProductWhere`
pub(crate) fn condition(entity: &str) -> String {
    format!("{entity}Where")
}

/// `ProductListWhere`
pub(crate) fn list_condition(entity: &str) -> String {
    format!("{entity}ListWhere")
}

/// `ProductOrderBy`
pub(crate) fn order(entity: &str) -> String {
    format!("{entity}OrderBy")
}

/// `ProductInput`
pub(crate) fn input(entity: &str) -> String {
    format!("{entity}Input")
}

/// `ProductPatch`
pub(crate) fn patch(entity: &str) -> String {
    format!("{entity}Patch")
}

/// `createProduct`
pub(crate) fn create(entity: &str) -> String {
    format!("create{entity}")
}

/// `updateProduct`
pub(crate) fn update(entity: &str) -> String {
    format!("update{entity}")
}

/// `deleteProduct`
pub(crate) fn delete(entity: &str) -> String {
    format!("delete{entity}")
}
