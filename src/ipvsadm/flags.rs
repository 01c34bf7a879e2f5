//! Flags of schedulers: `flag-1` to `flag-3`, two of which have names where the scheduler is sh or mh.

use super::Exit;

/// The flags that have names: whose, and which.
const NAMED: [(&str, &str, u8); 4] =
    [("sh-fallback", "sh", 1), ("sh-port", "sh", 2), ("mh-fallback", "mh", 1), ("mh-port", "mh", 2)];
/// All by number.
const NUMBERED: [(&str, u8); 3] = [("flag-1", 1), ("flag-2", 2), ("flag-3", 4)];

/// The bits of a list of flags.
pub(super) fn read(list: &str, scheduler: &str) -> Result<u8, Exit> {
    let mut bits = 0;
    for flag in list.split(',').filter(|flag| !flag.is_empty()) {
        let named = NAMED.iter().find(|(name, ..)| *name == flag);
        bits |= match (named, NUMBERED.iter().find(|(name, _)| *name == flag)) {
            (Some((_, owner, bit)), _) if *owner == scheduler => bit,
            (Some(_), _) => return Err(Exit::usage(format!("incompatible scheduler flag `{flag}'"))),
            (None, Some((_, bit))) => bit,
            (None, None) => return Err(Exit::usage(format!("invalid scheduler flag `{flag}'"))),
        };
    }
    Ok(bits)
}

/// The flags that are set, with commas between them. sh and mh know no third one.
pub(super) fn write(bits: u8, scheduler: &str) -> String {
    let own: Vec<&str> =
        NAMED.iter().filter(|(_, owner, bit)| *owner == scheduler && bits & bit != 0).map(|f| f.0).collect();
    if NAMED.iter().any(|(_, owner, _)| *owner == scheduler) {
        return own.join(",");
    }
    NUMBERED.iter().filter(|(_, bit)| bits & bit != 0).map(|f| f.0).collect::<Vec<_>>().join(",")
}
