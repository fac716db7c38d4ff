//! The fields of a message with one entry for each name, as a view: the lines stay as they are. Mirrors `message.headers`, and
//! `_addHeaderLine` of Node's `lib/_http_incoming.js`.

use super::{Fields, Repeated};
use std::borrow::Cow;
use std::iter::successors;

/// Field lines up to this number are compared each with each; the names of more are sorted, so that a client cannot make that
/// cost the square of what it sends.
const FEW: usize = 48;

/// The lines of one name: see [`Fields::by_name`].
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// One value, which is borrowed unless several lines were joined.
    One(Cow<'a, [u8]>),
    /// The values of `Set-Cookie`, which cannot be joined.
    List(ValueList<'a>),
}

/// Values that stay apart.
#[derive(Clone, Copy, Debug)]
pub struct ValueList<'a> {
    fields: Fields<'a>,
    name: &'a str,
}

impl<'a> ValueList<'a> {
    /// Each value, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.get_all(self.name)
    }
}

impl<'a> Fields<'a> {
    /// The value of the field called `name`, in whatever case, as Node's `headers[name]` has it: the first line where only one
    /// value is meaningful, else all of them, joined. Allocates only if there are several lines to be joined.
    ///
    /// `None` without such a line, and for `Set-Cookie`, whose values cannot be joined: see [`get_all`](Self::get_all). What counts
    /// for which name is in [`Repeated::of`].
    ///
    /// ```
    /// # use http::proto::{Decoder, Event, Limits, FieldTable};
    /// # let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    /// # let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nAccept: x\r\ncookie: b=2\r\naccept: y\r\n\r\n";
    /// # let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
    /// assert_eq!(head.fields.joined("Cookie").as_deref(), Some(&b"a=1; b=2"[..]));
    /// assert_eq!(head.fields.joined("Accept").as_deref(), Some(&b"x, y"[..]));
    /// ```
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        match Repeated::of(name) {
            Repeated::First => self.get(name).map(Cow::Borrowed),
            Repeated::Joined(separator) => join(self.get_all(name), separator),
            Repeated::Listed => None,
        }
    }

    /// Every name once, as it was sent first, with its value (`message.headers`), in the order of the first lines. Allocates only
    /// for what is joined, and if there are very many lines.
    ///
    /// ```
    /// use http::proto::{Fields, Value};
    ///
    /// fn print(fields: &Fields<'_>) {
    ///     for (name, value) in fields.by_name() {
    ///         match value {
    ///             Value::One(value) => println!("{name}: {}", value.escape_ascii()),
    ///             Value::List(values) => values.iter().for_each(|value| println!("{name}: {}", value.escape_ascii())),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn by_name(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let (fields, links) = (*self, Links::of(*self));
        (0..fields.len()).filter_map(move |at| {
            let (name, value) = fields.line(at)?;
            if links.is_repeat(fields, at) {
                return None;
            }
            let value = match Repeated::of(name) {
                Repeated::First => Value::One(Cow::Borrowed(value)),
                Repeated::Listed => Value::List(ValueList { fields, name }),
                Repeated::Joined(separator) => {
                    let lines = successors(Some(at), |at| links.next(fields, *at));
                    let values = lines.filter_map(|at| fields.line(at)).map(|(_, value)| value);
                    Value::One(join(values, separator)?)
                }
            };
            Some((name, value))
        })
    }
}

/// The values with `separator` between them; `None` if there is none.
fn join<'a>(mut values: impl Iterator<Item = &'a [u8]>, separator: &str) -> Option<Cow<'a, [u8]>> {
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let mut joined = first.to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(separator.as_bytes());
        joined.extend_from_slice(value);
    }
    Some(Cow::Owned(joined))
}

/// For each line the next one of its name, and whether an earlier one has that name. Empty for few lines, which are searched.
struct Links(Vec<(Option<usize>, bool)>);

impl Links {
    fn of(fields: Fields<'_>) -> Self {
        if fields.len() <= FEW {
            return Self(Vec::new());
        }
        let names = fields.iter().enumerate().map(|(at, (name, _))| (name.to_ascii_lowercase(), at));
        let mut names: Vec<(String, usize)> = names.collect();
        names.sort_unstable();
        let mut links = vec![(None, false); names.len()];
        for pair in names.windows(2) {
            if let [(name, at), (next_name, next)] = pair
                && name == next_name
            {
                (links[*at].0, links[*next].1) = (Some(*next), true);
            }
        }
        Self(links)
    }

    fn is_repeat(&self, fields: Fields<'_>, at: usize) -> bool {
        match self.0.get(at) {
            Some((_, is_repeat)) => *is_repeat,
            None => (0..at).any(|earlier| fields.is_same_name(earlier, at)),
        }
    }

    fn next(&self, fields: Fields<'_>, at: usize) -> Option<usize> {
        match self.0.get(at) {
            Some((next, _)) => *next,
            None => (at + 1..fields.len()).find(|later| fields.is_same_name(at, *later)),
        }
    }
}
