//! Properties of this machine.

/// Returns the name of the processor, if the system provides it.
pub fn processor() -> Option<String> {
    let text = maana_files::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
