//! Rules of block lists: their text is read without a panic and written so that it can be read again, and a list says what
//! its rules say one by one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::admission::{BlockList, Rule};
use std::net::IpAddr;

/// Questions about every rule cost the square of their number.
const MOST: usize = 64;

/// The addresses around the ends of a rule, and a few of its own.
fn interesting(rule: &Rule) -> impl Iterator<Item = IpAddr> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    let (first, last) = (number(rule.first()), number(rule.last()));
    let middle = first + (last - first) / 2;
    let numbers = [first.wrapping_sub(1), first, middle, last, last.wrapping_add(1)];
    numbers.into_iter().map(|number| IpAddr::V6(number.into()))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let list = BlockList::new();
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines().take(MOST) {
        // A hash removes what is behind it.
        let (text, removes) = line.strip_prefix('#').map_or((line, false), |text| (text, true));
        let Ok(rule) = text.parse::<Rule>() else { continue };
        assert_eq!(rule.to_string().parse(), Ok(rule));
        assert!(rule.contains(rule.first()) && rule.contains(rule.last()));
        let had = rules.contains(&rule);
        if removes {
            assert_eq!(list.remove(rule), had);
            rules.retain(|other| *other != rule);
        } else {
            list.add(rule);
            if !had {
                rules.push(rule);
            }
        }
        for address in rules.iter().chain([&rule]).flat_map(interesting) {
            assert_eq!(list.check(address), rules.iter().any(|rule| rule.contains(address)), "{address}");
        }
    }
    rules.sort_unstable();
    assert_eq!(list.rules(), rules);
});
