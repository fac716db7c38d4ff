//! A master's console with a module of its own, and a client that asks it.
//!
//! `cargo run -p upcall-pomelo --example console`

use async_wrap::Environment;
use async_wrap::uv_core::{Loop, RunMode};
use net::ListenOptions;
use pomelo::admin::{Client, Credentials, Login, MasterAgent, MasterOptions, Reply, Session, Target};
use pomelo::upcall::Module;
use serde_json::{Value, json};

struct Greeter;

impl Module for Greeter {
    fn on_client(&mut self, _: &MasterAgent, session: &Session, _: Value, reply: Reply) {
        reply.ok(format!("hello {}", session.user.username));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    let users = Credentials::new().user("admin", "secret", 1);
    let master = MasterAgent::new(&env, MasterOptions::new(users), ())?;
    master.register("greeter", Greeter);
    master.listen(ListenOptions::addr("127.0.0.1:0".parse()?))?;
    let port = master.address().and_then(|address| address.port()).ok_or("no port")?;
    Client::connect(&env, Target::new("127.0.0.1", port), Login::new("admin", "secret"), move |client| {
        let client = client.expect("the password is right");
        let asking = client.clone();
        asking.request("greeter", json!({}), move |response| {
            println!("{:?}", response.map(|response| response.body));
            client.close();
            master.close();
        });
    });
    env.run(RunMode::Default)?;
    Ok(())
}
