//! What this process occupies.

/// Bytes resident, on ordinary and on huge pages.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let of = |field: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
    };
    of("VmRSS:") + of("HugetlbPages:")
}
