//! What the system lets one process have.

/// Limits of this process that a broker with many files must respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Open descriptors, files and sockets together (`RLIMIT_NOFILE`, the soft limit).
    pub open_files: usize,
    /// Memory maps, those of the allocator and of thread stacks included (`vm.max_map_count`).
    pub memory_maps: usize,
}

/// Linux's default for `vm.max_map_count`, taken where it cannot be read.
const MEMORY_MAPS_DEFAULT: usize = 65_530;
/// Taken for "no limit": more than a broker opens.
const OPEN_FILES_UNLIMITED: usize = 1 << 20;

// === impl ProcessLimits ===

impl ProcessLimits {
    /// The limits now in force.
    #[must_use]
    pub fn of_this_process() -> Self {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .and_then(|limit| usize::try_from(limit).ok())
            .map_or(OPEN_FILES_UNLIMITED, |limit| limit.min(OPEN_FILES_UNLIMITED));
        let memory_maps = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(MEMORY_MAPS_DEFAULT);
        Self { open_files, memory_maps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_open_files_and_maps() {
        let limits = ProcessLimits::of_this_process();
        assert!(limits.open_files > 10 && limits.memory_maps > 100, "{limits:?}");
    }
}
