//! A master and two servers that greet every client. This program is all three; once everything has started the
//! master visits its servers and stops them, and itself.
//!
//!     cargo run -p upcall-pomelo --example fleet

use async_wrap::Environment;
use async_wrap::uv_core::{Loop, RunMode};
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use pomelo::admin::{CONSOLE, Client, Login, Target};
use pomelo::upcall::Component;
use pomelo::{AppEvent, Application, Completion, Options, Program, ServerInfo};
use serde_json::{Value, json};
use std::cell::Cell;
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;

/// Sends hello to each client of the server's `clientPort`.
struct Greeter(Server);

impl Component for Greeter {
    fn on_after_start(&mut self, app: &Application, done: Completion) {
        let port = port_of(app.cur_server(), "clientPort");
        let greeting = format!("hello from {}\n", app.id());
        let listening = self.0.listen_with(ListenOptions::port(port), move |_, socket| {
            if socket.write(greeting.as_bytes()).is_ok() {
                socket.destroy_soon();
            }
        });
        done.finish(listening.map_err(pomelo::Failure::new));
    }

    fn on_stop(&mut self, _: &Application, _: bool, done: Completion) {
        let _ = self.0.close();
        done.ok(());
    }
}

fn configure(folder: &Path) -> Result<(), Box<dyn Error>> {
    // Three ports that are free now.
    let holders = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let port = |index: usize| holders[index].local_addr().map(|address| address.port());
    let greeter = |id: &str, port: u16| json!({"id": id, "host": "127.0.0.1", "clientPort": port});
    let greeters = [greeter("greeter-1", port(1)?), greeter("greeter-2", port(2)?)];
    let config = folder.join("config");
    std::fs::create_dir(&config)?;
    let write = |name: &str, content: Value| std::fs::write(config.join(name), content.to_string());
    write("master.json", json!({"id": "master", "host": "127.0.0.1", "port": port(0)?}))?;
    write("servers.json", json!({"greeter": greeters}))?;
    write("adminUser.json", json!([{"id": "1", "username": "admin", "password": "secret", "level": 1}]))?;
    Ok(())
}

/// A visit to one server; the last one to end stops them all.
struct Visit(Application, Rc<Cell<usize>>);

impl SocketHandler for Visit {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        print!("{}", String::from_utf8_lossy(data));
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.1.set(self.1.get() - 1);
        if self.1.get() == 0 {
            stop_all(&self.0);
        }
    }
}

fn visit_all(app: &Application, event: &AppEvent) {
    if *event != AppEvent::StartAll {
        return;
    }
    let left = Rc::new(Cell::new(app.servers().len()));
    for info in app.servers() {
        let target = ConnectOptions::addr(([127, 0, 0, 1], port_of(&info, "clientPort")).into());
        let visit = Visit(app.clone(), Rc::clone(&left));
        Socket::connect(app.environment(), target, visit).expect("a socket");
    }
}

/// Asks the master to stop all, as a user would from elsewhere.
fn stop_all(app: &Application) {
    let target = Target::new("127.0.0.1", port_of(app.master(), "port"));
    Client::connect(app.environment(), target, Login::new("admin", "secret"), |client| match client {
        Ok(client) => client.request(CONSOLE, json!({"signal": "stop", "ids": []}), |_| {}),
        Err(error) => eprintln!("{error}"),
    });
}

fn port_of(info: &ServerInfo, key: &str) -> u16 {
    info[key].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    // A server is told the folder in front of its `key=value`; the master makes one.
    let own = tempfile::tempdir()?;
    let given = std::env::args().nth(1);
    let folder = given.as_deref().map_or_else(|| own.path(), Path::new);
    let program = Program { path: std::env::current_exe()?, args: vec![folder.display().to_string()] };
    // The process ends by leaving `main`, which removes the folder.
    let ending = env.loop_handle().clone();
    let options = Options::from_process().base(folder).program(program).on_exit(move |_| ending.stop());
    if given.is_none() {
        configure(folder)?;
    }
    let app = Application::new(&env, options)?;
    if app.is_master() {
        app.on(visit_all);
    } else {
        app.load("greeter", Greeter(Server::new(&env, ServerOptions::default())))?;
    }
    app.start(move |result| println!("started: {result:?}"));
    env.run(RunMode::Default)?;
    Ok(())
}
