//! What a relay says at its start: who may come in, and how the first administrator is created.

use std::net::SocketAddr;

use crate::config::Open;
use crate::doors::Doors;
use crate::server::address_on_the_network;

/// Tells the log who may watch and bring cameras on `address`, and what to do if nobody may yet.
pub fn announce_doors(doors: &Doors, address: SocketAddr) {
    let port = address.port();
    let cameras = match doors.takes_agents() {
        true => format!(
            " and may bring cameras {}",
            how(doors, doors.asks_agents_for_token())
        ),
        false => String::new(),
    };
    log::info!(
        "port {port} on {}: {} may watch {}{cameras}",
        address.ip(),
        who(doors, address),
        how(doors, doors.asks_for_token()),
    );
    let agents_need_a_token = doors.asks_agents_for_token() || !doors.takes_agents();
    if doors.open() == Open::Everyone && !(doors.asks_for_token() && agents_need_a_token) {
        log::warn!(
            "--open: whoever reaches port {port} needs nothing to come in; without --open people sign in{}",
            if doors.takes_agents() {
                ", and accept each agent once"
            } else {
                ""
            }
        );
    }
    if doors.open() != Open::Loopback {
        announce_set_up(doors, address);
    }
}

fn who(doors: &Doors, address: SocketAddr) -> &'static str {
    match (doors.open(), address.ip()) {
        (Open::Loopback, _) => "programs on this machine",
        (_, ip) if ip.is_loopback() => "programs on this machine",
        (_, ip) if ip.is_unspecified() => "anyone who reaches this machine",
        _ => "anyone who reaches this address",
    }
}

/// What a person or program needs.
fn how(doors: &Doors, token: bool) -> &'static str {
    let open = match doors.open() {
        Open::Everyone => true,
        Open::Loopback => !doors.has_admin(),
        Open::Nobody => false,
    };
    match (open, token, doors.access().is_some()) {
        (true, false, _) => "without a token",
        (_, true, false) | (true, true, true) => "with the token",
        (false, true, true) => "with the token or an administrator's leave",
        (false, false, true) => "with an administrator's leave",
        (false, false, false) => "not at all",
    }
}

fn announce_set_up(doors: &Doors, address: SocketAddr) {
    let port = address.port();
    let Some(link) = doors.set_up_link() else {
        return;
    };
    let from_here = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("open http://localhost:{port} on this machine, or ")
    } else {
        String::new()
    };
    let ip = if address.ip().is_unspecified() {
        address_on_the_network().unwrap_or(address.ip())
    } else {
        address.ip()
    };
    let (command, bring) = match doors.takes_agents() {
        true => (
            ", or run cv-relay user add --admin NAME",
            " and bring cameras",
        ),
        false => ("", ""),
    };
    log::warn!(
        "there is no administrator yet, so nobody can watch: {from_here}open http://{}/#set-up={} \
         (it works once){command}; with --open everyone may watch{bring}, as with earlier versions",
        SocketAddr::new(ip, port),
        link.expose(),
    );
}
