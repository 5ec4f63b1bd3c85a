//! The `handler` binary: started by the Functions host, by a person, or by itself to read one document behind a fence.

use std::process::ExitCode;

use knowledge_worker::cli;
use knowledge_worker::ingest::extract;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == extract::CHILD_COMMAND) {
        // Nothing else may run in this process: no runtime, no settings, no log.
        return extract::run_child();
    }
    keep_little_memory();
    match std::env::current_exe() {
        Ok(program) => cli::run(program),
        Err(e) => {
            eprintln!("error: cannot find the path of this program: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Asks the allocator for few arenas. By default glibc gives every thread one, and each keeps what its documents once took:
/// with two, the same 200 documents cost a quarter of the memory at the same CPU.
fn keep_little_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a call into the C library that changes a number, before any other thread is there")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
