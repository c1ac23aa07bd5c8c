//! The only ways to print a text that came from outside.

use std::fmt::{self, Write as _};

/// Displays a text in double quotes with every character escaped that could act on a terminal,
/// break a line of a log, or hide.
pub struct Shown<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.as_ref().chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if is_unshowable(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Displays a line of our own in which a text from outside may stand: the same characters are
/// escaped, without quotes around it.
pub struct OneLine<T>(pub T);

impl<T: AsRef<str>> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.as_ref().chars() {
            match c {
                c if is_unshowable(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Tells whether a character is a control, invisible, reorders text, or is no character (F-31).
pub(super) const fn is_unshowable(c: char) -> bool {
    matches!(c as u32,
        0x0000..=0x001f | 0x007f..=0x009f
        | 0x00ad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164
        | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
        | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
        || (c as u32) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_acts_on_a_terminal_and_keeps_the_rest() {
        let text = "a\u{1b}[31m\n\u{202e}é\"\\";
        assert_eq!(Shown(text).to_string(), "\"a\\u{1b}[31m\\u{a}\\u{202e}é\\\"\\\\\"");
    }

    #[test]
    fn keeps_a_line_one_line() {
        assert_eq!(OneLine("a \"b\"\n\u{1b}[2J").to_string(), "a \"b\"\\u{a}\\u{1b}[2J");
    }
}
