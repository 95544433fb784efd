//! The npm packages in `clients/` and the application in `examples/`, whose tests start this
//! program.

use std::process::Command;

use crate::installed_program::{browser, node_program, packages, program, text, there, top};

/// Compiles the package in `clients/js` and runs its tests, with the real Apollo Client, urql and
/// TanStack Query.
#[test]
fn the_javascript_clients_keep_their_promises() {
    let parts = [program("node"), packages("clients/js")];
    if there("the_javascript_clients_keep_their_promises", &parts) {
        run_tests("clients/js");
    }
}

/// Builds the application and uses it in a browser.
#[test]
fn in_the_example_a_second_visit_is_a_304_and_no_edit_is_lost() {
    let parts = [
        program("node"),
        packages("clients/js"),
        packages("examples/react-apollo"),
        ("Chromium", browser().is_file()),
    ];
    if there("in_the_example_a_second_visit_is_a_304_and_no_edit_is_lost", &parts) {
        run_tests("examples/react-apollo");
    }
}

fn run_tests(directory: &str) {
    let mut command = Command::new(node_program());
    command.arg("test/run.mjs").current_dir(top().join(directory));
    let output = command.env("FRESHQL_BIN", env!("CARGO_BIN_EXE_freshql")).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
