//! The API as SDL, printed from the same definitions as the schema that introspection shows.
//! async-graphql's own printer escapes too little in descriptions and prints directives that every
//! server has.

use std::fmt::Write;

use super::definition::{BUILT_IN_SCALARS, Definitions, FieldDef, InputDef, TypeDef, TypeKind};

/// The whole API. The same definitions always give the same bytes.
pub(crate) fn print(definitions: &Definitions) -> String {
    let mut sdl = String::new();
    for ty in definitions.types().iter().filter(|ty| !BUILT_IN_SCALARS.contains(&ty.name.as_str()))
    {
        if !sdl.is_empty() {
            sdl.push('\n');
        }
        print_type(&mut sdl, definitions, ty);
    }
    sdl
}

fn print_type(sdl: &mut String, definitions: &Definitions, ty: &TypeDef) {
    print_description(sdl, "", ty.description.as_deref());
    let name = &ty.name;
    match &ty.kind {
        TypeKind::Scalar { specified_by } => {
            let _ = write!(sdl, "scalar {name}");
            if let Some(url) = specified_by {
                let _ = write!(sdl, " @specifiedBy(url: {})", quoted(url));
            }
            sdl.push('\n');
        }
        TypeKind::Enum(values) => {
            let _ = writeln!(sdl, "enum {name} {{");
            for value in values {
                print_description(sdl, "  ", value.description.as_deref());
                let _ = writeln!(sdl, "  {}", value.name);
            }
            sdl.push_str("}\n");
        }
        TypeKind::Object(fields) => {
            let implements = definitions
                .interface_of(name)
                .map(|interface| format!(" implements {}", interface.name));
            let _ = writeln!(sdl, "type {name}{} {{", implements.unwrap_or_default());
            print_fields(sdl, fields);
        }
        TypeKind::Interface(fields) => {
            let _ = writeln!(sdl, "interface {name} {{");
            print_fields(sdl, fields);
        }
        TypeKind::Input { fields, one_of } => {
            let _ = writeln!(sdl, "input {name}{} {{", if *one_of { " @oneOf" } else { "" });
            for field in fields {
                print_input(sdl, "  ", field);
                sdl.push('\n');
            }
            sdl.push_str("}\n");
        }
    }
}

fn print_fields(sdl: &mut String, fields: &[FieldDef]) {
    for field in fields {
        print_description(sdl, "  ", field.description.as_deref());
        let _ = write!(sdl, "  {}", field.name);
        print_arguments(sdl, &field.args);
        let _ = writeln!(sdl, ": {}", field.ty);
    }
    sdl.push_str("}\n");
}

fn print_arguments(sdl: &mut String, args: &[InputDef]) {
    if args.is_empty() {
        return;
    }
    if args.iter().all(|arg| arg.description.is_none()) {
        for (index, arg) in args.iter().enumerate() {
            sdl.push_str(if index == 0 { "(" } else { ", " });
            print_input(sdl, "", arg);
        }
        sdl.push(')');
    } else {
        sdl.push_str("(\n");
        for arg in args {
            print_input(sdl, "    ", arg);
            sdl.push('\n');
        }
        sdl.push_str("  )");
    }
}

fn print_input(sdl: &mut String, indent: &str, input: &InputDef) {
    print_description(sdl, indent, input.description.as_deref());
    let _ = write!(sdl, "{indent}{}: {}", input.name, input.ty);
    if let Some(default) = &input.default {
        let _ = write!(sdl, " = {default}");
    }
}

/// A block string if the text survives the rules for block strings (indentation, blank first and
/// last lines), otherwise a quoted string.
fn print_description(sdl: &mut String, indent: &str, description: Option<&str>) {
    let Some(text) = description else { return };
    if !text.contains('\n') || !survives_block(text) {
        let _ = writeln!(sdl, "{indent}{}", quoted(text));
        return;
    }
    let _ = writeln!(sdl, "{indent}\"\"\"");
    for line in text.replace("\"\"\"", "\\\"\"\"").split('\n') {
        let _ = writeln!(sdl, "{}{line}", if line.is_empty() { "" } else { indent });
    }
    let _ = writeln!(sdl, "{indent}\"\"\"");
}

/// Whether parsing the text as a block string returns the same text.
fn survives_block(text: &str) -> bool {
    let blank = |line: &str| line.trim_matches([' ', '\t']).is_empty();
    let lines: Vec<&str> = text.split('\n').collect();
    let ends_are_full =
        lines.first().is_some_and(|l| !blank(l)) && lines.last().is_some_and(|l| !blank(l));
    let some_line_at_margin =
        lines.iter().any(|line| !line.is_empty() && !line.starts_with([' ', '\t']));
    let no_blank_with_spaces = lines.iter().all(|line| line.is_empty() || !blank(line));
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    ends_are_full
        && some_line_at_margin
        && no_blank_with_spaces
        && !text.contains(control)
        && !text.contains('\\')
}

fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(literal, "\\u{:04x}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}
