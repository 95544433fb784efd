//! The elements that all definitions share: the current token, what may follow it, names, types,
//! arguments and directives; and the messages about what was expected and found.

use async_graphql::parser::Pos;
use async_graphql::parser::types::{BaseType, ConstDirective, Directive, Type};
use async_graphql::{Name, Positioned, Value as ConstValue};
use async_graphql_value::Value;

use super::lexer::{Lexer, Token, TokenKind};
use super::tree::{Definition, Document, MAX_NESTING, MAX_TOKENS, Purpose, SyntaxError};

/// Longer tokens are truncated in messages.
const MAX_SHOWN: usize = 40;

type Argument = (Positioned<Name>, Positioned<Value>);

/// A parser with one token of lookahead.
pub(super) struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    pub(super) token: Token,
    purpose: Purpose,
    tokens: usize,
    depth: usize,
    pub(super) repeated_members: Vec<Positioned<Name>>,
}

/// A bracketed list, and how messages describe its elements.
pub(super) struct Bracket {
    pub(super) open: u8,
    pub(super) close: u8,
    pub(super) element: &'static str,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, purpose: Purpose) -> Result<Self, SyntaxError> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next_token()?;
        Ok(Self { text, lexer, token, purpose, tokens: 1, depth: 0, repeated_members: Vec::new() })
    }

    pub(super) fn document(mut self) -> Result<Document, SyntaxError> {
        let mut definitions = Vec::new();
        loop {
            definitions.push(self.definition()?);
            if self.token.kind == TokenKind::End {
                return Ok(Document { definitions, repeated_members: self.repeated_members });
            }
        }
    }

    fn definition(&mut self) -> Result<Definition, SyntaxError> {
        let has_operations = self.purpose == Purpose::Operations;
        if self.at(b'{') && has_operations {
            return self.operation(None);
        }
        let description = self.token;
        let is_described = self.at_string();
        let keyword = if is_described { self.lexer.clone().next_token()? } else { self.token };
        let word = if keyword.kind == TokenKind::Name { self.text_of(keyword) } else { "" };
        match word {
            "query" | "mutation" | "subscription" if has_operations => {
                self.skip_description()?;
                self.operation(Some(word))
            }
            "fragment" if has_operations => {
                self.skip_description()?;
                self.fragment()
            }
            "schema" | "scalar" | "type" | "interface" | "union" | "enum" | "input"
            | "directive" => self.type_system(word),
            "extend" if !is_described => self.extension(),
            _ if is_described
                && keyword.kind != TokenKind::Name
                && keyword.kind != TokenKind::Punctuator(b'{') =>
            {
                self.advance()?;
                Err(self.expected("the definition that is described"))
            }
            _ if is_described => {
                let what = if keyword.kind == TokenKind::Punctuator(b'{') {
                    "a description must be followed by the keyword `query`, not by `{`"
                } else {
                    "a description must be followed by a definition"
                };
                Err(SyntaxError::new(description.pos, description.start..description.end, what))
            }
            _ => Err(self.expected(match self.purpose {
                Purpose::Operations => "`query`, `mutation`, `subscription`, `fragment` or `{`",
                Purpose::Types => "a definition such as `type Name @entity { … }`",
            })),
        }
    }

    pub(super) fn text_of(&self, token: Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    /// Consumes the current token.
    pub(super) fn advance(&mut self) -> Result<Token, SyntaxError> {
        let taken = self.token;
        self.tokens += 1;
        if self.tokens > MAX_TOKENS {
            let message = format!("more than {MAX_TOKENS} tokens");
            return Err(SyntaxError { beyond_limit: true, ..self.error(message) });
        }
        self.token = self.lexer.next_token()?;
        Ok(taken)
    }

    pub(super) fn at(&self, punctuator: u8) -> bool {
        self.token.kind == TokenKind::Punctuator(punctuator)
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.token.kind == TokenKind::Name && self.text_of(self.token) == word
    }

    pub(super) fn at_string(&self) -> bool {
        matches!(self.token.kind, TokenKind::String | TokenKind::BlockString)
    }

    /// Consumes this punctuator if it is next.
    pub(super) fn takes(&mut self, punctuator: u8) -> Result<bool, SyntaxError> {
        let is_there = self.at(punctuator);
        if is_there {
            self.advance()?;
        }
        Ok(is_there)
    }

    /// Consumes this punctuator; `expected` describes what it would begin.
    pub(super) fn expect(&mut self, punctuator: u8, expected: &str) -> Result<Token, SyntaxError> {
        if self.at(punctuator) { self.advance() } else { Err(self.expected(expected)) }
    }

    pub(super) fn expect_word(&mut self, word: &str, expected: &str) -> Result<Token, SyntaxError> {
        if self.at_word(word) { self.advance() } else { Err(self.expected(expected)) }
    }

    /// The elements between brackets. There may be none only if `empty` is true.
    pub(super) fn list<T>(
        &mut self,
        bracket: &Bracket,
        empty: bool,
        mut element: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        if self.depth == MAX_NESTING {
            let message = format!("brackets nest deeper than {MAX_NESTING} levels");
            return Err(SyntaxError { beyond_limit: true, ..self.error(message) });
        }
        self.depth += 1;
        self.expect(bracket.open, bracket.element)?;
        let mut elements = Vec::new();
        while !self.at(bracket.close) || (elements.is_empty() && !empty) {
            if self.at(bracket.close) || self.token.kind == TokenKind::End {
                let or_end = format!("{} or `{}`", bracket.element, char::from(bracket.close));
                return Err(self.expected(if elements.is_empty() && !empty {
                    bracket.element
                } else {
                    &or_end
                }));
            }
            elements.push(element(self)?);
        }
        self.advance()?;
        self.depth -= 1;
        Ok(elements)
    }

    pub(super) fn name(&mut self, expected: &str) -> Result<Positioned<Name>, SyntaxError> {
        if self.token.kind != TokenKind::Name {
            return Err(self.expected(expected));
        }
        let token = self.advance()?;
        Ok(Positioned::new(Name::new(self.text_of(token)), token.pos))
    }

    /// A type such as `[ID!]`.
    pub(super) fn ty(&mut self) -> Result<Positioned<Type>, SyntaxError> {
        const ITEM: Bracket = Bracket { open: b'[', close: b']', element: "a type" };
        let pos = self.token.pos;
        let base = if self.at(b'[') {
            let mut is_first = true;
            let mut items = self.list(&ITEM, false, |parser| {
                if std::mem::take(&mut is_first) {
                    parser.ty()
                } else {
                    Err(parser.expected("`]`"))
                }
            })?;
            let item = items.pop().expect("the list of one item is not empty");
            BaseType::List(Box::new(item.node))
        } else {
            BaseType::Named(self.name("a type")?.node)
        };
        let nullable = !self.takes(b'!')?;
        Ok(Positioned::new(Type { base, nullable }, pos))
    }

    pub(super) fn directives(
        &mut self,
        constant: bool,
    ) -> Result<Vec<Positioned<Directive>>, SyntaxError> {
        let mut directives = Vec::new();
        while self.at(b'@') {
            let pos = self.advance()?.pos;
            let name = self.name("the name of a directive")?;
            let arguments = self.arguments(constant)?;
            directives.push(Positioned::new(Directive { name, arguments }, pos));
        }
        Ok(directives)
    }

    pub(super) fn const_directives(
        &mut self,
    ) -> Result<Vec<Positioned<ConstDirective>>, SyntaxError> {
        let directives = self.directives(true)?.into_iter();
        let constant =
            |directive: Directive| directive.into_const().expect("there is no variable in it");
        Ok(directives.map(|directive| directive.map(constant)).collect())
    }

    pub(super) fn arguments(&mut self, constant: bool) -> Result<Vec<Argument>, SyntaxError> {
        const ARGUMENT: Bracket =
            Bracket { open: b'(', close: b')', element: "an argument such as `name: value`" };
        if !self.at(b'(') {
            return Ok(Vec::new());
        }
        self.list(&ARGUMENT, false, |parser| {
            let name = parser.name("an argument such as `name: value`")?;
            parser.expect(b':', "`:` and the argument's value")?;
            let pos = parser.token.pos;
            Ok((name, Positioned::new(parser.value(constant)?, pos)))
        })
    }

    /// The value after `=`, if there is one.
    pub(super) fn default(&mut self) -> Result<Option<Positioned<ConstValue>>, SyntaxError> {
        if !self.takes(b'=')? {
            return Ok(None);
        }
        let pos = self.token.pos;
        let value = self.value(true)?.into_const().expect("there is no variable in it");
        Ok(Some(Positioned::new(value, pos)))
    }

    fn skip_description(&mut self) -> Result<(), SyntaxError> {
        if self.at_string() {
            self.advance()?;
        }
        Ok(())
    }

    /// A mistake at the current token.
    pub(super) fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.token.pos, self.token.start..self.token.end, message)
    }

    /// The error for an unexpected current token.
    pub(super) fn expected(&self, what: &str) -> SyntaxError {
        self.error(format!("expected {what}, found {}", self.found(self.token)))
    }

    fn found(&self, token: Token) -> String {
        let text = self.text_of(token);
        match token.kind {
            TokenKind::End if self.purpose == Purpose::Types => "the end of the file".to_owned(),
            TokenKind::End => "the end of the document".to_owned(),
            TokenKind::BlockString => "a block string".to_owned(),
            _ => match text.char_indices().nth(MAX_SHOWN) {
                Some((end, _)) => format!("`{}…`", &text[..end]),
                None => format!("`{text}`"),
            },
        }
    }

    /// The position of the current token.
    pub(super) fn pos(&self) -> Pos {
        self.token.pos
    }
}
