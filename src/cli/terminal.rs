//! What the program prints: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use freshql::app::StartError;
use freshql::causes::WithCauses;
use freshql::model::Diagnostic;
use freshql::model::diagnostic::render;

/// A reader that closes the pipe early (`freshql schema | head`) is not an error.
pub(crate) fn print(text: &str) -> Result<(), StartError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).into())
        }
        _ => Ok(()),
    }
}

/// Prints why the command failed, with the position if it is known.
pub(crate) fn report(error: &StartError) {
    match error {
        StartError::Mistakes(mistakes) => show(mistakes),
        StartError::Reported => {}
        StartError::Other(error) => tell(&format!("error: {}\n", WithCauses(error.as_ref()))),
    }
}

/// Prints mistakes and warnings with their excerpts.
pub(crate) fn show(diagnostics: &[Diagnostic]) {
    let colors = colors(io::stderr().is_terminal());
    tell(&render(diagnostics, &|file| std::fs::read_to_string(file).ok(), colors));
}

pub(crate) fn colors(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none()
}

pub(crate) fn tell(text: &str) {
    // If standard error is closed, there is no other way to report that.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
