//! Text tables: columns two spaces apart, a header and a rule as wide as each column.

/// Lays out rows under their header. Ends with a line end; no trailing spaces.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let rule = header.iter().map(|_| String::new()).collect::<Vec<_>>();
    let header = header.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let widths = widths(std::iter::once(&header).chain(rows), header.len());
    let rule: Vec<String> = rule.iter().zip(&widths).map(|(_, width)| "-".repeat(*width)).collect();
    let mut text = String::new();
    for row in [&header, &rule].into_iter().chain(rows) {
        push_row(&mut text, row, &widths);
    }
    text
}

/// Lays out rows without a header, as `tctl status` does.
#[must_use]
pub fn plain(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths = widths(rows, columns);
    let mut text = String::new();
    for row in rows {
        push_row(&mut text, row, &widths);
    }
    text
}

fn widths<'a>(rows: impl IntoIterator<Item = &'a Vec<String>>, columns: usize) -> Vec<usize> {
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn push_row(text: &mut String, row: &[String], widths: &[usize]) {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(&printable(cell));
        let gap = width.saturating_sub(cell.chars().count()) + 2;
        line.extend(std::iter::repeat_n(' ', gap));
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A cell without control characters: a name from afar must not move the cursor.
fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["aws".to_owned(), "x".to_owned()],
            vec!["a-long-name".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["Name", "Type"], &rows),
            "Name         Type\n-----------  ----\naws          x\na-long-name\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!table(&["A"], &[vec!["\u{1b}[2J".to_owned()]]).contains('\u{1b}'));
    }
}
