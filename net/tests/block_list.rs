//! Rules about addresses: their text, what they contain, and lists of them.

use net::admission::{BlockList, Rule, RuleError};
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rule(text: &str) -> Rule {
    text.parse().expect("a rule")
}

fn texts(list: &BlockList) -> Vec<String> {
    list.rules().iter().map(Rule::to_string).collect()
}

// Node: test-blocklist
#[test]
fn single_addresses_are_found_in_both_forms_of_ipv4() {
    let list = BlockList::new();
    for text in ["1.1.1.1", "8592:757c:efae:4e45:fb5d:d62a:0d00:8e17", "::ffff:1.1.1.2"] {
        list.add_address(ip(text));
    }
    for text in ["1.1.1.1", "::ffff:1.1.1.1", "1.1.1.2", "8592:757c:efae:4e45:fb5d:d62a:0d00:8e17"] {
        assert!(list.check(ip(text)), "{text}");
    }
    for text in ["1.2.3.4", "::1", "::1.1.1.1", "1.1.1.0", "1.1.1.3"] {
        assert!(!list.check(ip(text)), "{text}");
    }
}

// Node: test-blocklist (and nodejs/node issue 39074: an address outside matched by its last byte)
#[test]
fn ranges_include_both_ends_and_nothing_else() {
    let list = BlockList::new();
    list.add_range(ip("10.0.0.2"), ip("10.0.0.10")).expect("a range");
    list.add_range(ip("::1"), ip("::f")).expect("a range");
    for text in ["10.0.0.2", "10.0.0.10", "::ffff:0a00:0002", "::ffff:0a00:000a", "::1", "::f", "::8"] {
        assert!(list.check(ip(text)), "{text}");
    }
    let outside = ["10.0.0.1", "10.0.0.11", "192.168.0.3", "2.2.2.2", "255.255.255.255", "::", "::10"];
    let mapped = ["::ffff:c0a8:0003", "::ffff:0202:0202", "::ffff:ffff:ffff"];
    for text in outside.iter().chain(&mapped) {
        assert!(!list.check(ip(text)), "{text}");
    }
}

// Node: test-blocklist (and nodejs/node issue 43360: a prefix of 32 bits matched everything)
#[test]
fn subnets_have_the_addresses_of_their_prefix_whatever_its_length() {
    let list = BlockList::new();
    list.add_subnet(ip("1.1.1.0"), 16).expect("a subnet");
    list.add_subnet(ip("10.0.0.0"), 27).expect("a subnet");
    list.add_subnet(ip("9.9.9.9"), 32).expect("a subnet");
    list.add_subnet(ip("8592:757c:efaf::"), 51).expect("a subnet");
    list.add_subnet(ip("2001:db8::1"), 128).expect("a subnet");
    let inside = ["1.1.0.1", "1.1.255.255", "::ffff:1.1.0.1", "10.0.0.0", "10.0.0.31", "9.9.9.9"];
    let inside6 = ["8592:757c:efaf::", "8592:757c:efaf:1fff:ffff:ffff:ffff:ffff", "2001:db8::1"];
    for text in inside.iter().chain(&inside6) {
        assert!(list.check(ip(text)), "{text}");
    }
    let outside = ["1.2.0.1", "1.0.255.255", "10.0.0.32", "9.9.9.8", "9.9.9.10", "4.3.2.4"];
    let outside6 = ["8592:757c:efaf:2000::", "8592:757c:efae:ffff::", "2001:db8::", "2001:db8::2", "::"];
    for text in outside.iter().chain(&outside6) {
        assert!(!list.check(ip(text)), "{text}");
    }
    for (all, holds4) in [("0.0.0.0/0", true), ("::/0", true), ("2000::/3", false)] {
        let list: BlockList = [rule(all)].into_iter().collect();
        assert_eq!(list.check(ip("1.2.3.4")), holds4, "{all}");
    }
}

// oven-sh/bun issue 33296: a subnet of IPv4-mapped addresses
#[test]
fn a_subnet_of_mapped_addresses_is_one_of_ipv4() {
    let list: BlockList = [rule("::ffff:10.0.0.0/104")].into_iter().collect();
    assert_eq!(texts(&list), ["10.0.0.0/8"]);
    assert!(list.check(ip("10.1.2.3")) && list.check(ip("::ffff:10.1.2.3")) && !list.check(ip("11.0.0.0")));
    // A range larger than IPv4, and a range across its end.
    let list: BlockList = [rule("::ffff:0:0/95"), rule("::ffff:255.0.0.0-::1:0:0:0")].into_iter().collect();
    assert!(list.check(ip("0.0.0.0")) && list.check(ip("::fffe:1:1")) && list.check(ip("::1:0:0:0")));
}

