//! Operations and fragments.

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Field, FragmentDefinition, FragmentSpread, InlineFragment, OperationDefinition, OperationType,
    Selection, SelectionSet, TypeCondition, VariableDefinition,
};

use super::lexer::TokenKind;
use super::parser::{Bracket, Parser};
use super::tree::{Definition, SyntaxError};

const SELECTION: Bracket = Bracket { open: b'{', close: b'}', element: "a field" };
const VARIABLE: Bracket =
    Bracket { open: b'(', close: b')', element: "a variable such as `$name: Type`" };

impl Parser<'_> {
    /// An operation, starting at its keyword; without one it is a query in shorthand form.
    pub(super) fn operation(&mut self, keyword: Option<&str>) -> Result<Definition, SyntaxError> {
        let pos = self.pos();
        let mut name = None;
        let mut definition = OperationDefinition {
            ty: match keyword {
                Some("mutation") => OperationType::Mutation,
                Some("subscription") => OperationType::Subscription,
                _ => OperationType::Query,
            },
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: Positioned::default(),
        };
        if keyword.is_some() {
            self.advance()?;
            if self.token.kind == TokenKind::Name {
                name = Some(self.name("a name")?);
            }
            if self.at(b'(') {
                definition.variable_definitions = self.list(&VARIABLE, false, Self::variable)?;
            }
            definition.directives = self.directives(false)?;
        }
        definition.selection_set = self.selection_set("`{` and the fields of the operation")?;
        Ok(Definition::Operation(name, Positioned::new(definition, pos)))
    }

    fn variable(&mut self) -> Result<Positioned<VariableDefinition>, SyntaxError> {
        if self.at_string() {
            self.advance()?;
        }
        let pos = self.expect(b'$', "a variable such as `$name: Type`")?.pos;
        let name = self.name("the name of a variable")?;
        self.expect(b':', "`:` and the variable's type")?;
        let var_type = self.ty()?;
        let default_value = self.default()?;
        let directives = self.directives(true)?;
        Ok(Positioned::new(VariableDefinition { name, var_type, directives, default_value }, pos))
    }

    /// A fragment, starting at its keyword.
    pub(super) fn fragment(&mut self) -> Result<Definition, SyntaxError> {
        let pos = self.advance()?.pos;
        if self.at_word("on") {
            return Err(
                self.error("a fragment cannot be called `on`; write `fragment Name on Type { … }`")
            );
        }
        let name = self.name("the name of the fragment")?;
        if !self.at_word("on") {
            return Err(self.expected("`on` and the type that the fragment is of"));
        }
        let type_condition = self.type_condition()?;
        let directives = self.directives(false)?;
        let selection_set = self.selection_set("`{` and the fields of the fragment")?;
        let fragment = FragmentDefinition { type_condition, directives, selection_set };
        Ok(Definition::Fragment(name, Positioned::new(fragment, pos)))
    }

    fn type_condition(&mut self) -> Result<Positioned<TypeCondition>, SyntaxError> {
        let pos = self.expect_word("on", "`on`")?.pos;
        let on = self.name("the name of a type")?;
        Ok(Positioned::new(TypeCondition { on }, pos))
    }

    fn selection_set(&mut self, expected: &str) -> Result<Positioned<SelectionSet>, SyntaxError> {
        let pos = self.pos();
        if !self.at(b'{') {
            return Err(self.expected(expected));
        }
        let items = self.list(&SELECTION, false, Self::selection)?;
        Ok(Positioned::new(SelectionSet { items }, pos))
    }

    fn selection(&mut self) -> Result<Positioned<Selection>, SyntaxError> {
        let pos = self.pos();
        if self.token.kind != TokenKind::Spread {
            let field = self.field()?;
            return Ok(Positioned::new(Selection::Field(Positioned::new(field, pos)), pos));
        }
        self.advance()?;
        let selection = if self.token.kind == TokenKind::Name && !self.at_word("on") {
            let fragment_name = self.name("the name of a fragment")?;
            let spread = FragmentSpread { fragment_name, directives: self.directives(false)? };
            Selection::FragmentSpread(Positioned::new(spread, pos))
        } else {
            let type_condition =
                if self.at_word("on") { Some(self.type_condition()?) } else { None };
            let directives = self.directives(false)?;
            let selection_set =
                self.selection_set("the name of a fragment, `on` and a type, or `{`")?;
            Selection::InlineFragment(Positioned::new(
                InlineFragment { type_condition, directives, selection_set },
                pos,
            ))
        };
        Ok(Positioned::new(selection, pos))
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        let mut name = self.name("a field")?;
        let mut alias = None;
        if self.takes(b':')? {
            alias =
                Some(std::mem::replace(&mut name, self.name("the field that the alias is for")?));
        }
        let arguments = self.arguments(false)?;
        let directives = self.directives(false)?;
        let selection_set =
            if self.at(b'{') { self.selection_set("`{`")? } else { Positioned::default() };
        Ok(Field { alias, name, arguments, directives, selection_set })
    }
}
