//! Times of the head: whole seconds in UTC (F-121).

use std::fmt;

/// A time in whole seconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

impl Time {
    /// Returns the time `seconds` after the start of 1970, held at the end of 9999.
    pub fn from_unix(seconds: u64) -> Time {
        Time(seconds.min(LAST))
    }

    /// Returns the seconds since the start of 1970.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// Returns the time that `text` spells as `YYYY-MM-DDTHH:MM:SSZ`, or nothing for any other text.
    pub fn parse(text: &str) -> Option<Time> {
        let bytes = text.as_bytes();
        if bytes.len() != 20 {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to]
                .iter()
                .try_fold(0u64, |sum, &digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let time = Time((days_before(year, month) + day - 1) * DAY + hour * 3600 + minute * 60 + second);
        // Writing it again settles separators, hours past the end of a day and days past that of a month.
        (time.to_string() == text).then_some(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970 + days / 366;
        while days_before(year + 1, 1) <= days {
            year += 1;
        }
        let month = (1..=12).rev().find(|&month| days_before(year, month) <= days).unwrap_or(1);
        let day = days - days_before(year, month) + 1;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns the days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_days(year) > leap_days(year - 1);
    let leap_day = u64::from(is_leap && month > 2);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + BEFORE_MONTH[month as usize - 1] + leap_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_real_dates_only() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_550_096, "2026-11-24T19:54:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Time::from_unix(seconds).to_string(), text);
            assert_eq!(Time::parse(text), Some(Time(seconds)));
        }
        assert_eq!(Time::from_unix(LAST + 1), Time(LAST));
        assert_eq!(Time::from_unix(u64::MAX).unix(), LAST);
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "9999-12-31T24:00:00Z",
            "9999-99-99T99:99:99Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00+0",
            "",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_a_long_span_roundtrips() {
        for day in (0..LAST / DAY).step_by(97) {
            let time = Time(day * DAY + day % DAY);
            assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
    }
}