// Node: test-blocklist
#[test]
fn rules_that_make_no_sense_are_refused_with_the_reason() {
    let (first, last) = (ip("1.1.1.2"), ip("1.1.1.1"));
    assert_eq!(Rule::range(first, last), Err(RuleError::Reversed { first, last }));
    let (first, last) = (ip("1.1.1.1"), ip("::1"));
    assert_eq!(Rule::range(first, last), Err(RuleError::MixedFamilies { first, last }));
    assert_eq!(Rule::subnet(ip("1.1.1.1"), 33), Err(RuleError::Prefix { prefix: 33, most: 32 }));
    assert_eq!(Rule::subnet(ip("::"), 129), Err(RuleError::Prefix { prefix: 129, most: 128 }));
    let refused = |text: &str| text.parse::<Rule>().expect_err(text);
    for text in ["", " ", "1.1.1", "1.1.1.1 ", "01.1.1.1", "localhost", "fe80::1%eth0", "1.1.1.1-", "-", "/8"]
    {
        assert!(matches!(refused(text), RuleError::NoAddress { .. }), "{text}");
    }
    for text in ["1.1.1.1/", "1.1.1.1/+8", "1.1.1.1/-1", "1.1.1.1/8/8", "1.1.1.1/0x8", "::/00000064"] {
        assert_eq!(refused(text), RuleError::NoPrefix, "{text}");
    }
    assert_eq!(refused(" 1.1.1.1").to_string(), "\" 1.1.1.1\" is no IP address");
    assert_eq!(refused(&"x".repeat(100_000)).to_string().len(), 64 + "\"\" is no IP address".len());
    assert_eq!(refused("1.1.1.1/999").to_string(), "a prefix of 999 bits: the most is 32");
    assert_eq!(refused("1.1.1.2-1.1.1.1").to_string(), "1.1.1.2 is behind 1.1.1.1");
    let error = net::Error::from(refused("1.1.1.1/33"));
    assert_eq!(error.code(), net::ErrorCode::InvalidArgument);
}

#[test]
fn a_rule_is_written_in_its_shortest_form_which_can_be_parsed() {
    let forms = [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("1.2.3.4/32", "1.2.3.4"),
        ("1.2.3.4-1.2.3.4", "1.2.3.4"),
        ("192.0.2.4-192.0.2.7", "192.0.2.4/30"),
        ("192.0.2.5-192.0.2.7", "192.0.2.5-192.0.2.7"),
        ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::-::ffff:1.2.3.4", "::-::ffff:1.2.3.4"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ];
    for (text, form) in forms {
        assert_eq!(rule(text).to_string(), form);
        assert_eq!(rule(form), rule(text));
        assert_eq!(
            rule(form).first().is_ipv4(),
            form.starts_with(|first: char| first.is_ascii_digit()) && !form.contains(':')
        );
    }
}

// Node: test-blocklist
#[test]
fn a_rule_that_is_there_already_is_listed_once_and_a_removed_one_applies_no_more() {
    let list = BlockList::new();
    for text in ["1.1.1.1", "1.1.1.1", "1.1.1.0/24", "10.0.0.1-10.0.0.10", "1.1.2.0/24"] {
        list.add(rule(text));
    }
    assert_eq!(texts(&list), ["1.1.1.0/24", "1.1.1.1", "1.1.2.0/24", "10.0.0.1-10.0.0.10"]);
    let other = list.clone();
    assert!(other.remove(rule("1.1.1.0/24")) && !other.remove(rule("1.1.1.0/24")));
    assert!(list.check(ip("1.1.1.1")) && !list.check(ip("1.1.1.2")) && list.check(ip("1.1.2.9")));
    assert!(list.remove(rule("1.1.1.1/32")) && !list.check(ip("1.1.1.1")));
    assert!(!list.remove(rule("10.0.0.2-10.0.0.3")), "a part of a rule is none");
    assert_eq!(texts(&list), ["1.1.2.0/24", "10.0.0.1-10.0.0.10"]);
    assert_eq!(format!("{list:?}"), "BlockList { rules: 2 }");
}

/// Numbers without end, from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u128) -> u128 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from(self.0 >> 33) % bound
    }
}

#[test]
fn a_list_says_what_its_rules_say_one_by_one_however_they_overlap() {
    let mut numbers = Numbers(1);
    // Both ends of all addresses, where sums overflow, and the border of IPv4.
    let bases = [0, u128::MAX - 40, 0xffff_0000_0000 - 20];
    for round in 0..300 {
        let list = BlockList::new();
        let mut rules: Vec<Rule> = Vec::new();
        let base = bases[round % bases.len()];
        let address = |number: u128| IpAddr::V6((base + number).into());
        for _ in 0..30 {
            if numbers.below(3) > 0 || rules.is_empty() {
                let first = numbers.below(40);
                let last = first + numbers.below(6).min(40 - first);
                let rule = Rule::range(address(first), address(last)).expect("in order");
                list.add(rule);
                rules.retain(|other| *other != rule);
                rules.push(rule);
            } else {
                let removed = rules.remove(numbers.below(rules.len() as u128) as usize);
                assert!(list.remove(removed));
            }
            for number in 0..=40 {
                let address = address(number);
                let expected = rules.iter().any(|rule| rule.contains(address));
                assert_eq!(list.check(address), expected, "{address} in {rules:?}");
            }
        }
        rules.sort_unstable();
        assert_eq!(list.rules(), rules);
    }
}

#[test]
fn a_hundred_thousand_rules_are_added_asked_and_removed_without_going_through_all_of_them() {
    let (list, mut numbers) = (BlockList::new(), Numbers(7));
    let address = |number: u128| IpAddr::V6((number << 64).into());
    let rules: Vec<_> =
        (0..100_000).map(|number| Rule::subnet(address(2 * number), 64).expect("a subnet")).collect();
    let begun = std::time::Instant::now();
    rules.iter().for_each(|rule| list.add(*rule));
    for _ in 0..100_000 {
        let number = numbers.below(200_000);
        assert_eq!(list.check(address(number)), number % 2 == 0);
    }
    assert!(rules.iter().all(|rule| list.remove(*rule)));
    // Going through all of them would take 10^10 steps.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert!(list.rules().is_empty() && !list.check(address(0)));
}
