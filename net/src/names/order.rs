//! In which order addresses are tried. Mirrors `lookupAndConnectMultiple`, Node's `lib/net.js`.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Each address once, the families by turns, beginning with that of the first address (RFC 8305, section 4).
pub(crate) fn by_turns(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let mut families = [Vec::new(), Vec::new()];
    for address in addresses {
        let family = &mut families[usize::from(address.is_ipv4() != first)];
        if !family.contains(address) {
            family.push(*address);
        }
    }
    let rounds = families[0].len().max(families[1].len());
    let of_round = |round| families.iter().filter_map(move |family| family.get(round).copied());
    (0..rounds).flat_map(of_round).collect()
}

#[cfg(test)]
mod tests {
    use super::by_turns;
    use std::net::SocketAddr;

    fn all(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_the_first_and_no_address_comes_twice() {
        let turns = |addresses: &[&str]| Vec::from(by_turns(&all(addresses)));
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "[::1]:1", "1.0.0.2:1"];
        assert_eq!(turns(&given), all(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]));
        let given = ["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"];
        assert_eq!(turns(&given), all(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]));
        assert_eq!(turns(&["1.0.0.1:1", "1.0.0.1:1"]), all(&["1.0.0.1:1"]));
        assert_eq!(turns(&["1.0.0.1:1", "1.0.0.1:2"]).len(), 2, "other ports are other addresses");
        assert_eq!(turns(&[]), []);
    }
}
