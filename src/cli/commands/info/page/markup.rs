//! The only ways to put a text into the page: everything that is not ours is escaped here.

use airlift::format::OneLine;
use std::fmt::{self, Display, Write as _};

/// Displays a text inside markup or inside a quoted attribute, with every character escaped that
/// could end it, hide, or reorder what stands beside it.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in OneLine(self.0.to_string()).to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// One field of a table.
pub(super) enum Cell {
    Text(String),
    Number(String),
    /// A text that names the colour of a plot.
    Keyed(&'static str, String),
}

/// A table below its heading; headings of columns of numbers stand to the right.
pub(super) struct Table<'a> {
    pub(super) caption: &'a str,
    pub(super) headings: &'a [&'a str],
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Cell {
    pub(super) fn text(value: impl Display) -> Cell {
        Cell::Text(value.to_string())
    }

    pub(super) fn number(value: impl Display) -> Cell {
        Cell::Number(value.to_string())
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => write!(f, "<td>{}</td>", Text(text)),
            Cell::Number(text) => write!(f, "<td class=\"number\">{}</td>", Text(text)),
            Cell::Keyed(class, text) => {
                write!(f, "<td><span class=\"swatch {class}\"></span>{}</td>", Text(text))
            }
        }
    }
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>", Text(self.caption))?;
        let first = self.rows.first().map_or(&[][..], Vec::as_slice);
        for (column, heading) in self.headings.iter().enumerate() {
            let class = match first.get(column) {
                Some(Cell::Number(_)) => " class=\"number\"",
                _ => "",
            };
            write!(f, "<th scope=\"col\"{class}>{}</th>", Text(heading))?;
        }
        f.write_str("</tr></thead>\n<tbody>\n")?;
        for row in &self.rows {
            f.write_str("<tr>")?;
            row.iter().try_for_each(|cell| cell.fmt(f))?;
            f.write_str("</tr>\n")?;
        }
        f.write_str("</tbody></table></div>\n")
    }
}

/// Displays names and values as a list of definitions.
pub(super) struct Facts<'a> {
    pub(super) class: &'a str,
    pub(super) facts: Vec<(&'a str, String)>,
}

impl Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<dl class=\"{}\">", self.class)?;
        for (name, value) in &self.facts {
            let (name, value) = (Text(name), Text(value));
            match self.class {
                // A card is a box of its own around both.
                "cards" => writeln!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>")?,
                _ => writeln!(f, "<dt>{name}</dt><dd>{value}</dd>")?,
            }
        }
        f.write_str("</dl>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_neither_an_element_nor_an_attribute_and_reorders_nothing() {
        let text = "</td><script>\"'&\u{202e}\n";
        assert_eq!(Text(text).to_string(), "&lt;/td&gt;&lt;script&gt;&quot;&#39;&amp;\\u{202e}\\u{a}");
        assert_eq!(Cell::Keyed("c0", "<b>".to_owned()).to_string().matches("<b>").count(), 0);
    }
}
