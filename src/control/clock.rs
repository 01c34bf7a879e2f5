//! Moments as people and programs write them: RFC 3339, in UTC, to the millisecond.

use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// This moment, and one so much later.
pub fn now_and(later: Duration) -> (String, String) {
    let now = OffsetDateTime::now_utc();
    (text(now), text(now.saturating_add(time::Duration::try_from(later).unwrap_or(time::Duration::MAX))))
}

/// This moment.
pub fn now() -> String {
    text(OffsetDateTime::now_utc())
}

/// So much before this moment.
pub fn before(ago: Duration) -> String {
    let ago = time::Duration::try_from(ago).unwrap_or(time::Duration::ZERO);
    text(OffsetDateTime::now_utc().saturating_sub(ago))
}

/// Whether a moment has come. One that can not be read has.
pub fn has_come(moment: &str) -> bool {
    OffsetDateTime::parse(moment, &Rfc3339).map_or(true, |moment| moment <= OffsetDateTime::now_utc())
}

/// How long ago a moment was; one that can not be read was long ago.
pub fn age(moment: &str) -> Duration {
    let read = OffsetDateTime::parse(moment, &Rfc3339).map(|moment| OffsetDateTime::now_utc() - moment);
    read.map_or(Duration::MAX, |age| Duration::try_from(age).unwrap_or_default())
}

/// The moment of a text, in seconds since 1970.
pub fn seconds(moment: &str) -> Option<i64> {
    OffsetDateTime::parse(moment, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

fn text(moment: OffsetDateTime) -> String {
    let millis = moment.millisecond();
    let moment = moment.replace_millisecond(millis).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_and_another_has_not() {
        let (now, later) = now_and(Duration::from_secs(60));
        assert!(has_come(&now) && !has_come(&later));
        assert!(age(&now) < Duration::from_secs(5) && age(&later).is_zero() && age("?") == Duration::MAX);
        assert!(now.ends_with('Z') && now.len() <= "2026-11-21T14:00:00.000Z".len(), "{now}");
        assert_eq!(seconds(&later).unwrap() - seconds(&now).unwrap(), 60);
        assert!(now_and(Duration::MAX).1.is_empty() || has_come("no moment"));
    }
}
