//! The whole dependency graph: which crate may know which, and why. `ARCHITECTURE.md` has the same list for readers.

use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use tests::source::words;
use tests::workspace::{cargo, output, root};

type Outcome = Result<(), Box<dyn Error>>;

/// The crates by their folders, the lowest layer first. Those of one level do not know each other.
const LEVELS: &[&[&str]] = &[
    &["uv-core"],
    &["tcp-wrap"],
    &["async-wrap"],
    &["net"],
    &["http", "cluster", "pomelo", "testing"],
    &["app", "scenarios"],
    &["cli"],
    &["bench", "xtask"],
    &["tests"],
];

/// Every edge between the crates, with its reason. Those of tests and examples are only held to the levels.
const EDGES: &[(&str, &str, &str)] = &[
    ("tcp-wrap", "uv-core", "the layer beneath: wraps stand on the loop's streams"),
    ("async-wrap", "tcp-wrap", "the layer beneath: every upcall of a wrap gets its scope"),
    (
        "async-wrap",
        "uv-core",
        "the environment has handles of its own in the loop: a wake-up, a check, an idle",
    ),
    ("net", "async-wrap", "the layer beneath: sockets stand on streams with a context"),
    ("http", "net", "the layer beneath: connections are sockets"),
    ("http", "async-wrap", "each request is a resource of its own, and the timeouts are timers"),
    ("cluster", "net", "the layer beneath: a worker's servers get their listening handles from a source"),
    ("cluster", "async-wrap", "what arrives on a channel runs in a scope"),
    ("cluster", "tcp-wrap", "the channels are pipes that pass descriptors"),
    ("cluster", "uv-core", "workers are child processes of the loop"),
    ("pomelo", "net", "the layer beneath: master and servers speak over sockets"),
    ("pomelo", "async-wrap", "components are called from ticks, and what waits has a timeout"),
    ("pomelo", "tcp-wrap", "what servers write comes through pipes"),
    ("pomelo", "uv-core", "servers are child processes of the loop"),
    ("app", "http", "what `serve` serves answers requests"),
    ("cli", "app", "what `serve` serves"),
    ("cli", "async-wrap", "the commands run an environment"),
    ("cli", "cluster", "`serve` starts workers"),
    ("cli", "http", "`serve` is an HTTP server"),
    ("cli", "net", "where a listening handle comes from is chosen here"),
    ("cli", "pomelo", "`pomelo` starts and commands an application of many servers"),
    ("cli", "uv-core", "signals, and the loop itself"),
    ("bench", "async-wrap", "every layer is measured by itself"),
    ("bench", "cluster", "every layer is measured by itself"),
    ("bench", "http", "every layer is measured by itself"),
    ("bench", "net", "every layer is measured by itself"),
    ("bench", "tcp-wrap", "every layer is measured by itself"),
    ("bench", "uv-core", "every layer is measured by itself"),
    ("bench", "cli", "the application of `serve` and `pomelo start` are measured too"),
    ("testing", "async-wrap", "a scenario's servers and clients run in environments"),
    ("testing", "uv-core", "the faults are decided there, and the loops are driven turn by turn"),
    ("scenarios", "async-wrap", "every layer has scenarios"),
    ("scenarios", "cluster", "every layer has scenarios"),
    ("scenarios", "http", "every layer has scenarios"),
    ("scenarios", "net", "every layer has scenarios"),
    ("scenarios", "pomelo", "every layer has scenarios"),
    ("scenarios", "tcp-wrap", "every layer has scenarios"),
    ("scenarios", "testing", "what runs a scenario under faults"),
    ("scenarios", "uv-core", "every layer has scenarios"),
    ("tests", "uv-core", "signals to child processes"),
];

/// Crates with which an operating system is spoken to: what only the lowest layer may do.
const ONLY_UV_CORE: &[&str] = &["libc", "mio"];

/// What would be another event loop, or another HTTP.
const NOT_IN_THE_LOCK_FILE: &[&str] = &["async-std", "hyper", "smol", "tokio"];

/// How many crates a user of a layer pulls in at most, the layer included.
const TREES: &[(&str, usize)] = &[("uv-core", 10), ("http", 20)];

