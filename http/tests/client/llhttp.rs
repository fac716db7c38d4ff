//! llhttp's own cases of responses, through a socket.

use crate::evil::Step::{Fin, Head};
use crate::evil::{drip, say};
use crate::llhttp_cases::Verdict::{Refused, Same, Stricter};
use crate::llhttp_cases::all;
use crate::rig::{answer_to, fault_of, run};

// HC22.
#[test]
fn each_case_has_the_verdict_that_the_decoder_has_without_a_socket() {
    // A second response that comes with the first is for no request.
    for (title, to, input, verdict) in all().filter(|(_, to, ..)| to.len() == 1) {
        for answer in [say(input), drip(input)] {
            let work = |site: crate::rig::Site| async move {
                let method = if to[0].is_head { "HEAD" } else { "GET" };
                let request = || {
                    let request = site.client.request(method, site.url("/"));
                    let offer = to[0].offers_upgrade;
                    if offer {
                        request.field("Connection", "Upgrade").field("Upgrade", "h2c")
                    } else {
                        request
                    }
                };
                match verdict {
                    Same(_) => Ok(answer_to(request()).await),
                    Refused(_) | Stricter(..) => Err(async {
                        let mut response = request().await?;
                        response.bytes(usize::MAX).await
                    }
                    .await),
                }
            };
            let (outcome, _) = run([vec![Head, answer, Fin]], work);
            match (outcome, verdict) {
                (Ok(said), Same(items)) => assert_eq!(said, as_said(items), "{title}"),
                (Err(result), Refused(fault)) => {
                    assert_eq!(fault_of(result).map(|(fault, _)| fault), Some(*fault), "{title}");
                }
                (Err(result), Stricter(fault, why)) => {
                    assert_eq!(fault_of(result).map(|(fault, _)| fault), Some(*fault), "{title}: {why}");
                }
                _ => unreachable!("the work looks at the verdict"),
            }
        }
    }
}

/// The events of a decoder as a client's program gets them.
fn as_said(items: &str) -> String {
    let is_status =
        |item: &str| item.as_bytes().get(..3).is_some_and(|start| start.iter().all(u8::is_ascii_digit));
    let (mut said, mut is_interim) = (Vec::new(), false);
    let is_upgrade = items.split(" | ").any(|item| is_status(item) && item.ends_with(" upgrade"));
    for item in items.split(" | ") {
        match item.split_once(' ').unwrap_or((item, "")) {
            // Status and reason, without what the connection has to know.
            (status, rest) if is_status(item) => {
                let reason = rest.split(" 1.").next().unwrap_or_default();
                said.push(format!("{status} {reason}").trim().to_owned());
                is_interim = false;
            }
            ("info", rest) => {
                said.push(format!("info {}", &rest[..3]));
                is_interim = true;
            }
            ("done", rest) if is_upgrade => said.push(format!("upgrade {rest}")),
            ("done", _) => {}
            ("end", _) if is_upgrade => {}
            ("eof", _) => said.push("end".to_owned()),
            // Fields of informational responses are not told there.
            _ if is_interim => {}
            _ => said.push(item.to_owned()),
        }
    }
    said.join(" | ")
}
