//! The layout of tables: columns as wide as their cells, or narrower, so that each row is one line of the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The space between two columns.
const GAP: usize = 2;
/// The width up to which cells are padded for a program: otherwise one long cell would make every row as long.
const PADDED_MAX: usize = 40;
/// The width below which a column is not made narrower.
const WIDTH_MIN: usize = 6;

/// Makes the widest columns narrower until the line fits into `room`, as far as possible.
pub(super) fn fit(widths: &mut [usize], is_fixed: &[bool], room: usize) {
    while total(widths) > room {
        let widest = widths.iter_mut().zip(is_fixed).filter(|(width, is_fixed)| !**is_fixed && **width > WIDTH_MIN);
        match widest.max_by_key(|(width, _)| **width) {
            Some((width, _)) => *width -= 1,
            None => return,
        }
    }
}

/// Leaves out the last columns of a line that does not fit into `room`, but not the first one.
pub(super) fn leave_out(widths: &mut Vec<usize>, room: usize) {
    while total(widths) > room && widths.len() > 1 {
        widths.pop();
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// One line of a table for a program: no cell is cut, and one that is wider than its column moves the cells after it.
pub(super) fn whole_line<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize]) -> String {
    let widths = widths.iter().map(|width| (*width).min(PADDED_MAX));
    let cells = cells.zip(widths).map(|(cell, width)| {
        let padding = width.saturating_sub(cell.width()) + GAP;
        format!("{cell}{:padding$}", "")
    });
    cells.collect::<String>().trim_end().to_owned()
}

/// One line of a table.
pub(super) fn line<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        let cell = cut(cell, *width);
        let padding = (width + GAP).saturating_sub(cell.width());
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.trim_end().to_owned()
}

/// A text of at most this width, with an ellipsis in the place of its end.
pub(super) fn cut(text: &str, width_max: usize) -> String {
    if text.width() <= width_max {
        return text.to_owned();
    }
    let (mut shown, mut width) = (String::new(), 1);
    for char in text.chars() {
        width += char.width().unwrap_or(0);
        if width > width_max {
            break;
        }
        shown.push(char);
    }
    shown + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_times_stay_whole() {
        let is_fixed = [true, true, false, false, false];
        for room in [200, 80, 60, 45, 30, 10] {
            let mut widths = vec![20, 7, 30, 12, 90];
            fit(&mut widths, &is_fixed, room);
            leave_out(&mut widths, room);
            let total = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
            assert!(total <= room.max(20), "{room}: {widths:?}");
            assert!(widths[0] == 20 && widths.get(1).is_none_or(|width| *width == 7));
            assert_eq!(widths.len() == 5, room >= 51, "{room}: {widths:?}");
        }
    }

    #[test]
    fn texts_are_cut_by_their_width() {
        for (text, width, cut_text) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
        ] {
            assert_eq!(cut(text, width), cut_text);
            assert!(cut(text, width).width() <= width);
        }
    }
}
