//! Rules about addresses, and the question whether one of them applies. Mirrors `net.BlockList`.

use super::rule::{Rule, RuleError, number_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A list of addresses, ranges and subnets (`net.BlockList`). Clones share it, in other threads, too: a change applies from the next
/// question on, wherever the list is in use.
///
/// A question costs a binary search, however many rules there are and however they overlap.
///
/// ```
/// use net::admission::BlockList;
/// use net::{ConnectOptions, ServerOptions};
///
/// let list = BlockList::new();
/// list.add_subnet("10.0.0.0".parse()?, 8)?;
/// list.add("192.0.2.1-192.0.2.99".parse()?);
/// assert!(list.check("10.1.2.3".parse()?) && list.check("::ffff:192.0.2.5".parse()?));
/// assert!(!list.check("192.0.2.100".parse()?));
///
/// let options = ServerOptions::default().block_list(&list);
/// let connect = ConnectOptions::addr("198.51.100.1:80".parse()?).block_list(&list);
/// list.add_address("198.51.100.1".parse()?); // Applies to both.
/// # let _ = (options, connect);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct BlockList(Arc<RwLock<Rules>>);

#[derive(Default)]
struct Rules {
    all: BTreeSet<Rule>,
    /// What the rules cover together: ranges that neither overlap nor touch, the last number of each by its first.
    covered: BTreeMap<u128, u128>,
}

impl BlockList {
    /// A list without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No call of this list panics while it has the lock.
    fn read(&self) -> RwLockReadGuard<'_, Rules> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rules> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. A rule that the list has already is not added twice.
    pub fn add(&self, rule: Rule) {
        let mut rules = self.write();
        if rules.all.insert(rule) {
            rules.cover(rule);
        }
    }

    /// Adds one address (`addAddress`).
    pub fn add_address(&self, address: IpAddr) {
        self.add(Rule::address(address));
    }

    /// Adds the addresses from `first` to `last`, both included (`addRange`).
    ///
    /// # Errors
    /// As [`Rule::range`].
    pub fn add_range(&self, first: IpAddr, last: IpAddr) -> Result<(), RuleError> {
        Rule::range(first, last).map(|rule| self.add(rule))
    }

    /// Adds the addresses that have the first `prefix` bits of `network` (`addSubnet`).
    ///
    /// # Errors
    /// As [`Rule::subnet`].
    pub fn add_subnet(&self, network: IpAddr, prefix: u8) -> Result<(), RuleError> {
        Rule::subnet(network, prefix).map(|rule| self.add(rule))
    }

    /// Removes a rule (`removeAddress`, `removeRange`, `removeSubnet`). Other rules may still apply to its addresses.
    /// Returns whether the list had it.
    pub fn remove(&self, rule: Rule) -> bool {
        let mut rules = self.write();
        let had = rules.all.remove(&rule);
        if had {
            rules.cover_again(rule);
        }
        had
    }

    /// Whether a rule applies to this address.
    #[must_use]
    pub fn check(&self, address: IpAddr) -> bool {
        let number = number_of(address);
        let rules = self.read();
        rules.covered.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// The rules, in the order of their first addresses.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.read().all.iter().copied().collect()
    }
}

impl Rules {
    /// Merges a range into those that are covered.
    fn cover(&mut self, rule: Rule) {
        let (mut first, mut last) = rule.numbers();
        // The only range that begins further left and may reach up to this one.
        if let Some((left, end)) = self.covered.range(..first).next_back()
            && *end >= first - 1
        {
            (first, last) = (*left, last.max(*end));
        }
        while let Some((right, end)) = self.covered.range(first..=last.saturating_add(1)).next() {
            let right = *right;
            last = last.max(*end);
            self.covered.remove(&right);
        }
        self.covered.insert(first, last);
    }

    /// Covers the addresses around a removed rule by the others.
    fn cover_again(&mut self, removed: Rule) {
        let at = removed.numbers().0;
        let Some((first, last)) = self.covered.range(..=at).next_back().map(|(first, last)| (*first, *last))
        else {
            return;
        };
        self.covered.remove(&first);
        // Rules within these bounds: none crosses them, since they would have been merged.
        let others =
            self.all.range(Rule::beginning_with(first)..).take_while(|rule| rule.numbers().0 <= last);
        let others: Vec<_> = others.copied().collect();
        others.into_iter().for_each(|rule| self.cover(rule));
    }
}

impl FromIterator<Rule> for BlockList {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let list = Self::new();
        rules.into_iter().for_each(|rule| list.add(rule));
        list
    }
}

impl fmt::Debug for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockList").field("rules", &self.read().all.len()).finish()
    }
}
