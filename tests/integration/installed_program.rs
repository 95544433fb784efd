//! The program itself on a new copy of the demo, tested with users' tools: a shell with curl,
//! GraphQL.js, a browser. Tests whose tools are not installed report that they are skipped; with
//! `CI` in the environment they fail.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::copy;
use crate::program::bare;

/// Separates the outputs of two commands; no output contains it.
const END: &str = "\u{1e}";

pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The demo, served by the program on its own port.
pub(crate) struct Demo {
    directory: TempDir,
    process: Child,
    pub(crate) address: String,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["schema.graphql", "freshql.toml"] {
            std::fs::copy(top().join(name), directory.path().join(name)).unwrap();
        }
        for name in ["queries", "migrations"] {
            copy(&top().join(name), &directory.path().join(name));
        }
        let (process, address) = serve(directory.path());
        Self { directory, process, address }
    }

    /// A token with these claims, created by `freshql token` with the secret that the server has
    /// generated.
    fn token(&self, claims: &str) -> String {
        let mut command = bare();
        command.current_dir(self.directory.path()).args(["token", "--claims", claims]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }
}

/// Starts the program on a project; returns the process and its address.
fn serve(project: &Path) -> (Child, String) {
    let mut process = bare()
        .env("FRESHQL_LISTEN", "127.0.0.1:0")
        .current_dir(project)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = loop {
        let line = log.next().expect("the server ended before it listened").unwrap();
        if let Some((_, address)) = line.split_once("listening on http://") {
            break address.to_owned();
        }
    };
    // A full pipe would block the server.
    std::thread::spawn(move || log.for_each(drop));
    (process, address)
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the test can run. What is missing is reported on the real standard error, which the test
/// runner does not capture.
pub(crate) fn there(test: &str, parts: &[(&str, bool)]) -> bool {
    let missing: Vec<_> = parts.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!(
        "{test}: {} missing; scripts/setup installs what the tests need",
        missing.join(", ")
    );
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{message}");
    std::io::stderr().write_all(format!("\n*** SKIPPED: {message}\n").as_bytes()).unwrap();
    false
}

pub(crate) fn program(name: &'static str) -> (&'static str, bool) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    (name, std::env::split_paths(&path).any(|directory| directory.join(name).is_file()))
}

/// A program that may not be in `PATH`, like servers on Debian.
pub(crate) fn program_in(directory: &str, name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).chain([PathBuf::from(directory)]);
    let found = directories.find(|directory| directory.join(name).is_file());
    found.unwrap_or_default().join(name)
}

pub(crate) fn packages(directory: &'static str) -> (&'static str, bool) {
    (directory, top().join(directory).join("node_modules").is_dir())
}

pub(crate) fn browser() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

/// The machine's Node.js, unless scripts/setup has found it too old.
pub(crate) fn node_program() -> PathBuf {
    let newer = top().join("target/tools/node_modules/node/bin/node");
    if newer.is_file() { newer } else { "node".into() }
}

