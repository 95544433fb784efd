//! The files of a room have no circular imports: each can be read and changed before those that use
//! it. Paths are resolved through re-exports to the file that defines the name; code for tests is
//! ignored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::floors::{Source, is_path, without_tests};

/// A module's path: `["store", "select"]`.
type Module = Vec<String>;

/// The files of its room that each file imports.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn files_of_a_module_do_not_import_each_other_in_a_circle() {
    let graph = graph(&crate::floors::sources());
    let mut report = String::new();
    for circle in circles(&graph) {
        writeln!(report, "\nthese files import each other in a circle:").unwrap();
        for (from, to) in
            circle.iter().flat_map(|from| graph[from].iter().map(move |to| (from, to)))
        {
            if circle.contains(to) {
                writeln!(report, "  {} imports {}", from.join("::"), to.join("::")).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn the_circle_check_follows_imports_and_re_exports() {
    let found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let names = |circle: &Vec<Module>| {
            circle.iter().map(|module| module.join("::")).collect::<Vec<_>>()
        };
        circles(&graph(&sources)).iter().map(names).collect::<Vec<_>>()
    };
    let none: Vec<Vec<String>> = Vec::new();
    assert_eq!(
        found(&[
            ("a/mod.rs", "mod b; mod c;"),
            ("a/b.rs", "use super::c::X;"),
            ("a/c.rs", "struct X;")
        ]),
        none
    );
    let circle = [
        ("a/mod.rs", "mod b; mod c;"),
        ("a/b.rs", "use super::{c::X, d};"),
        ("a/c.rs", "fn f(_: crate::a::b::Y) {}"),
    ];
    assert_eq!(found(&circle), [["a::b", "a::c"]]);
    let through_a_face = [
        ("a.rs", "mod b; mod c; pub use b::Y;"),
        ("a/b.rs", "use super::c::X;"),
        ("a/c.rs", "use super::Y;"),
    ];
    assert_eq!(found(&through_a_face), [["a::b", "a::c"]]);
    let parent_and_child =
        [("a/mod.rs", "mod b; fn f() { b::g() } struct S;"), ("a/b.rs", "use super::S;")];
    assert_eq!(found(&parent_and_child), [["a", "a::b"]]);
    let visibility = [("a.rs", "mod b; use b::X;"), ("a/b.rs", "pub(in crate::a) struct X;")];
    assert_eq!(found(&visibility), none);
    let in_tests = [
        ("a/mod.rs", "mod b; fn f() { b::g() } struct S;"),
        ("a/b.rs", "#[cfg(test)] mod tests { use super::super::S; }"),
    ];
    assert_eq!(found(&in_tests), none);
}

fn graph(sources: &[Source]) -> Graph {
    let files: BTreeMap<Module, Imports> = sources
        .iter()
        .filter(|source| !source.test && source.path != "lib.rs" && source.path != "main.rs")
        .map(|source| {
            let module: Module = source.modules().into_iter().map(str::to_owned).collect();
            let imports = Imports::of(&module, without_tests(source.tokens.clone()));
            (module, imports)
        })
        .collect();
    let edges = files.iter().map(|(module, imports)| {
        let targets = imports.paths.iter().map(|path| resolve(&files, path, 0));
        let in_room = targets.filter(|target| target != module && target.first() == module.first());
        (module.clone(), in_room.collect())
    });
    edges.collect()
}

/// The cycles, each with its modules in order.
fn circles(graph: &Graph) -> BTreeSet<Vec<Module>> {
    let reachable: HashMap<&Module, BTreeSet<&Module>> = graph
        .keys()
        .map(|from| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Module> = graph[from].iter().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(graph.get(next).into_iter().flatten());
                }
            }
            (from, seen)
        })
        .collect();
    let circle = |from: &Module| -> Vec<Module> {
        let back = |to: &Module| reachable.get(to).is_some_and(|back| back.contains(from));
        reachable[from].iter().filter(|to| back(to)).map(|to| Module::clone(to)).collect()
    };
    graph.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

/// What a file imports from other files.
#[derive(Default)]
struct Imports {
    /// Every path that starts at the crate's root, in full. Re-exported paths are only followed
    /// where they are used.
    paths: Vec<Module>,
    /// Names that `use` brings into the module's scope.
    names: HashMap<String, Module>,
}