/// A dependency as a manifest declares it. A crate of the workspace has its folder's name, any other its package's.
struct Edge {
    from: String,
    to: String,
    for_tests: bool,
}

fn declared() -> Result<(BTreeSet<String>, Vec<Edge>), Box<dyn Error>> {
    let metadata = output(cargo("metadata").args(["--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let (mut packages, mut edges) = (BTreeSet::new(), Vec::new());
    for package in metadata["packages"].as_array().ok_or("no packages")? {
        let manifest = package["manifest_path"].as_str().ok_or("a package without a manifest")?;
        let from = Path::new(manifest).parent().and_then(folder_name).ok_or("a package without a folder")?;
        packages.insert(from.to_owned());
        for dependency in package["dependencies"].as_array().ok_or("no dependencies")? {
            let name = dependency["name"].as_str().ok_or("a dependency without a name")?;
            let folder = dependency["path"].as_str().map(Path::new).and_then(folder_name);
            let to = folder.unwrap_or(name);
            let for_tests = dependency["kind"] == "dev";
            edges.push(Edge { from: from.to_owned(), to: to.to_owned(), for_tests });
        }
    }
    Ok((packages, edges))
}

fn folder_name(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()
}

fn level_of(package: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&package))
}

#[test]
fn a_crate_depends_on_layers_beneath_it_only() -> Outcome {
    let (packages, edges) = declared()?;
    for package in &packages {
        assert!(level_of(package).is_some(), "{package} is in no level: add it to LEVELS in this test");
    }
    for Edge { from, to, .. } in edges.iter().filter(|edge| packages.contains(&edge.to)) {
        assert!(
            level_of(from) > level_of(to),
            "{from}/Cargo.toml: {from} must not depend on {to}, which is not beneath it; what a layer knows of those \
             above or beside it can not be used without them"
        );
    }
    Ok(())
}

#[test]
fn every_edge_has_a_reason() -> Outcome {
    let (packages, edges) = declared()?;
    let is_inside = |edge: &&Edge| packages.contains(&edge.to) && !edge.for_tests;
    let declared: BTreeSet<_> = edges.iter().filter(is_inside).map(|edge| (&*edge.from, &*edge.to)).collect();
    let reasoned: BTreeSet<_> = EDGES.iter().map(|(from, to, _)| (*from, *to)).collect();
    let unreasoned: Vec<_> = declared.difference(&reasoned).collect();
    assert!(
        unreasoned.is_empty(),
        "add these edges to EDGES in this test and to ARCHITECTURE.md: {unreasoned:?}"
    );
    let stale: Vec<_> = reasoned.difference(&declared).collect();
    assert!(
        stale.is_empty(),
        "no crate has these edges; remove them from EDGES and ARCHITECTURE.md: {stale:?}"
    );
    Ok(())
}

#[test]
fn the_architecture_has_the_same_edges() -> Outcome {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let from_code =
        EDGES.iter().filter(|(from, ..)| *from != "tests").map(|(from, to, _)| (*from, *to)).collect();
    let from_text: BTreeSet<_> = text.lines().flat_map(edges_of_row).collect();
    let (missing, stale): (Vec<_>, Vec<_>) =
        (BTreeSet::difference(&from_code, &from_text).collect(), from_text.difference(&from_code).collect());
    assert!(missing.is_empty(), "ARCHITECTURE.md, \"Edges between crates\": no row has {missing:?}");
    assert!(stale.is_empty(), "ARCHITECTURE.md, \"Edges between crates\": no crate has {stale:?}");
    Ok(())
}

/// The edges in a row `| crate | crate, crate | why |`; none in any other line.
fn edges_of_row(line: &str) -> Vec<(&str, &str)> {
    let mut cells = line.split('|').map(str::trim);
    let (Some(""), Some(from), Some(to)) = (cells.next(), cells.next(), cells.next()) else {
        return Vec::new();
    };
    let edges = to.split(", ").map(|to| (from, to));
    edges.filter(|(from, to)| level_of(from).is_some() && level_of(to).is_some()).collect()
}

#[test]
fn the_architecture_says_why_each_crate_from_elsewhere_is_there() -> Outcome {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let (_, section) = text.split_once("## Crates from elsewhere").ok_or("no such section")?;
    let rows = section.lines().skip(1).take_while(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        Some((cells.next()?, cells.next()?))
    });
    let rows: Vec<_> = rows.collect();
    let (packages, edges) = declared()?;
    for Edge { from, to, .. } in edges.iter().filter(|edge| !edge.for_tests && !packages.contains(&edge.to)) {
        let has = |names: &str, name: &str| names.split(", ").any(|other| other == name);
        assert!(
            rows.iter().any(|(crates, users)| has(crates, to) && has(users, from)),
            "ARCHITECTURE.md, \"Crates from elsewhere\": no row says why {from} uses {to}"
        );
    }
    Ok(())
}

