//! Tables for the output of commands.

/// Columns of equal width, two spaces apart; the last one is not padded.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in rows {
        let line: String =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 document`, `2 documents`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_have_no_trailing_spaces() {
        let rows = [["ID", "FILE"], ["abc", "ä"], ["a", "bc"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "ID   FILE\nabc  ä\na    bc\n");
    }
}
