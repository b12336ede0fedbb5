//! Lowers the priority of detection, which computes without a pause and must not delay the video.
#![allow(unsafe_code)]

/// Niceness of detection: how much lower it ranks than the other threads. The maximum is 19.
const NICENESS: libc::c_int = 5;

/// Lowers the priority of the calling thread, and of all threads that it starts from now on (the
/// workers of a runtime), below that of the process's other threads.
///
/// This cannot be undone. If the kernel refuses, detection competes for the processor as before.
pub fn yield_to_others() {
    // SAFETY: `setpriority` takes three integers and no pointer. On Linux, 0 means the calling
    // thread only.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
    if refused {
        log::debug!(
            "cannot lower the priority of detection: {}",
            std::io::Error::last_os_error()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness(of: &str) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        fields.split_whitespace().nth(16).unwrap().to_owned()
    }

    #[test]
    fn only_the_calling_thread_and_its_children_get_a_lower_priority() {
        let before = niceness("thread-self");
        let (own, child) = std::thread::spawn(|| {
            yield_to_others();
            let child = std::thread::spawn(|| niceness("thread-self"));
            (niceness("thread-self"), child.join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((own.as_str(), child.as_str()), ("5", "5"));
        assert_eq!(niceness("thread-self"), before);
    }
}