#[test]
fn only_uv_core_speaks_to_the_system() -> Outcome {
    for Edge { from, to, .. } in declared()?.1 {
        assert!(
            from == "uv-core" || !ONLY_UV_CORE.contains(&&*to),
            "{from}/Cargo.toml: only uv-core may name {to}: the layers above go through it"
        );
    }
    Ok(())
}

#[test]
fn a_layers_user_pulls_in_a_small_tree() -> Outcome {
    for (package, limit) in TREES {
        let name = format!("upcall-{package}");
        let tree = output(cargo("tree").args(["-p", &*name, "-e", "normal,build", "--prefix", "none"]))?;
        let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(crates.contains(&*name), "cargo tree shows {tree}");
        assert!(
            crates.len() <= *limit,
            "{package} pulls in {} crates, {limit} at most: {crates:?}",
            crates.len()
        );
    }
    Ok(())
}

#[test]
fn the_lock_file_has_no_other_runtime() -> Outcome {
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    for name in NOT_IN_THE_LOCK_FILE {
        let entry = format!("name = \"{name}\"");
        let line = lock.lines().position(|line| line == entry);
        assert!(
            line.is_none(),
            "Cargo.lock:{}: {name} is not to be pulled in; peers that are measured have a lock file of their own",
            line.unwrap_or_default() + 1
        );
    }
    Ok(())
}

#[test]
fn no_layer_names_the_cluster_in_its_code_but_those_above_it() -> Outcome {
    for package in ["net", "http"] {
        for entry in fs::read_dir(root().join(package).join("src"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let code = tests::source::code_of(&fs::read_to_string(&path)?);
                let line = words(&code, "cluster").next().map(|at| tests::source::line_of(&code, at));
                assert!(
                    line.is_none(),
                    "{}:{line:?}: {package} knows nothing of the cluster",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

/// Two houses and a street: what the code in each folder of `cluster/src` may not name.
const HOUSES: &[(&str, &[&str])] = &[
    ("channel", &["Primary", "PrimaryInner", "Worker", "WorkerHandle", "WorkerHandleInner", "WorkerInner"]),
    ("primary", &["Worker", "WorkerEnd", "WorkerInner", "WorkerSource"]),
    ("worker", &["Primary", "PrimaryEnd", "PrimaryInner", "WorkerHandle", "WorkerHandleInner"]),
];

#[test]
fn the_primary_the_worker_and_their_channel_do_not_know_each_other() -> Outcome {
    for (folder, strangers) in HOUSES {
        let houses = ["primary", "worker"].iter().filter(|house| *house != folder);
        let paths: Vec<_> = houses.map(|house| format!("crate::{house}")).collect();
        let entries =
            fs::read_dir(root().join("cluster/src").join(folder))?.collect::<Result<Vec<_>, _>>()?;
        assert!(entries.len() > 3, "cluster/src/{folder} is not where this test looks for it");
        for path in entries.iter().map(|entry| entry.path()) {
            let code = tests::source::code_of(&fs::read_to_string(&path)?);
            let by_path = paths.iter().find(|path| code.contains(*path)).map(String::as_str);
            let by_name = strangers.iter().find(|name| words(&code, name).next().is_some()).copied();
            assert!(
                by_path.or(by_name).is_none(),
                "{}: cluster's {folder} knows itself and the channel, but not {:?}",
                path.display(),
                by_path.or(by_name)
            );
        }
    }
    Ok(())
}
