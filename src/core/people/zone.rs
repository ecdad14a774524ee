//! Time zones as HR systems name them.
//!
//! # Why
//! Access ends at a local time. A zone that nobody knows must not keep the whole leaver from ending: then the policy's zone
//! counts, and it is said.

mod windows;

use jiff::tz::TimeZone;

use self::windows::WINDOWS;

/// Jiff's name for a zone that is not known.
const UNKNOWN: &str = "Etc/Unknown";

/// The IANA name of a zone that is named by IANA or by Windows, in any case; none for any other name, abbreviations such as
/// `PST` among them: several zones share most of those.
pub fn iana(text: &str) -> Option<String> {
    let text = text.trim();
    let zone = TimeZone::get(text).ok();
    if let Some(name) = zone.as_ref().and_then(TimeZone::iana_name) {
        return Some(name.to_owned()).filter(|name| name != UNKNOWN);
    }
    let lower = text.to_ascii_lowercase();
    let at = WINDOWS.binary_search_by(|(name, _)| (*name).cmp(&lower)).ok()?;
    WINDOWS.get(at).map(|(_, zone)| (*zone).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_iana_name_and_by_that_of_windows() {
        for (text, expected) in [
            ("Europe/Berlin", Some("Europe/Berlin")),
            (" europe/berlin ", Some("Europe/Berlin")),
            ("UTC", Some("UTC")),
            ("W. Europe Standard Time", Some("Europe/Berlin")),
            ("pacific standard time", Some("America/Los_Angeles")),
            ("UTC-11", Some("Etc/GMT+11")),
            ("PST", None),
            ("Berlin", None),
            ("+01:00", None),
            ("Etc/Unknown", None),
            ("", None),
        ] {
            assert_eq!(iana(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn every_zone_of_windows_is_there_once_and_known_here() {
        assert!(WINDOWS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, zone) in WINDOWS {
            assert_eq!(name, name.to_ascii_lowercase());
            assert_eq!(iana(zone).as_deref(), Some(zone), "{name}");
        }
    }
}
