//! The time in which a key is valid: `valid-after` and `valid-before` of allowed_signers.

/// The seconds since 1970 between which a key is valid, both ends included (T-37).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// First second, if there is one.
    pub after: Option<u64>,
    /// Last second, if there is one.
    pub before: Option<u64>,
}

impl Validity {
    /// Tells whether the second `at` lies within.
    pub fn holds_at(&self, at: u64) -> bool {
        self.after.is_none_or(|after| at >= after) && self.before.is_none_or(|before| at <= before)
    }
}

/// Returns the second that `YYYYMMDD[HHMM[SS]]Z` spells; nothing for another form, a day that does
/// not exist, or the year 1969 and before (T-37).
pub(super) fn parse_time(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z')?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse::<u64>().ok());
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    let day_good = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if year < 1970 || !day_good || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before_year = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let before_month: u64 = (1..month).map(|month| days_in(year, month)).sum();
    let days = before_year + before_month + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms() {
        let cases = [
            ("19700101Z", 0),
            ("19700102Z", 86_400),
            ("20000229Z", 951_782_400),
            ("20260101Z", 1_767_225_600),
            ("202601010130Z", 1_767_231_000),
            ("20260101013001Z", 1_767_231_001),
            ("99991231235959Z", 253_402_300_799),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_local_times_and_days_that_do_not_exist() {
        let bad = [
            "20260101",
            "20260101T0000Z",
            "20260229Z",
            "20261301Z",
            "20260100Z",
            "20260001Z",
            "202601012400Z",
            "202601010060Z",
            "20260101000060Z",
            "19691231Z",
            "2026010100Z",
            "+0260101Z",
            "Z",
            "",
            "21000229Z",
        ];
        for text in bad {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn both_ends_are_included() {
        let validity = Validity { after: Some(10), before: Some(20) };
        assert_eq!([9, 10, 20, 21].map(|at| validity.holds_at(at)), [false, true, true, false]);
        assert!(Validity::default().holds_at(0) && Validity::default().holds_at(u64::MAX));
    }
}
