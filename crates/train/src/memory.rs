//! Memory of the process.

/// Returns the peak memory of this process, if the system reports it.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = maana_files::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