/// Runs a JavaScript test against the demo.
pub(crate) fn node(demo: &Demo, directory: &str, test: &str, settings: &[(&str, &str)]) {
    let mut command = Command::new(node_program());
    command.args(["--test", test]).current_dir(top().join(directory));
    command.env("FRESHQL_URL", format!("http://{}", demo.address)).envs(settings.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_console_works_in_a_browser() {
    let parts = [program("node"), packages("tests/console"), ("Chromium", browser().is_file())];
    if there("the_console_works_in_a_browser", &parts) {
        let query =
            "{ merchants(first: 1) { nodes { __typename name etag } pageInfo { hasNextPage } } }";
        let expected = "\"hasNextPage\": true";
        let demo = Demo::start();
        let token = demo.token(r#"{"sub":"eve","roles":["editor"]}"#);
        let settings =
            [("FRESHQL_QUERY", query), ("FRESHQL_EXPECT", expected), ("FRESHQL_TOKEN", &token)];
        node(&demo, "tests/console", "page.test.mjs", &settings);
    }
}

#[test]
fn graphql_js_reads_the_same_from_the_printed_schema_and_introspection() {
    let parts = [program("node"), packages("tests/js")];
    if there("graphql_js_reads_the_same_from_the_printed_schema_and_introspection", &parts) {
        node(&Demo::start(), "tests/js", "sdl.test.mjs", &[]);
    }
}

/// The README's blocks marked `console`, run in one shell from top to bottom, produce the output
/// shown.
#[test]
fn the_readme_tells_the_truth() {
    let parts = [program("bash"), program("curl"), program("sqlite3")];
    if !there("the_readme_tells_the_truth", &parts) {
        return;
    }
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    let session = session(&readme);
    assert!(session.len() > 5, "the README's session is not where it is looked for");

    let demo = Demo::start();
    let directory = demo.directory.path();
    std::fs::create_dir_all(directory.join("target/release")).unwrap();
    symlink(env!("CARGO_BIN_EXE_freshql"), directory.join("target/release/freshql")).unwrap();
    let blog = directory.join("examples/blog");
    copy(&top().join("examples/blog"), &blog);
    let (process, blog_address) = serve(&blog);
    // Stopped at the end of the test.
    let _blog =
        Demo { directory: tempfile::tempdir().unwrap(), process, address: blog_address.clone() };
    // The README's addresses are redirected to our ports, so that its commands can run unchanged.
    let redirect = format!(
        "connect-to = \"127.0.0.1:8080:{}\"\nconnect-to = \"127.0.0.1:8081:{blog_address}\"\n",
        demo.address
    );
    std::fs::write(directory.join(".curlrc"), redirect).unwrap();

    let mut script = String::new();
    for (command, _) in &session {
        writeln!(script, "{command}\nprintf '{END}'").unwrap();
    }
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(&script)
        .current_dir(directory)
        .env("CURL_HOME", directory)
        .stderr(Stdio::inherit());
    let output = text(&shell.output().unwrap().stdout);
    let outputs: Vec<_> = output.split_terminator(END).collect();
    assert_eq!(outputs.len(), session.len(), "{output}");

    let mut tokens = Tokens::default();
    for ((command, shown), printed) in session.iter().zip(outputs) {
        let printed: Vec<_> =
            printed.trim_end().lines().map(|line| line.trim_end_matches('\r')).collect();
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        assert!(
            tokens.agree(&shown, &printed),
            "$ {command}\n{}\n\nbut the README shows\n\n{}",
            printed.join("\n"),
            shown.join("\n")
        );
    }
}

#[test]
fn the_readme_names_every_setting() {
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    let help = bare().args(["serve", "--help"]).output().unwrap();
    let help = text(&help.stdout);
    let names = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut names: Vec<_> =
            words.filter(|word| word.starts_with("FRESHQL_")).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    };
    // The one setting that is not an option, since everybody on the machine can see command lines.
    let settings = names(&format!("{help} FRESHQL_ADMIN_TOKEN"));
    assert!(settings.len() > 8, "{settings:?}");
    assert_eq!(names(&readme), settings);
}

/// The README's commands, each with the output lines that it shows.
fn session(readme: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in readme.split("\n```console\n").skip(1) {
        for line in block.split("\n```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), commands.last_mut()) {
                (Some(command), ..) => commands.push((command.to_owned(), Vec::new())),
                (None, Some(continued), Some((command, shown))) if shown.is_empty() => {
                    write!(command, "\n{continued}").unwrap();
                }
                (None, _, Some((_, shown))) => shown.push(line.to_owned()),
                (None, _, None) => panic!("a block marked `console` begins with a command: {line}"),
            }
        }
    }
    commands
}

/// The ETags and etags in the README come from another database than the test's: they are compared
/// by which of them are equal. `…` stands for anything within a line, and alone on a line for any
/// number of lines.
#[derive(Clone, Default)]
struct Tokens {
    printed: HashMap<String, String>,
    shown: HashMap<String, String>,
}

impl Tokens {
    fn agree(&mut self, shown: &[&str], printed: &[&str]) -> bool {
        match shown {
            [] => printed.is_empty(),
            ["…", rest @ ..] => {
                (0..=printed.len()).any(|skipped| self.agree(rest, &printed[skipped..]))
            }
            [line, rest @ ..] => match printed {
                [other, others @ ..] => self.line(line, other) && self.agree(rest, others),
                [] => false,
            },
        }
    }

    fn line(&mut self, shown: &str, printed: &str) -> bool {
        match shown.split_once('…') {
            None => self.words(shown, printed),
            Some((start, rest)) => {
                // The text before it has the same length in both; the text after it is searched
                // for.
                let Some((before, after)) = printed.split_at_checked(start.len()) else {
                    return false;
                };
                let ends = after.char_indices().map(|(at, _)| at).chain([after.len()]);
                let mut known = self.clone();
                if !known.words(start, before) {
                    return false;
                }
                for at in ends {
                    let mut tried = known.clone();
                    if tried.line(rest, &after[at..]) {
                        *self = tried;
                        return true;
                    }
                }
                false
            }
        }
    }

    fn words(&mut self, shown: &str, printed: &str) -> bool {
        let (shown, printed) = (words(shown), words(printed));
        shown.len() == printed.len()
            && shown.iter().zip(printed).all(|(shown, printed)| self.word(shown, printed))
    }

    fn word(&mut self, shown: &str, printed: &str) -> bool {
        // An etag has 16 characters, an ETag 22.
        if shown == printed || shown.len() != printed.len() || !matches!(shown.len(), 16 | 22) {
            return shown == printed;
        }
        let forth = self.printed.entry(shown.to_owned()).or_insert_with(|| printed.to_owned());
        let back = self.shown.entry(printed.to_owned()).or_insert_with(|| shown.to_owned());
        forth == printed && back == shown
    }
}

/// Words of base64url characters, and every other character by itself.
fn words(text: &str) -> Vec<&str> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut words = Vec::new();
    for part in text.split_inclusive(|c| !letter(c)) {
        let (word, end) = part.split_at(part.trim_end_matches(|c| !letter(c)).len());
        words.extend([word, end].into_iter().filter(|piece| !piece.is_empty()));
    }
    words
}

#[test]
fn readme_outputs_are_compared_up_to_their_tokens() {
    let (a, b, c) = ("iTkR3s8Zq_iD7sEbwyhd8g", "3-IAkIwZkq_eNhe-VJ76TA", "TmjUU2MwVG7GuMLDRSbNHg");
    let agree = |shown: &[&str], printed: &[&str]| Tokens::default().agree(shown, printed);
    assert!(agree(&["x: \"…\", y", "…", "end"], &["x: \"1\", 2\", y", "1", "2", "end"]));
    assert!(agree(&["…"], &[]));
    assert!(!agree(&["x", "y"], &["x"]));
    assert!(!agree(&["x"], &["x", "y"]));
    assert!(!agree(&["x: 1…"], &["x: 2"]));
    assert!(agree(&[&format!("\"{a}\" \"{a}\"")], &[&format!("\"{b}\" \"{b}\"")]));
    assert!(!agree(&[&format!("\"{a}\" \"{a}\"")], &[&format!("\"{b}\" \"{c}\"")]));
    assert!(!agree(&[&format!("\"{a}\" \"{b}\"")], &[&format!("\"{c}\" \"{c}\"")]));
}
