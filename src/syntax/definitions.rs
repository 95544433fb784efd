//! Definitions and extensions of types, directives and the schema.

use async_graphql::parser::types::{
    DirectiveDefinition, DirectiveLocation, EnumType, EnumValueDefinition, FieldDefinition,
    InputObjectType, InputValueDefinition, InterfaceType, ObjectType, SchemaDefinition,
    TypeDefinition, TypeKind, TypeSystemDefinition, UnionType,
};
use async_graphql::{Name, Positioned};

use super::parser::{Bracket, Parser};
use super::string;
use super::tree::{Definition, SyntaxError};

const FIELD: Bracket =
    Bracket { open: b'{', close: b'}', element: "a field such as `name: String!`" };
const INPUT_FIELD: Bracket =
    Bracket { open: b'{', close: b'}', element: "an input field such as `name: String!`" };
const ARGUMENT: Bracket =
    Bracket { open: b'(', close: b')', element: "an argument such as `name: String!`" };
const ENUM_VALUE: Bracket = Bracket { open: b'{', close: b'}', element: "a value of the enum" };
const ROOT: Bracket =
    Bracket { open: b'{', close: b'}', element: "a root type such as `query: Query`" };

type Result<T> = std::result::Result<T, SyntaxError>;

impl Parser<'_> {
    /// A definition, starting at its description; `keyword` follows the description.
    pub(super) fn type_system(&mut self, keyword: &str) -> Result<Definition> {
        let begun = self.pos();
        let description = self.description()?;
        let pos = self.pos();
        let definition = match keyword {
            "schema" => TypeSystemDefinition::Schema(Positioned::new(self.schema(false)?, pos)),
            "directive" => {
                TypeSystemDefinition::Directive(Positioned::new(self.directive(description)?, pos))
            }
            _ => {
                let pos = if description.is_some() { begun } else { pos };
                TypeSystemDefinition::Type(Positioned::new(
                    self.type_definition(keyword, description, false)?,
                    pos,
                ))
            }
        };
        Ok(Definition::Types(Box::new(definition), begun))
    }

    /// `extend …`
    pub(super) fn extension(&mut self) -> Result<Definition> {
        let begun = self.advance()?.pos;
        let keyword = self.text_of(self.token);
        let definition = match keyword {
            "schema" => TypeSystemDefinition::Schema(Positioned::new(self.schema(true)?, begun)),
            "scalar" | "type" | "interface" | "union" | "enum" | "input" => {
                TypeSystemDefinition::Type(Positioned::new(
                    self.type_definition(keyword, None, true)?,
                    begun,
                ))
            }
            _ => return Err(self.expected("what is extended, such as `type Name`")),
        };
        Ok(Definition::Types(Box::new(definition), begun))
    }

    fn description(&mut self) -> Result<Option<Positioned<String>>> {
        if !self.at_string() {
            return Ok(None);
        }
        let token = self.advance()?;
        Ok(Some(Positioned::new(string::value(self.text_of(token)), token.pos)))
    }

    fn schema(&mut self, extend: bool) -> Result<SchemaDefinition> {
        self.advance()?;
        let directives = self.const_directives()?;
        let mut schema = SchemaDefinition {
            extend,
            directives,
            query: None,
            mutation: None,
            subscription: None,
        };
        if extend && !self.at(b'{') && !schema.directives.is_empty() {
            return Ok(schema);
        }
        self.list(&ROOT, false, |parser| {
            let unknown = parser.expected("`query`, `mutation` or `subscription`");
            let root = match parser.name("`query`, `mutation` or `subscription`")?.node.as_str() {
                "query" => &mut schema.query,
                "mutation" => &mut schema.mutation,
                "subscription" => &mut schema.subscription,
                _ => return Err(unknown),
            };
            parser.expect(b':', "`:` and a type")?;
            *root = Some(parser.name("the name of a type")?);
            Ok(())
        })?;
        Ok(schema)
    }

    fn type_definition(
        &mut self,
        keyword: &str,
        description: Option<Positioned<String>>,
        extend: bool,
    ) -> Result<TypeDefinition> {
        self.advance()?;
        let name = self.name("the name of a type")?;
        let has_fields = matches!(keyword, "type" | "interface");
        let implements = if has_fields { self.implements()? } else { Vec::new() };
        let directives = self.const_directives()?;
        let begun = self.pos();
        let kind = match keyword {
            "type" => TypeKind::Object(ObjectType { implements, fields: self.fields()? }),
            "interface" => {
                TypeKind::Interface(InterfaceType { implements, fields: self.fields()? })
            }
            "union" => TypeKind::Union(UnionType { members: self.members()? }),
            "enum" => {
                TypeKind::Enum(EnumType { values: self.optional(&ENUM_VALUE, Self::enum_value)? })
            }
            "input" => {
                let fields = self.optional(&INPUT_FIELD, Self::input_value)?;
                TypeKind::InputObject(InputObjectType { fields })
            }
            _ => TypeKind::Scalar,
        };
        let implements = match &kind {
            TypeKind::Object(ObjectType { implements, .. }) => !implements.is_empty(),
            TypeKind::Interface(InterfaceType { implements, .. }) => !implements.is_empty(),
            _ => false,
        };
        if extend && directives.is_empty() && !implements && self.pos() == begun {
            return Err(self.expected("what the extension adds"));
        }
        Ok(TypeDefinition { extend, description, name, directives, kind })
    }

    /// The elements of an optional bracketed list.
    fn optional<T>(
        &mut self,
        bracket: &Bracket,
        element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        if self.at(bracket.open) { self.list(bracket, false, element) } else { Ok(Vec::new()) }
    }

    fn implements(&mut self) -> Result<Vec<Positioned<Name>>> {
        if !self.at_word("implements") {
            return Ok(Vec::new());
        }
        self.advance()?;
        self.separated(b'&', |parser| parser.name("the name of an interface"))
    }

    fn members(&mut self) -> Result<Vec<Positioned<Name>>> {
        if self.takes(b'=')? {
            self.separated(b'|', |parser| parser.name("the name of a type"))
        } else {
            Ok(Vec::new())
        }
    }

    /// At least one element; a separator may precede the first.
    fn separated<T>(
        &mut self,
        separator: u8,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.takes(separator)?;
        let mut elements = vec![element(self)?];
        while self.takes(separator)? {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn fields(&mut self) -> Result<Vec<Positioned<FieldDefinition>>> {
        self.optional(&FIELD, |parser| {
            let pos = parser.pos();
            let description = parser.description()?;
            let name = parser.name("a field such as `name: String!`")?;
            let arguments = parser.optional(&ARGUMENT, Self::input_value)?;
            parser.expect(b':', "`:` and a type")?;
            let ty = parser.ty()?;
            let directives = parser.const_directives()?;
            Ok(Positioned::new(
                FieldDefinition { description, name, arguments, ty, directives },
                pos,
            ))
        })
    }

    fn input_value(&mut self) -> Result<Positioned<InputValueDefinition>> {
        let pos = self.pos();
        let description = self.description()?;
        let name = self.name("a definition such as `name: String!`")?;
        self.expect(b':', "`:` and a type")?;
        let ty = self.ty()?;
        let default_value = self.default()?;
        let directives = self.const_directives()?;
        Ok(Positioned::new(
            InputValueDefinition { description, name, ty, default_value, directives },
            pos,
        ))
    }

    fn enum_value(&mut self) -> Result<Positioned<EnumValueDefinition>> {
        let pos = self.pos();
        let description = self.description()?;
        if ["true", "false", "null"].iter().any(|word| self.at_word(word)) {
            let word = self.text_of(self.token);
            return Err(self.error(format!(
                "an enum cannot have the value `{word}`, which means something else"
            )));
        }
        let value = self.name("a value of the enum")?;
        let directives = self.const_directives()?;
        Ok(Positioned::new(EnumValueDefinition { description, value, directives }, pos))
    }

    fn directive(
        &mut self,
        description: Option<Positioned<String>>,
    ) -> Result<DirectiveDefinition> {
        self.advance()?;
        self.expect(b'@', "`@` and the directive's name")?;
        let name = self.name("the name of a directive")?;
        let arguments = self.optional(&ARGUMENT, Self::input_value)?;
        let is_repeatable = self.at_word("repeatable");
        if is_repeatable {
            self.advance()?;
        }
        self.expect_word("on", "`on` and the locations of the directive")?;
        let locations = self.separated(b'|', Self::location)?;
        Ok(DirectiveDefinition { description, name, arguments, is_repeatable, locations })
    }

    fn location(&mut self) -> Result<Positioned<DirectiveLocation>> {
        let location = match self.text_of(self.token) {
            "QUERY" => DirectiveLocation::Query,
            "MUTATION" => DirectiveLocation::Mutation,
            "SUBSCRIPTION" => DirectiveLocation::Subscription,
            "FIELD" => DirectiveLocation::Field,
            "FRAGMENT_DEFINITION" => DirectiveLocation::FragmentDefinition,
            "FRAGMENT_SPREAD" => DirectiveLocation::FragmentSpread,
            "INLINE_FRAGMENT" => DirectiveLocation::InlineFragment,
            "VARIABLE_DEFINITION" => DirectiveLocation::VariableDefinition,
            "SCHEMA" => DirectiveLocation::Schema,
            "SCALAR" => DirectiveLocation::Scalar,
            "OBJECT" => DirectiveLocation::Object,
            "FIELD_DEFINITION" => DirectiveLocation::FieldDefinition,
            "ARGUMENT_DEFINITION" => DirectiveLocation::ArgumentDefinition,
            "INTERFACE" => DirectiveLocation::Interface,
            "UNION" => DirectiveLocation::Union,
            "ENUM" => DirectiveLocation::Enum,
            "ENUM_VALUE" => DirectiveLocation::EnumValue,
            "INPUT_OBJECT" => DirectiveLocation::InputObject,
            "INPUT_FIELD_DEFINITION" => DirectiveLocation::InputFieldDefinition,
            _ => return Err(self.expected("a place such as `OBJECT` or `FIELD_DEFINITION`")),
        };
        let pos = self.advance()?.pos;
        Ok(Positioned::new(location, pos))
    }
}
