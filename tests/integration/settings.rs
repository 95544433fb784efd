//! Each setting is declared once, and everything that names it is derived: the option with its
//! variable, the key in `freshql.toml`, and the row in the README's table.

use std::path::Path;

use freshql::config::auth::KEYS;
use freshql::config::{PartialConfig, SETTINGS};

use crate::program::bare;

#[test]
fn readme_has_a_row_for_each_setting() {
    let mut expected = Vec::new();
    for setting in SETTINGS {
        if setting.name == "auth" {
            expected
                .extend(KEYS.iter().map(|(key, default, help)| {
                    format!("| auth.{key} | | | {default} | {help} |")
                }));
            continue;
        }
        let cell = |text: Option<String>| text.map_or(" ".to_owned(), |text| format!(" {text} "));
        expected.push(format!(
            "|{}|{}|{}| {} | {} |",
            cell(setting.key()),
            cell(setting.option().map(|name| format!("--{name}"))),
            cell(setting.variable()),
            setting.default,
            setting.help()
        ));
    }
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split_once("| `freshql.toml` | option | environment |").unwrap().1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    // Texts that differ only in code markup count as equal.
    let plain = |line: &str| line.replace('`', "");
    let rows: Vec<_> = rows.map(plain).collect();
    let is_right = rows == expected.iter().map(|line| plain(line)).collect::<Vec<_>>();
    assert!(is_right, "README's table should be:\n{}", expected.join("\n"));
}

#[test]
fn options_variables_and_keys_are_those_that_are_declared() {
    let help = bare().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(SETTINGS.len() > 25);
    for setting in SETTINGS {
        if let (Some(option), Some(variable)) = (setting.option(), setting.variable()) {
            let (_, text) = help.split_once(&format!(" --{option}")).unwrap();
            let text = text.split(" --").next().unwrap();
            assert!(text.contains(&format!("[default: {}]", setting.default)), "{option}: {text}");
            assert!(text.contains(&format!("[env: {variable}=")), "{option}: {text}");
        }
        let Some(key) = setting.key() else { continue };
        // No setting is a time of day, so the error for a known key is about the value.
        let text = format!("{key} = 07:32:00");
        let mistakes = PartialConfig::from_toml("freshql.toml", &text).unwrap_err();
        assert!(mistakes[0].message.starts_with("expected "), "{key}: {}", mistakes[0].message);
    }
}

#[test]
fn an_invalid_value_is_refused_with_the_same_message_wherever_it_is_set() {
    let freshql = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let output = bare().args(arguments).envs(variable).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let cases = [
        ("readers", "0", "expected a number from 1 to 1024"),
        ("max_rows", "many", "expected a number from 100 to 1000000000"),
        ("mode", "prod", "there is no mode `prod`; use `trusted`, `apq` or `open`"),
        ("cache_size", "1 EiB", "`1 EiB` is not a size"),
        ("document_retention", "7w", "`7w` is not a length of time"),
    ];
    for (name, value, message) in cases {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        let option = format!("--{}={value}", setting.option().unwrap());
        let said = freshql(&["serve", &option], None);
        assert!(said.contains(message) && said.contains(&setting.option().unwrap()), "{said}");
        let variable = setting.variable().unwrap();
        let said = freshql(&["serve"], Some((&variable, value)));
        assert!(said.contains(message), "{said}");
        if value.parse::<u64>().is_err() && name == "max_rows" {
            continue;
        }
        let text = match value.parse::<u64>() {
            Ok(number) => format!("{} = {number}", setting.key().unwrap()),
            Err(_) => format!("{} = \"{value}\"", setting.key().unwrap()),
        };
        let mistakes = PartialConfig::from_toml("freshql.toml", &text).unwrap_err();
        let help = mistakes[0].help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        let said = format!("{}{help}", mistakes[0].message);
        assert!(said.starts_with(message), "{said}");
    }
}

#[test]
fn completions_and_manual_pages_know_the_commands_and_their_options() {
    let freshql = |arguments: &[&str]| bare().args(arguments).output().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(freshql(&["completions", shell]).stdout).unwrap();
        assert!(script.contains("migrate") && script.contains("cache-size"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert!(freshql(&["man", pages.to_str().unwrap()]).status.success());
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("freshql.1").contains("freshql\\-serve(1)"));
    assert!(page("freshql-serve.1").contains("cache\\-size"));
}