impl Imports {
    fn of(module: &Module, tokens: TokenStream) -> Self {
        let mut imports = Self::default();
        let mut children = BTreeSet::new();
        declared(&tokens, &mut children);
        imports.read(module, &children, tokens);
        imports
    }

    fn read(&mut self, module: &Module, children: &BTreeSet<String>, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if is_word(tokens.get(at), "use") {
                let end = (at..tokens.len())
                    .find(|end| is_punct(tokens.get(*end), ';'))
                    .unwrap_or(tokens.len());
                let exported = at > 0
                    && (is_word(tokens.get(at - 1), "pub")
                        || matches!(&tokens[at - 1], TokenTree::Group(_))
                            && at > 1
                            && is_word(tokens.get(at - 2), "pub"));
                let mut found = Vec::new();
                tree(module, children, &tokens[at + 1..end], None, &mut found);
                for (name, path) in found {
                    if !exported {
                        self.paths.push(path.clone());
                    }
                    self.names.insert(name, path);
                }
                at = end;
            } else if let TokenTree::Group(group) = &tokens[at] {
                // `pub(in path)` restricts visibility and imports nothing.
                if at > 0
                    && is_word(tokens.get(at - 1), "pub")
                    && group.delimiter() == Delimiter::Parenthesis
                {
                    at += 1;
                    continue;
                }
                self.read(module, children, group.stream());
            } else if is_path(&tokens, at + 1) && !(at >= 2 && is_path(&tokens, at - 2)) {
                let mut end = at + 1;
                while is_path(&tokens, end)
                    && matches!(tokens.get(end + 2), Some(TokenTree::Ident(_)))
                {
                    end += 3;
                }
                let mut found = Vec::new();
                tree(module, children, &tokens[at..end], None, &mut found);
                self.paths.extend(found.into_iter().map(|(_, path)| path));
                at = end - 1;
            }
            at += 1;
        }
    }
}

/// The modules that a file declares.
fn declared(tokens: &TokenStream, children: &mut BTreeSet<String>) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for window in tokens.windows(3) {
        if let [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)] = window
            && *word == "mod"
            && end.as_char() == ';'
        {
            children.insert(name.to_string());
        }
    }
}

/// Reads a tree of paths from its root (None: not started yet); paths that start outside the crate
/// are ignored.
fn tree(
    module: &Module,
    children: &BTreeSet<String>,
    tokens: &[TokenTree],
    root: Option<Module>,
    found: &mut Vec<(String, Module)>,
) {
    let mut path = root;
    let mut at = 0;
    let mut name = String::new();
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(word) => {
                name = word.to_string();
                path = match (path, name.as_str()) {
                    (None, "crate") => Some(Vec::new()),
                    (None, "self") => Some(module.clone()),
                    (None, "super") => Some(module[..module.len() - 1].to_vec()),
                    (None, child) if children.contains(child) => {
                        Some([module.as_slice(), &[name.clone()]].concat())
                    }
                    (None, _) => return,
                    (Some(path), "self") => Some(path),
                    (Some(path), "super") => Some(path[..path.len() - 1].to_vec()),
                    (Some(path), _) => Some([path, vec![name.clone()]].concat()),
                };
                if is_word(tokens.get(at + 1), "as") {
                    name = tokens[at + 2].to_string();
                    break;
                }
                at += 1;
            }
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for branch in inner.split(
                    |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','),
                ) {
                    tree(module, children, branch, path.clone(), found);
                }
                return;
            }
            _ => at += 1,
        }
    }
    found.extend(path.map(|path| (name, path)));
}

/// The file that defines what a path names.
fn resolve(files: &BTreeMap<Module, Imports>, path: &Module, depth: usize) -> Module {
    let mut module = Module::new();
    for (at, segment) in path.iter().enumerate() {
        let next = [module.as_slice(), std::slice::from_ref(segment)].concat();
        if files.contains_key(&next) {
            module = next;
        } else {
            let target = files.get(&module).and_then(|imports| imports.names.get(segment));
            return match target {
                Some(target) if depth < 10 => {
                    resolve(files, &[target.as_slice(), &path[at + 1..]].concat(), depth + 1)
                }
                _ => module,
            };
        }
    }
    module
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(found)) if *found == word)
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}
