//! Markdown tables. Cells are already escaped; narrow columns are padded, so that the source is
//! legible.

/// Widest padded column.
const PADDED_WIDTH: usize = 48;

/// Alignment of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Formats a table, with a newline after every row except the last.
pub(crate) fn table(header: &[String], align: &[Align], rows: &[Vec<String>]) -> String {
    assert_eq!(header.len(), align.len(), "{} columns and {} alignments", header.len(), align.len());
    let letters = |text: &String| text.chars().count();
    let width = |column: usize| {
        let widest =
            rows.iter().map(|row| letters(&row[column])).chain([letters(&header[column]), 3]).max().unwrap_or(3);
        if widest > PADDED_WIDTH { 3 } else { widest }
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[String]| {
        assert_eq!(cells.len(), header.len(), "{} cells in a table of {} columns", cells.len(), header.len());
        let padded = cells.iter().zip(&widths).zip(align).map(|((cell, &width), align)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().zip(align).map(|(&width, align)| match align {
        Align::Left => format!(":{}", "-".repeat(width + 1)),
        Align::Right => format!("{}:", "-".repeat(width + 1)),
    });
    let rule = format!("|{}|", rule.collect::<Vec<_>>().join("|"));
    let mut lines = vec![line(header), rule];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}
