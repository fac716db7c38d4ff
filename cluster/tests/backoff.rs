//! The delays before workers are replaced.

use cluster::Backoff;
use std::time::Duration;

#[test]
fn the_delay_doubles_from_the_base_to_the_cap() {
    let ms = Duration::from_millis;
    let backoff = Backoff::default().base(ms(10)).cap(ms(100)).long_lived(ms(1));
    let delays: Vec<_> = (0..7).map(|failures| backoff.delay(failures)).collect();
    assert_eq!(delays, [ms(0), ms(10), ms(20), ms(40), ms(80), ms(100), ms(100)]);
    assert_eq!(backoff.delay(33), ms(100), "beyond the range of the factor");
}
