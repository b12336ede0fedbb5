//! Detection computes for as long as there is something to compute; video must not wait for it.
#![allow(unsafe_code)]

/// How much lower than everything else detection ranks; 19 would be the most.
const NICENESS: libc::c_int = 5;

/// Lets every other thread of this process go before the calling one, and before those that it
/// starts from now on (a runtime's workers).
///
/// It cannot be undone. If the kernel refuses, detection merely competes as it did.
pub fn yield_to_others() {
    // SAFETY: `setpriority` takes three integers and touches no memory of ours. On Linux, 0 means
    // the calling thread alone.
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
    fn only_the_calling_thread_and_its_children_rank_lower() {
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
