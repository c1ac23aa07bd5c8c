//! The time in which a key is valid: `valid-after` and `valid-before` of allowed_signers.

use crate::format::Time;

/// The time in which a key is valid, both ends included (T-37).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// First second, if there is one.
    pub after: Option<Time>,
    /// Last second, if there is one.
    pub before: Option<Time>,
}

impl Validity {
    /// Tells whether the second `at` lies within.
    pub fn holds_at(&self, at: Time) -> bool {
        self.after.is_none_or(|after| at >= after) && self.before.is_none_or(|before| at <= before)
    }
}

/// Returns the time that `YYYYMMDD[HHMM[SS]]Z` spells, or nothing for any other text (T-37).
pub(super) fn parse_time(text: &str) -> Option<Time> {
    let digits = text.strip_suffix('Z')?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pair = |from: usize| digits.get(from..from + 2).unwrap_or("00");
    let (date, hour) = (format!("{}-{}-{}", &digits[..4], pair(4), pair(6)), pair(8));
    Time::parse(&format!("{date}T{hour}:{}:{}Z", pair(10), pair(12)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms() {
        let cases = [
            ("19700102Z", 86_400),
            ("20000229Z", 951_782_400),
            ("20260101Z", 1_767_225_600),
            ("202601010130Z", 1_767_231_000),
            ("20260101013001Z", 1_767_231_001),
            ("99991231235959Z", 253_402_300_799),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text), Some(Time::from_unix(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_local_times_and_days_that_do_not_exist() {
        let bad = "20260101 20260101T0000Z 20260229Z 20261301Z 20260100Z 20260001Z 202601012400Z 202601010060Z \
                   20260101000060Z 19691231Z 2026010100Z +0260101Z Z 21000229Z 2026-01-01Z";
        for text in bad.split(' ').chain([""]) {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn both_ends_are_included() {
        let at = Time::from_unix;
        let validity = Validity { after: Some(at(10)), before: Some(at(20)) };
        assert_eq!([9, 10, 20, 21].map(|second| validity.holds_at(at(second))), [false, true, true, false]);
        assert!(Validity::default().holds_at(at(0)) && Validity::default().holds_at(at(u64::MAX)));
    }
}
