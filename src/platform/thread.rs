//! Priorities of threads.

/// Added to the nice value of threads that compute for long: a third of the processor time of a thread of usual priority.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Lowers the priority of the calling thread, for the rest of its life.
///
/// Where there is more to do than the cores can do, the threads that accept connections, answer health checks and write
/// events then go first. The system lets no thread without privileges raise its priority again.
#[cfg(target_os = "linux")]
pub fn lower_priority() {
    use std::cell::Cell;

    thread_local! {
        static IS_LOWERED: Cell<bool> = const { Cell::new(false) };
    }
    if IS_LOWERED.replace(true) {
        return;
    }
    // A thread has a nice value of its own, and passes it on to the threads that it starts: setpriority(2), under "C
    // library/kernel differences".
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread that computes for long keeps its usual priority");
    }
}

/// Other systems have one nice value for a whole process, or priorities of another kind.
#[cfg(not(target_os = "linux"))]
pub const fn lower_priority() {}
