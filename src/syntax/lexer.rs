//! Splits a text into tokens. Strings are checked here, and decoded in `string.rs` when their value
//! is needed.

use async_graphql::parser::Pos;

use super::string;
use super::tree::SyntaxError;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Punctuator(u8),
    /// `...`
    Spread,
    /// A name; keywords are names.
    Name,
    /// An integer.
    Int,
    /// A number with a fraction or an exponent.
    Float,
    /// `"…"`
    String,
    /// `"""…"""`
    BlockString,
    /// The end of the text.
    End,
}

/// A token and its location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
    /// The line and column of its start.
    pub pos: Pos,
}

/// Produces tokens one by one.
#[derive(Debug, Clone)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
    /// The difference between bytes and UTF-16 code units in the current line so far.
    surplus: usize,
}

impl<'t> Lexer<'t> {
    /// Starts at the beginning of a text.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, line_start: 0, surplus: 0 }
    }

    /// Starts at a byte of a text, as if its first line began there.
    pub fn starting_at(text: &'t str, at: usize) -> Self {
        Self { text, at, line: 1, line_start: at, surplus: 0 }
    }

    /// The next token; at the end, [`TokenKind::End`] repeatedly.
    ///
    /// # Errors
    /// No token begins here, or it is malformed.
    pub fn next_token(&mut self) -> Result<Token, SyntaxError> {
        self.skip_ignored();
        let (start, pos) = (self.at, self.pos());
        let bytes = self.text.as_bytes();
        let kind = match bytes.get(start) {
            None => TokenKind::End,
            Some(
                byte @ (b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{'
                | b'|' | b'}'),
            ) => {
                self.at += 1;
                TokenKind::Punctuator(*byte)
            }
            Some(b'.') if bytes[start..].starts_with(b"...") => {
                self.at += 3;
                TokenKind::Spread
            }
            Some(byte) if is_name_start(*byte) => {
                let length = bytes[start..]
                    .iter()
                    .take_while(|byte| is_name_start(**byte) || byte.is_ascii_digit());
                self.at += length.count();
                TokenKind::Name
            }
            Some(byte) if *byte == b'-' || byte.is_ascii_digit() => self.number()?,
            Some(b'"') if bytes[start..].starts_with(b"\"\"\"") => self.block_string(pos)?,
            Some(b'"') => self.string(pos)?,
            Some(_) => return Err(self.unexpected_character()),
        };
        Ok(Token { kind, start, end: self.at, pos })
    }

    fn pos(&self) -> Pos {
        Pos { line: self.line, column: self.at - self.line_start - self.surplus + 1 }
    }

    /// Skips white space, line endings, commas, byte order marks and comments.
    fn skip_ignored(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b',' => self.at += 1,
                b'\n' | b'\r' => self.line_end(),
                b'#' => {
                    let rest = &bytes[self.at..];
                    self.advance(
                        rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len()),
                    );
                }
                0xEF if bytes[self.at..].starts_with("\u{feff}".as_bytes()) => self.advance(3),
                _ => return,
            }
        }
    }

    /// Skips bytes within a line.
    fn advance(&mut self, length: usize) {
        let passed = &self.text[self.at..self.at + length];
        if !passed.is_ascii() {
            self.surplus += length - passed.encode_utf16().count();
        }
        self.at += length;
    }

    /// Skips LF, CR or CR LF.
    fn line_end(&mut self) {
        let is_pair = self.text.as_bytes()[self.at..].starts_with(b"\r\n");
        self.at += if is_pair { 2 } else { 1 };
        self.line += 1;
        self.line_start = self.at;
        self.surplus = 0;
    }

    fn number(&mut self) -> Result<TokenKind, SyntaxError> {
        let bytes = self.text.as_bytes();
        self.at += usize::from(bytes[self.at] == b'-');
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            if bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
                return Err(self.error_here("a number must not have leading zeros"));
            }
        } else {
            self.digits()?;
        }
        let mut kind = TokenKind::Int;
        if bytes.get(self.at) == Some(&b'.') {
            kind = TokenKind::Float;
            self.at += 1;
            self.digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            kind = TokenKind::Float;
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        match bytes.get(self.at) {
            Some(byte) if *byte == b'.' || is_name_start(*byte) => {
                Err(self.error_here(format!("unexpected {} after a number", self.character())))
            }
            _ => Ok(kind),
        }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let digits =
            self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        match digits {
            0 => Err(self.error_here(format!("expected a digit, found {}", self.character()))),
            _ => Ok(()),
        }
    }

    fn string(&mut self, begun: Pos) -> Result<TokenKind, SyntaxError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => {
                    self.advance(end + 1 - start);
                    return Ok(TokenKind::String);
                }
                None | Some(b'\n' | b'\r') => return Err(unterminated(begun, start..end)),
                Some(b'\\') => match string::escape(&self.text[end..]) {
                    Some((_, length)) => end += length,
                    None => {
                        self.advance(end - start);
                        // As much of it as a reader would take for one escape sequence.
                        let shown = self.text[end..]
                            .split(['"', ' ', '\n', '\r', '}'])
                            .next()
                            .unwrap_or_default();
                        let shown: String = shown.chars().take(12).collect();
                        let pos = self.pos();
                        let message = format!("`{shown}` is not a valid escape sequence");
                        return Err(SyntaxError::new(pos, end..end + shown.len(), message));
                    }
                },
                Some(_) => end += 1,
            }
        }
    }

    fn block_string(&mut self, begun: Pos) -> Result<TokenKind, SyntaxError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += 3;
        loop {
            let rest = &bytes[self.at..];
            // Up to the next special character.
            self.advance(
                rest.iter()
                    .position(|b| matches!(b, b'"' | b'\\' | b'\n' | b'\r'))
                    .unwrap_or(rest.len()),
            );
            let rest = &bytes[self.at..];
            match rest.first() {
                None => return Err(unterminated(begun, start..self.at)),
                Some(b'\n' | b'\r') => self.line_end(),
                Some(_) if rest.starts_with(b"\"\"\"") => {
                    self.at += 3;
                    return Ok(TokenKind::BlockString);
                }
                Some(_) if rest.starts_with(b"\\\"\"\"") => self.at += 4,
                Some(_) => self.at += 1,
            }
        }
    }

    fn unexpected_character(&self) -> SyntaxError {
        let help = match self.text[self.at..].chars().next() {
            Some('\'' | '‘' | '’' | '“' | '”' | '`') => {
                "; strings are written in double quotes"
            }
            Some('.') => "; a fragment spread begins with three dots",
            Some('?') => "; a type without `!` is nullable already",
            Some(';') => "; GraphQL has no semicolons",
            _ => "",
        };
        self.error_here(format!("unexpected character {}{help}", self.character()))
    }

    fn error_here(&self, message: impl Into<String>) -> SyntaxError {
        let length = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        SyntaxError::new(self.pos(), self.at..self.at + length, message)
    }

    /// The current character, for a message.
    fn character(&self) -> String {
        match self.text[self.at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(c) if c.is_control() || (!c.is_ascii() && !c.is_alphanumeric()) => {
                format!("U+{:04X}", u32::from(c))
            }
            Some(c) => format!("`{c}`"),
        }
    }
}

fn unterminated(begun: Pos, span: std::ops::Range<usize>) -> SyntaxError {
    SyntaxError::new(begun, span, "the string has no closing quote")
}

fn is_name_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}
