//! Names of keystore files: `UTC--<time>--<address>`.

use std::time::SystemTime;

use alloy::primitives::Address;

/// The address that a keystore's name ends in.
pub(super) fn address_in(name: &str) -> Option<Address> {
    name.split("--").nth(2)?.trim_end_matches(".json").parse().ok()
}

/// `UTC--2026-01-02T03-04-05.678000000Z--<checksummed address without 0x>`, as the JavaScript SDK names keystores.
pub(super) fn file_name(address: Address, now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    let owner = address.to_checksum(None);
    let owner = owner.trim_start_matches("0x");
    format!("UTC--{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{millis:03}000000Z--{owner}")
}

/// Year, month and day of a count of days since 1970-01-01 in the Gregorian calendar; years begin in March while counting,
/// so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
