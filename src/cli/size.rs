//! Sizes as people write and read them.

use std::fmt;

const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Returns the bytes that a text such as `4032MiB`, `4GiB`, `4.7GB` or `1048576` spells (C-05).
///
/// # Errors
/// Says which spellings there are. `4G` is refused: it means two things.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let unknown = || format!("{text} is no size; write it as 4032MiB, 4GiB, 650MB or in bytes");
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_len);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(unknown)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 3 || (number.contains('.') && fraction.is_empty()) {
        return Err(unknown());
    }
    let thousandths: u64 = format!("{fraction:0<3}").parse().map_err(|_| unknown())?;
    let whole: u64 = whole.parse().map_err(|_| unknown())?;
    let bytes = u128::from(whole) * u128::from(unit) + u128::from(thousandths) * u128::from(unit) / 1000;
    u64::try_from(bytes).map_err(|_| unknown())
}

/// Displays bytes in the largest binary unit, with three digits.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0 as f64, 0);
        while value >= 999.5 && unit < 4 {
            value /= 1024.0;
            unit += 1;
        }
        let name = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
        match (unit, value) {
            (0, _) => write!(f, "{} B", self.0),
            (_, value) if value < 9.995 => write!(f, "{value:.2} {name}"),
            (_, value) if value < 99.95 => write!(f, "{value:.1} {name}"),
            _ => write!(f, "{value:.0} {name}"),
        }
    }
}

/// Displays a count and its noun: `1 file`, `2 files`.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, noun) = self;
        match (count, noun.strip_suffix('y')) {
            (1, _) => write!(f, "1 {noun}"),
            (_, Some(stem)) => write!(f, "{count} {stem}ies"),
            _ => write!(f, "{count} {noun}s"),
        }
    }
}

/// Displays `part` of `whole` in percent.
pub(crate) struct Percent {
    pub(crate) part: u64,
    pub(crate) whole: u64,
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole == 0 {
            return f.pad("-");
        }
        f.pad(&format!("{:.1} %", self.part as f64 * 100.0 / self.whole as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_families_of_units_and_refuses_what_is_ambiguous() {
        for (text, bytes) in [
            ("4032MiB", 4032 << 20),
            ("4GiB", 4 << 30),
            ("650MB", 650_000_000),
            ("4.7GB", 4_700_000_000),
            ("64 MiB", 64 << 20),
            ("0.5KiB", 512),
            ("17", 17),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "4G", "MiB", "-1", "1.MiB", ".5GB", "1.2345GB", "4GiBs", "99999999999TiB", "1.2.3MB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_three_digits() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (1 << 20, "1.00 MiB"), (4032 << 20, "3.94 GiB")]
        {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Count(1, "file").to_string(), "1 file");
        assert_eq!(Count(2, "empty directory").to_string(), "2 empty directories");
        assert_eq!(Percent { part: 1, whole: 3 }.to_string(), "33.3 %");
    }
}
