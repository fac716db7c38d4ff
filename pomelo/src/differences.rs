//! Where this crate differs from pomelo 2.2.7 for Node, on purpose.
//!
//! # The application
//!
//! Left out: connectors, sessions, channels, routes, rpc and their components (`__proxy__` to `__server__`, with
//! `__dictionary__` and `__protobuf__`), transactions, log4js, and looking for changes of files.
//!
//! | | Node's pomelo | here |
//! |---|---|---|
//! | `start` while starting | starts every component twice | [`Error::AlreadyStarted`](crate::Error::AlreadyStarted) |
//! | `start` of a started application | overwrites the time of the start | changes nothing |
//! | `stop` while starting | both go on, and the state with them | the start ends with [`Error::Stopped`](crate::Error::Stopped) |
//! | `beforeStartup` | cannot fail | a failure ends the start, in the state [`State::Start`](crate::State::Start) |
//! | a completion that is forgotten | waits without end | is a failure |
//! | a component that throws in its start | ends the process | a failure of the start; the panic of a call with a callback passes out of `run` first |
//! | the start callback without `afterStartup` | before the event `start_server` | always after it |
//! | a stop that hangs | ends with code 0 after 3 s | the same, and the log names the component |
//! | `beforeShutdown` that forgets to go on | cut after 3 s | the components stop |
//! | components without a name | are loaded | every component has a name, so that a hung one can be named |
//! | a second component of a name | warned of, its factory has run | the same, and an error |
//! | `__master__`, `__monitor__` of the program's own | refused later, by the warning | take the place of the default ones |
//! | `lifecycle.js` | a file; what is no function is warned of | [`Application::lifecycle`](crate::Application::lifecycle), where all are functions |
//! | a process with `startId=` or `type=` | its start callback is never called | is told when the servers are on their way |
//! | an unknown `startId=` or `type=` | crashes | [`Error::UnknownServer`](crate::Error::UnknownServer) |
//! | a record with `type` or `startId`, or of the type `master` | its server starts servers, without end, or is a second master | refused |
//! | a word that is no `key=value` | becomes a key without its last letter | [`Error::Argument`](crate::Error::Argument); before the first pair the program's own |
//! | a program's path with `--` in it | the next word is taken for the program | is a path |
//! | `id=`, `env=`, `serverType=` that look like numbers | are numbers | are texts |
//! | numbers that JavaScript has not exactly | are other numbers | are texts |
//! | `"frontend": true` | true only after a command line | true |
//! | a wrong or missing configuration file | a log line or a `TypeError`, somewhere later | [`ConfigError`](crate::config::ConfigError), with file, line and key |
//! | two servers of one id | the later one counts | [`ConfigError`](crate::config::ConfigError) |
//! | texts with `++` in them | cut, and `NaN` | numbered if they are a number and `++`, else left alone |
//! | arrays and objects on a command line | as `util.format` prints them | JSON; an array of `args` survives a restart |
//! | a server started again | has `env=` and `main=` twice, and its old `pid=` | as it was started first |
//! | the host `::1` | another host | this one |
//! | a record without a host | `ssh undefined` | refused |
//! | words for `ssh` | not quoted | each quoted; a host that looks like an option, or that a shell could take for more than a word, is refused |
//! | a child that writes to standard error | failed to start | has written to standard error |
//! | a child that a signal ended | succeeded | ended by a signal, see [`starter::ServerExit`](crate::starter::ServerExit) |
//! | a missing program or `ssh` | ends the master | [`Error::Start`](crate::Error::Start); the others start |
//! | processors | `taskset`, for the process id that the server tells | a system call, for the process that was started |
//! | whether a port is free | `netstat` and `grep`: 315 is in 3150 | binding it; on other hosts, connecting to it |
//!
//!
//! # The admin protocol
//!
//! Left out: the modules `watchServer`, `systemInfo`, `nodeInfo`, `monitorLog`, `profiler` and `scripts`, of which the
//! last runs whatever it is sent.
//!
//! Unmodified servers and the unmodified command line of Node's pomelo work with this master, and this crate's servers
//! and client with a master of Node's. Passwords are sent as MD5 without a challenge, as the command line of Node sends
//! them: an attacker who can read the connection can log in, unless the network prevents it.
//!
//! | | Node's pomelo | here |
//! |---|---|---|
//! | where a master listens | on every address | on the loopback interface if that is its host, else on every address |
//! | a master whose port is taken | ends with code 0 | its start fails |
//! | a server that does not find its master | ends with code 0 | its start fails |
//! | a master that greets and never answers the registration | is waited for without end | is given up after 10 s |
//! | a server that is refused | waits without end, and joins by `reconnect` | its start fails |
//! | `reconnect` | asks for no token | asks for the token. The setting `reconnectWithoutToken` admits servers without one, which those of Node's pomelo need, but never in the place of a server that has shown a token, unless it is the same process: see [`MasterOptions::admits_any_reconnect`](crate::admin::MasterOptions::admits_any_reconnect) |
//! | an id | belongs to each server that registers it | belongs to the type that the configuration or `add` names, else to the first that had it |
//! | names | are any text | of up to 256 bytes without controls |
//! | a server of type `master` | needs no token | is the master's own monitor, which knows a secret of the process |
//! | the type in a server's record | may be another than its token's | must be the same |
//! | a second server of an id | stays in the shade, and may answer for the first | takes the place of the first when that has ended |
//! | the pause before reconnecting | is never shorter again | 1 s again after a success |
//! | a master that answers no pings | is left and never sought again | is sought again |
//! | a peer that breaks the protocol, or does not register | stays, or brings the master down | is closed; so are silent ones and those that do not read |
//! | long packets | are held | end the connection: 512 bytes before the CONNECT, 64 KiB before the registration, 1 MiB of a user, 16 MiB of a server |
//! | connections that do not register | stay | 256 of an address and 512 in all; the oldest gives way, and all after 10 s |
//! | connections of one user | as many as there are | 32; the oldest gives way |
//! | a wrong password or token | is refused at once | after 1 s |
//! | rejections | are logged | once in 10 s of each kind, with their count |
//! | requests ahead of their answers | are all taken | 8 of a user, and none while answers are not read; `list` is asked once for all who wait |
//! | topics other than the protocol's | are events of the socket | close the connection |
//! | who asks | is what the message says | is who has logged in on the connection |
//! | a server that does not answer `list` | is left out | is named under `silent`, beside `msg` |
//! | `restart`, `addCron`, `removeCron`, `blacklist` | are for every level | need level 1, as `stop`, `add` and `kill` do |
//! | a refused `kill` | breaks the command line | names the servers that remain |
//! | a request that a module forgets | is never answered | is answered with an error |
//! | a request that a server never answers | is kept without end | fails in time; only the server that was asked may answer |
//! | requests that are sent again | also the newest, twice | those of the lost connection |
//! | commands `enable` and `disable` | break every server | reach servers of ours, and do no harm to Node's |
//! | `record` | counts messages | counts servers, those that are registered |
//! | `stop` of some | is answered at once | is answered when they have ended, and names those that have not |
//! | a `stop`, `restart` or `kill` that a server does not answer in time | is obeyed whenever it is read | is not obeyed later, by servers of ours; those of Node's pomelo are asked whether they answer before they are told |
//! | `kill` of a server that does not answer | is given up after 120 s | ends it by SIGKILL after 10 s |
//! | `stop` with an unknown id | answers twice | answers once, with the error |
//! | `stop` without `ids` | throws | is refused |
//! | `add` | takes records without an id, type, host or port | refuses them, and `main`, `env` and the like |
//! | what `restart` and auto-restart start | what the server has said of itself | the record of the configuration or of `add` |
//! | `restart` of nothing | throws, and never answers | answers that nothing failed |
//! | `restart` of a server with auto-restart | both start it | it is started once |
//! | `restart` of a server that does not end in time | starts a second one | names it as failed, and starts it when it has ended |
//! | a server that starts while all are stopped | lives on | is told to stop as soon as it registers; restarts that are under way end |
//! | a server that was stopped and added again | is never restarted after a crash | is |
//! | auto-restart | starts a server once that has left | tries until it is up or told to stop, after 3 s, 6 s, up to 60 s, also if its process ends before it registers |
//! | a first start that fails | is the last one | is tried again, if the record says `auto-restart` |
//! | auto-restart and a port that is taken | calls the start callback of the application again | is logged, and tried again |
//! | `restart-force` | ends the process that the server named | ends it if its command line has the server's id (on other hosts: if servers show tokens) |
//! | `heapTotal`, `heapUsed` | of V8 | the data segment, and what of the process's own memory is resident |
