//! A name with several addresses: which is tried when (RFC 8305, "Happy Eyeballs").

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

/// An address that has not answered by then gets company (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The order in which addresses are tried: both families in turn, IPv6 first, each in the order that
/// the resolver prefers.
pub fn in_order(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(SocketAddr::is_ipv6);
    six.reverse();
    four.reverse();
    let mut ordered = Vec::with_capacity(six.len() + four.len());
    while !(six.is_empty() && four.is_empty()) {
        ordered.extend(six.pop());
        ordered.extend(four.pop());
    }
    ordered
}

/// Connects to the first of `addresses` that answers. Each is tried once the one before has failed,
/// or has had its head start; all but the first to answer are given up.
///
/// # Errors
///
/// What the last one failed with; `None` if there is none to try.
pub async fn race<T, E, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Option<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut untried = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    let mut next_at = Instant::now();
    let attempt = |address| {
        let connecting = connect(address);
        async move { (address, connecting.await) }
    };
    loop {
        if next_at <= Instant::now()
            && let Some(address) = untried.next()
        {
            attempts.push(attempt(address));
            next_at = Instant::now() + HEAD_START;
        }
        tokio::select! {
            Some((address, outcome)) = attempts.next() => match outcome {
                Ok(connected) => return Ok((address, connected)),
                Err(err) => {
                    failure = Some(err);
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if untried.len() > 0 => {}
            else => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::time::sleep;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let given = [
            "10.0.0.1:1",
            "10.0.0.2:1",
            "10.0.0.3:1",
            "[::1]:1",
            "[::2]:1",
        ];
        let wanted = [
            "[::1]:1",
            "10.0.0.1:1",
            "[::2]:1",
            "10.0.0.2:1",
            "10.0.0.3:1",
        ];
        assert_eq!(in_order(addresses(&given)), addresses(&wanted));
        assert_eq!(in_order([]), []);
    }

    /// Races for `[::1]`, `10.0.0.1` and `[::2]` on port 1: after how long each answers, or fails.
    async fn run(
        outcomes: [(u64, Result<(), &'static str>); 3],
    ) -> (Result<SocketAddr, Option<&'static str>>, Vec<(usize, u64)>) {
        let all = addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1"]);
        let start = Instant::now();
        let tried = Mutex::new(Vec::new());
        let won = race(&all, |address| {
            let index = all.iter().position(|a| *a == address).unwrap();
            let at = u64::try_from(start.elapsed().as_millis()).unwrap();
            tried.lock().unwrap().push((index, at));
            let (after, outcome) = outcomes[index];
            async move {
                sleep(Duration::from_millis(after)).await;
                outcome
            }
        });
        let won = won.await.map(|(address, ())| address);
        (won, tried.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_answers_wins_and_nobody_else_is_asked() {
        let (won, tried) = run([(200, Ok(())), (1, Ok(())), (1, Ok(()))]).await;
        assert_eq!(won.unwrap(), "[::1]:1".parse().unwrap());
        assert_eq!(tried, [(0, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_its_head_start_and_a_refusal_nothing() {
        let (won, tried) = run([(9000, Err("silent")), (10, Ok(())), (1, Ok(()))]).await;
        assert_eq!(won.unwrap(), "10.0.0.1:1".parse().unwrap());
        assert_eq!(tried, [(0, 0), (1, 250)]);

        let (won, tried) = run([(1, Err("refused")), (1, Err("refused")), (50, Ok(()))]).await;
        assert_eq!(won.unwrap(), "[::2]:1".parse().unwrap());
        assert!(tried.iter().all(|(_, at)| *at < 10), "{tried:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_still_wins_when_the_others_fail() {
        let (won, _) = run([(1500, Ok(())), (1, Err("refused")), (1, Err("refused"))]).await;
        assert_eq!(won.unwrap(), "[::1]:1".parse().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told() {
        let (won, tried) = run([
            (2000, Err("silent")),
            (1, Err("refused")),
            (1, Err("no route")),
        ])
        .await;
        assert_eq!(won, Err(Some("silent")));
        assert_eq!(tried.len(), 3);
        let nothing: Result<(SocketAddr, ()), Option<&str>> = race(&[], |_| async { Ok(()) }).await;
        assert_eq!(nothing, Err(None));
    }
}
