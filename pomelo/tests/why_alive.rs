//! `why_alive` of a master names the lines of its program.

mod common;

use common::World;
use common::fleet::free_port;
use pomelo::{Application, Options};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn what_keeps_a_master_alive_belongs_to_the_line_that_made_the_application() {
    let world = World::new();
    let master = format!(r#"{{"id": "master-1", "host": "127.0.0.1", "port": {}}}"#, free_port());
    world.config("master.json", &format!(r#"{{"development": {master}}}"#));
    let exit = Rc::new(Cell::new(None));
    let told = Rc::clone(&exit);
    let options = Options::new(world.base()).on_exit(move |code| told.set(Some(code)));
    let app = Application::new(&world.env, options).expect("a good configuration");
    let place = format!(", made at pomelo/tests/why_alive.rs:{}:", line!() - 1);
    assert_eq!(world.start(&app), Ok(()));
    let why = world.event_loop.why_alive();
    let listener = why.lines().find(|line| line.contains("listens on")).expect("the master listens");
    assert!(listener.contains(&place) || !cfg!(debug_assertions), "{listener}");
    // Its own connection to itself, from both sides.
    let sockets = why.lines().filter(|line| line.starts_with("tcp"));
    assert!(sockets.clone().all(|line| line.contains(&place)) || !cfg!(debug_assertions), "{why}");
    assert_eq!(sockets.count(), 3, "{why}");
    app.stop(true);
    world.until(|| exit.get().is_some());
    drop(app);
}
