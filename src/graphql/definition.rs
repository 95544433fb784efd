//! The generated API as plain data. The async-graphql schema, the SDL and the validation rules are
//! all derived from these definitions, so they cannot disagree. This file does not know the model.

use std::collections::{HashMap, HashSet};

use async_graphql::Value as ConstValue;
use async_graphql::dynamic::TypeRef;

/// The scalars that every GraphQL schema has.
pub(crate) const BUILT_IN_SCALARS: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

/// All types of the API, in the order in which the SDL prints them.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    types: Vec<TypeDef>,
    by_name: HashMap<String, usize>,
    /// The names of the types that implement the interface.
    implementing: HashSet<String>,
    clashes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypeDef {
    /// Unique in the API.
    pub name: String,
    /// The description that clients see.
    pub description: Option<String>,
    /// What it is.
    pub kind: TypeKind,
}

/// The kind of a type. The API has no unions, and at most one interface.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TypeKind {
    /// A custom scalar.
    Scalar {
        /// The URL of its specification.
        specified_by: Option<&'static str>,
    },
    /// An enum and its values.
    Enum(Vec<EnumValueDef>),
    /// An output type and its fields.
    Object(Vec<FieldDef>),
    /// The common fields of several output types: `Node`.
    Interface(Vec<FieldDef>),
    /// An input object.
    Input {
        /// At least one field.
        fields: Vec<InputDef>,
        /// `@oneOf`: exactly one of the fields is given.
        one_of: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnumValueDef {
    /// Its name.
    pub name: String,
    /// The description that clients see.
    pub description: Option<String>,
}

/// A field of an output type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldDef {
    /// Unique in its type.
    pub name: String,
    /// The description that clients see.
    pub description: Option<String>,
    /// May be empty.
    pub args: Vec<InputDef>,
    /// Its type.
    pub ty: TypeRef,
}

/// An argument, or a field of an input object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InputDef {
    /// Unique in its field or type.
    pub name: String,
    /// The description that clients see.
    pub description: Option<String>,
    /// Its type.
    pub ty: TypeRef,
    /// The value if it is omitted.
    pub default: Option<ConstValue>,
}

impl FieldDef {
    /// A field without arguments or description.
    pub(crate) fn new(name: impl Into<String>, ty: TypeRef) -> Self {
        Self { name: name.into(), description: None, args: Vec::new(), ty }
    }

    #[must_use]
    pub(crate) fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn with_args(mut self, args: impl IntoIterator<Item = InputDef>) -> Self {
        self.args.extend(args);
        self
    }
}

impl InputDef {
    /// An input without description or default.
    pub(crate) fn new(name: impl Into<String>, ty: TypeRef) -> Self {
        Self { name: name.into(), description: None, ty, default: None }
    }

    #[must_use]
    pub(crate) fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Whether it must be given.
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.ty, TypeRef::NonNull(_)) && self.default.is_none()
    }
}

impl TypeDef {
    /// The fields, if this is an output type.
    pub(crate) fn fields(&self) -> &[FieldDef] {
        match &self.kind {
            TypeKind::Object(fields) | TypeKind::Interface(fields) => fields,
            _ => &[],
        }
    }

    /// Names that occur twice among the members of this type.
    fn duplicate_members(&self) -> Vec<&str> {
        let names: Vec<&str> = match &self.kind {
            TypeKind::Scalar { .. } => Vec::new(),
            TypeKind::Enum(values) => values.iter().map(|v| v.name.as_str()).collect(),
            TypeKind::Object(fields) | TypeKind::Interface(fields) => {
                fields.iter().map(|f| f.name.as_str()).collect()
            }
            TypeKind::Input { fields, .. } => fields.iter().map(|f| f.name.as_str()).collect(),
        };
        let mut seen = std::collections::HashSet::new();
        names.into_iter().filter(|name| !seen.insert(*name)).collect()
    }
}

impl Definitions {
    /// Appends a type. A name that is already taken is recorded as a clash.
    pub(crate) fn add(&mut self, ty: TypeDef) {
        for member in ty.duplicate_members() {
            self.clashes.push(format!("type `{}` would have two members `{member}`", ty.name));
        }
        if BUILT_IN_SCALARS.contains(&ty.name.as_str()) || self.by_name.contains_key(&ty.name) {
            self.clashes.push(format!("the API would have two types `{}`", ty.name));
            return;
        }
        self.by_name.insert(ty.name.clone(), self.types.len());
        self.types.push(ty);
    }

    /// Appends an output type.
    pub(crate) fn add_object(
        &mut self,
        name: impl Into<String>,
        description: Option<String>,
        fields: Vec<FieldDef>,
    ) {
        self.add(TypeDef { name: name.into(), description, kind: TypeKind::Object(fields) });
    }

    /// Declares that the output type with this name implements the API's interface.
    pub(crate) fn implement_interface(&mut self, name: impl Into<String>) {
        self.implementing.insert(name.into());
    }

    pub(crate) fn interface_of(&self, name: &str) -> Option<&TypeDef> {
        let is_interface = |ty: &&TypeDef| matches!(ty.kind, TypeKind::Interface(_));
        self.types.iter().find(is_interface).filter(|_| self.implementing.contains(name))
    }

    /// The types that implement the interface, in order.
    pub(crate) fn implementing(&self) -> impl Iterator<Item = &TypeDef> {
        self.types.iter().filter(|ty| self.implementing.contains(&ty.name))
    }

    /// Appends an input object.
    pub(crate) fn add_input(
        &mut self,
        name: impl Into<String>,
        description: impl Into<String>,
        fields: Vec<InputDef>,
    ) {
        let kind = TypeKind::Input { fields, one_of: false };
        self.add(TypeDef { name: name.into(), description: Some(description.into()), kind });
    }

    /// What cannot be generated because two things would have the same name.
    pub(crate) fn clashes(&self) -> &[String] {
        &self.clashes
    }

    /// All types, in order.
    pub(crate) fn types(&self) -> &[TypeDef] {
        &self.types
    }

    /// The type with this name, except built-in scalars and introspection types.
    pub(crate) fn get(&self, name: &str) -> Option<&TypeDef> {
        self.by_name.get(name).map(|index| &self.types[*index])
    }

    pub(crate) fn field(&self, type_name: &str, field: &str) -> Option<&FieldDef> {
        self.get(type_name)?.fields().iter().find(|f| f.name == field)
    }
}
