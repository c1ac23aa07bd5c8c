//! The lines of a `config.env`: `NAME=VALUE`, also with `export`, quotes and comments.

/// A line that sets a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment<'a> {
    pub(super) line_number: usize,
    pub(super) name: &'a str,
    /// Nothing where a quote is not closed, or something stands behind it.
    pub(super) value: Option<Written<'a>>,
}

/// A value as it stands in a file, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written<'a> {
    /// In single quotes: nothing is put into it.
    Single(&'a str),
    /// In double quotes.
    Double(&'a str),
    /// Without quotes.
    Bare(&'a str),
}

/// Returns what each line sets, from the first; the number of a line, from 1, that sets nothing. Comments
/// and blank lines are passed over.
pub(super) fn assignments(text: &str) -> impl Iterator<Item = Result<Assignment<'_>, usize>> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(line_number, line)| {
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = line.split_once('=').filter(|(name, _)| is_name(name)).ok_or(line_number)?;
        Ok(Assignment { line_number, name, value: Written::of(value) })
    })
}

/// Tells whether a text may name a variable.
pub(super) fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with(|c: char| c.is_ascii_digit())
}

impl<'a> Written<'a> {
    fn of(value: &'a str) -> Option<Written<'a>> {
        let trimmed = value.trim();
        let Some(quote) = trimmed.chars().next().filter(|first| matches!(first, '\'' | '"')) else {
            return Some(Written::Bare(before_comment(value)));
        };
        let (text, behind) = trimmed[1..].split_once(quote)?;
        let is_over = before_comment(behind).is_empty();
        is_over.then_some(if quote == '\'' { Written::Single(text) } else { Written::Double(text) })
    }

    /// Returns the value that a shell would give the variable; nothing where it would have to work it out.
    pub(super) fn literal(self) -> Option<&'a str> {
        let is_worked_out = |text: &str| text.contains(['$', '`', '\\', '"', '\'']);
        match self {
            Written::Single(text) => Some(text),
            Written::Double(text) => Some(text).filter(|text| !is_worked_out(text)),
            Written::Bare(text) => {
                Some(text).filter(|text| !is_worked_out(text) && !text.contains(char::is_whitespace))
            }
        }
    }
}

/// Returns what stands before ` #`.
fn before_comment(text: &str) -> &str {
    let mut marks = text.match_indices('#').map(|(at, _)| &text[..at]);
    marks.find(|before| before.ends_with(char::is_whitespace)).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_quotes_and_comments() {
        for (text, value) in [
            ("a b # c", Some(Written::Bare("a b"))),
            (" # c", Some(Written::Bare(""))),
            ("#c", Some(Written::Bare("#c"))),
            ("a#b", Some(Written::Bare("a#b"))),
            ("\"a # b\" # c", Some(Written::Double("a # b"))),
            ("'a'", Some(Written::Single("a"))),
            ("", Some(Written::Bare(""))),
            ("'a", None),
            ("'a'b", None),
            ("\"a\"#", None),
        ] {
            assert_eq!(Written::of(text), value, "{text}");
        }
    }

    #[test]
    fn only_what_is_written_out_is_literal() {
        assert_eq!(Written::Single("$a `b`").literal(), Some("$a `b`"));
        for text in ["$a", "`a`", "a\\b", "'a'"] {
            assert_eq!((Written::Double(text).literal(), Written::Bare(text).literal()), (None, None), "{text}");
        }
        assert_eq!((Written::Double("a b").literal(), Written::Bare("a b").literal()), (Some("a b"), None));
    }

    #[test]
    fn lines_that_set_nothing_are_told_by_their_number() {
        let found: Vec<_> = assignments("# a=1\n\n export b=2\r\nc\n1d=3\ne='").collect();
        let set = |line_number, name, value| Ok(Assignment { line_number, name, value });
        assert_eq!(found, [set(3, "b", Some(Written::Bare("2"))), Err(4), Err(5), set(6, "e", None)]);
    }
}
