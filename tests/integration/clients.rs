//! The npm packages in `clients/`, whose tests start this program.

use std::process::Command;

use crate::outside::{node_program, packages, program, text, there, top};

/// Compiles the package in `clients/js` and runs its tests, with the real Apollo Client, urql and TanStack Query.
#[test]
fn the_javascript_clients_keep_their_promises() {
    let parts = [program("node"), packages("clients/js")];
    if !there("the_javascript_clients_keep_their_promises", &parts) {
        return;
    }
    let mut command = Command::new(node_program());
    command.arg("test/run.mjs").current_dir(top().join("clients/js"));
    let output = command.env("FRESHQL_BIN", env!("CARGO_BIN_EXE_freshql")).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
