//! Each setting has one name in four spellings, and one default: the option, the variable, the key
//! in `freshql.toml`, and the row of README's table follow from each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use freshql::config::FileConfig;

/// What the options of `freshql serve --help` say: the option's name, its variable, its default.
fn options() -> BTreeMap<String, (String, String)> {
    let help =
        Command::new(env!("CARGO_BIN_EXE_freshql")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let texts = help.split("\n      --").skip(1);
    let options = texts.filter_map(|text| {
        let text = text.replace('\n', " ");
        let name = text.split([' ', '[', '=']).next()?.to_owned();
        let within =
            |start: &str, end: &str| Some(text.split_once(start)?.1.split_once(end)?.0.to_owned());
        let default = within("[default: ", "]").unwrap_or_else(|| "false".to_owned());
        Some((
            name,
            (within("[env: ", "=")?, default.split_whitespace().collect::<Vec<_>>().join(" ")),
        ))
    });
    options.collect()
}

/// The rows of README's table: key, option, variable, default.
fn rows() -> Vec<[String; 4]> {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split_once("| `freshql.toml` | option | environment |").unwrap().1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        [1, 2, 3, 4].map(|cell| cells[cell].clone())
    };
    rows.map(cells).collect()
}

#[test]
fn option_variable_key_and_readme_say_the_same_of_each_setting() {
    let mut options = options();
    assert!(options.len() > 20, "{options:?}");
    for [key, option, variable, default] in rows() {
        let Some(name) = option.strip_prefix("--") else {
            // A secret is no option, since others see command lines; what belongs to the project is
            // said in its file alone.
            assert!(
                variable == "FRESHQL_ADMIN_TOKEN" || (variable.is_empty() && !key.is_empty()),
                "{key} {variable}"
            );
            continue;
        };
        let said = options.remove(name);
        assert_eq!(
            said,
            Some((variable.clone(), default)),
            "`freshql serve --help` and README differ in --{name}"
        );
        let snake = name.replace('-', "_");
        assert_eq!(variable, format!("FRESHQL_{}", snake.to_uppercase()));
        if name == "dir" {
            continue;
        }
        assert_eq!(key.strip_prefix("limits.").unwrap_or(&key), snake);
        // No setting is a time of day: a key that is known complains of the value.
        let mistakes = FileConfig::parse("freshql.toml", &format!("{key} = 07:32:00")).unwrap_err();
        assert!(mistakes[0].message.starts_with("expected "), "{key}: {}", mistakes[0].message);
    }
    assert!(options.is_empty(), "README's table lacks {:?}", options.keys());
}

#[test]
fn completions_and_manual_pages_know_the_commands_and_their_options() {
    let freshql = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_freshql")).args(arguments).output().unwrap()
    };
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
