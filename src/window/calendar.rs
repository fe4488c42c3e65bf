//! Times as a person names them, in the time zone of the machine.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Milliseconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// What conversations are listed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Today,
    Yesterday,
    Week,
    /// Year and month, from 1.
    Month(i16, i8),
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        match self {
            Self::Today => f.write_str("Today"),
            Self::Yesterday => f.write_str("Yesterday"),
            Self::Week => f.write_str("Previous 7 days"),
            Self::Month(year, month) => {
                let name = MONTHS.get((month - 1).max(0) as usize).unwrap_or(&"");
                write!(f, "{name} {year}")
            }
        }
    }
}

/// A day to count from, in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    now: i64,
    today: Date,
}

impl Calendar {
    /// From now, where the machine is.
    pub fn here() -> Self {
        Self::new(now(), TimeZone::system())
    }

    fn new(now: i64, zone: TimeZone) -> Self {
        let today = timestamp(now).to_zoned_datetime(zone.clone()).date();
        Self { zone, now, today }
    }

    /// Counts days since some day: another number is another day.
    pub fn day(&self) -> i64 {
        self.today.duration_since(Date::ZERO).as_hours() / 24
    }

    pub fn period(&self, time: i64) -> Period {
        let date = self.date(time);
        match self.days_ago(date) {
            // What lies in the future was written before the clock was set.
            ..=0 => Period::Today,
            1 => Period::Yesterday,
            2..=7 => Period::Week,
            _ => Period::Month(date.year(), date.month()),
        }
    }

    /// How long ago that was, or when, if that is long ago.
    pub fn ago(&self, time: i64) -> String {
        const MINUTE: i64 = 60_000;
        let zoned = timestamp(time).to_zoned_datetime(self.zone.clone());
        let clock = zoned.strftime("%H:%M");
        let minutes = self.now.saturating_sub(time).max(0) / MINUTE;
        match (self.days_ago(zoned.date()), minutes) {
            (_, 0) => "just now".into(),
            (_, 1) => "a minute ago".into(),
            (_, 2..=59) => format!("{minutes} minutes ago"),
            (..=0, _) => format!("today at {clock}"),
            (1, _) => format!("yesterday at {clock}"),
            (days @ 2..=7, _) => format!("{days} days ago, {}", zoned.strftime("%A at %H:%M")),
            _ => zoned.strftime("%-d %B %Y at %H:%M").to_string(),
        }
    }

    fn date(&self, time: i64) -> Date {
        timestamp(time).to_zoned_datetime(self.zone.clone()).date()
    }

    fn days_ago(&self, date: Date) -> i64 {
        self.today.duration_since(date).as_hours() / 24
    }
}

/// A time in a file may be any number.
fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    /// 2026-03-12 at 14:05 in UTC.
    const THEN: i64 = 1_773_324_300_000;

    #[test]
    fn days_are_named_as_people_do() {
        let calendar = Calendar::new(THEN, TimeZone::UTC);
        for (ago, period, words) in [
            (-DAY, "Today", "just now"),
            (0, "Today", "just now"),
            (60_000, "Today", "a minute ago"),
            (HOUR / 2, "Today", "30 minutes ago"),
            (3 * HOUR, "Today", "today at 11:05"),
            (15 * HOUR, "Yesterday", "yesterday at 23:05"),
            (2 * DAY, "Previous 7 days", "2 days ago, Tuesday at 14:05"),
            (7 * DAY, "Previous 7 days", "7 days ago, Thursday at 14:05"),
            (8 * DAY, "March 2026", "4 March 2026 at 14:05"),
            (80 * DAY, "December 2025", "22 December 2025 at 14:05"),
        ] {
            assert_eq!(calendar.period(THEN - ago).to_string(), period);
            assert_eq!(calendar.ago(THEN - ago), words);
        }
    }

    #[test]
    fn days_begin_where_the_machine_is() {
        // 23:30 in UTC is the next day already further east.
        let late = THEN + 9 * HOUR + 25 * 60_000;
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(
            Calendar::new(late, TimeZone::UTC).period(THEN),
            Period::Today
        );
        assert_eq!(Calendar::new(late, east).period(THEN), Period::Yesterday);
    }

    #[test]
    fn odd_times_are_no_trouble() {
        let calendar = Calendar::new(THEN, TimeZone::UTC);
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let _ = (calendar.period(time).to_string(), calendar.ago(time));
        }
        assert_ne!(
            calendar.day(),
            Calendar::new(THEN + DAY, TimeZone::UTC).day()
        );
    }
}
