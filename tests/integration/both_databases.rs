//! Which tests run on both databases: all but those of `one_database.txt`, each with the reason.

use std::path::Path;

#[test]
fn each_test_listed_for_one_database_exists_and_has_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let list = std::fs::read_to_string(folder.join("one_database.txt")).unwrap();
    let names: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(names.is_sorted(), "the list is in no order");
    for (line, name) in list.lines().zip(names) {
        assert!(!line[name.len()..].trim().is_empty(), "{name} says no reason");
        let (module, test) = name.split_once("::").unwrap_or((name, ""));
        let text = std::fs::read_to_string(folder.join(module).with_extension("rs"));
        let text = text.unwrap_or_else(|error| panic!("{module}: {error}"));
        assert!(test.is_empty() || text.contains(&format!("fn {test}(")), "there is no {name}");
    }
}
