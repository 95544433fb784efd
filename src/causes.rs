//! Errors with their causes, for people.

use std::error::Error;
use std::fmt;

/// Displays an error followed by its causes. Many errors already repeat what caused them; that is
/// not shown twice.
pub struct WithCauses<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        f.write_str(&shown)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !shown.contains(&text) {
                write!(f, ": {text}")?;
                shown = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    #[test]
    fn a_cause_that_is_already_shown_is_not_repeated() {
        let chain = |texts: &[&'static str]| {
            let link = |cause, &text: &&'static str| Some(Box::new(Link { text, cause }));
            texts.iter().rev().fold(None, link).unwrap()
        };
        for (texts, shown) in [
            (&["cannot open a: refused", "refused"][..], "cannot open a: refused"),
            (&["client error", "no route", "no route"], "client error: no route"),
            (&["a", "b", "c"], "a: b: c"),
        ] {
            assert_eq!(WithCauses(&*chain(texts)).to_string(), shown);
        }
    }
}
